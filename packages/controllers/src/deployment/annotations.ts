import type { Deployment, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import {
  desired,
  desiredReplicasAnnotation,
  maxReplicasAnnotation,
  maxSurge,
  revisionAnnotation,
  revisionHistoryAnnotation,
  rollbackAnnotation,
} from './replica-sets.ts';

const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';
/** A history of revisions longer than this drops its oldest. */
const maxHistoryChars = 2000;

/** Annotations of a Deployment that say something of itself, not of its ReplicaSets. */
const ownAnnotations = new Set([
  lastAppliedAnnotation,
  revisionAnnotation,
  revisionHistoryAnnotation,
  desiredReplicasAnnotation,
  maxReplicasAnnotation,
  rollbackAnnotation,
]);

/** Annotations that its Deployment passes on to a ReplicaSet. */
export function inheritedAnnotations(d: Deployment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(d.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key)),
  );
}

/** Annotations by which a later scaling knows from which size it comes. */
export function sizeAnnotations(d: Deployment): Record<string, string> {
  return {
    [desiredReplicasAnnotation]: String(desired(d)),
    [maxReplicasAnnotation]: String(desired(d) + maxSurge(d)),
  };
}

/**
 * Annotations that the newest ReplicaSet should have: the Deployment's, and the revision, which only grows; an
 * older number of its own goes to its history (it was rolled back to).
 */
export function newSetAnnotations(d: Deployment, rs: ReplicaSet, revision: number): Record<string, string> {
  const annotations = { ...rs.metadata.annotations, ...inheritedAnnotations(d) };
  const text = annotations[revisionAnnotation];
  const old = text !== undefined && /^\d+$/.test(text) ? Number(text) : 0;
  if (old >= revision) return annotations;
  annotations[revisionAnnotation] = String(revision);
  if (text !== undefined && text !== '') {
    const history = [...(annotations[revisionHistoryAnnotation] ?? '').split(','), text].filter(
      (one) => one !== '',
    );
    while (history.length > 1 && history.join(',').length > maxHistoryChars) history.shift();
    annotations[revisionHistoryAnnotation] = history.join(',');
  }
  return annotations;
}
