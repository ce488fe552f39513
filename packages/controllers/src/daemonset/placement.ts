import type { DaemonSet } from '@cloudless/kube/types/apps-v1';
import type { Node, Pod, PodTemplateSpec, Taint, Toleration } from '@cloudless/kube/types/core-v1';
import { fitsNodeAffinity } from '../pods/node-affinity.ts';
import { tolerates } from '../taint-eviction/tolerations.ts';

/** Where a DaemonSet's pods belong, and what they look like (upstream: pkg/controller/daemon, util). Pure. */

export const revisionHashLabel = 'controller-revision-hash';
export const generationLabel = 'pod-template-generation';
const generationAnnotation = 'deprecated.daemonset.template.generation';

/** Tolerations that every daemon pod has: it belongs to the node whatever the node's state. */
function daemonTolerations(hostNetwork: boolean): Toleration[] {
  const exists = (name: string, effect: string): Toleration => ({
    key: `node.kubernetes.io/${name}`,
    operator: 'Exists',
    effect,
  });
  return [
    exists('not-ready', 'NoExecute'),
    exists('unreachable', 'NoExecute'),
    exists('disk-pressure', 'NoSchedule'),
    exists('memory-pressure', 'NoSchedule'),
    exists('pid-pressure', 'NoSchedule'),
    exists('unschedulable', 'NoSchedule'),
    ...(hostNetwork ? [exists('network-unavailable', 'NoSchedule')] : []),
  ];
}

function withTolerations(own: readonly Toleration[], added: readonly Toleration[]): Toleration[] {
  const same = (a: Toleration, b: Toleration): boolean =>
    a.key === b.key &&
    a.operator === b.operator &&
    a.effect === b.effect &&
    (a.value ?? '') === (b.value ?? '');
  return [...own.filter((one) => !added.some((other) => same(one, other))), ...added];
}

export interface Placement {
  /** A pod is to be made here. */
  run: boolean;
  /** A pod that is here may stay. */
  stay: boolean;
}

/** Whether a DaemonSet wants its pod on a node. */
export function placement(ds: DaemonSet, node: Node): Placement {
  const spec = ds.spec?.template.spec;
  if (spec?.nodeName && spec.nodeName !== node.metadata.name) return { run: false, stay: false };
  if (!fitsNodeAffinity(spec, node)) return { run: false, stay: false };
  const tolerations = withTolerations(spec?.tolerations ?? [], daemonTolerations(spec?.hostNetwork === true));
  const untolerated = (effects: readonly string[]): Taint | undefined =>
    (node.spec?.taints ?? []).find(
      (taint) =>
        effects.includes(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
    );
  if (untolerated(['NoSchedule', 'NoExecute'])) return { run: false, stay: !untolerated(['NoExecute']) };
  return { run: true, stay: true };
}

/** The template of a pod for one node: labelled with its revision, bound to the node by affinity. */
export function podTemplateFor(ds: DaemonSet, nodeName: string, hash: string): PodTemplateSpec {
  const template = ds.spec?.template;
  const spec = template?.spec;
  const generation = ds.metadata.annotations?.[generationAnnotation];
  return {
    ...template,
    metadata: {
      ...template?.metadata,
      labels: {
        ...template?.metadata?.labels,
        ...(generation === undefined ? {} : { [generationLabel]: generation }),
        [revisionHashLabel]: hash,
      },
    },
    spec: {
      ...spec,
      containers: spec?.containers ?? [],
      tolerations: withTolerations(spec?.tolerations ?? [], daemonTolerations(spec?.hostNetwork === true)),
      affinity: {
        ...spec?.affinity,
        nodeAffinity: {
          ...spec?.affinity?.nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] },
            ],
          },
        },
      },
    },
  };
}

/** The node a daemon pod is on or bound for; undefined when it says none. */
export function targetNode(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms) {
    for (const { key, operator, values } of matchFields) {
      if (key === 'metadata.name' && operator === 'In' && values?.length === 1) return values[0];
    }
  }
  return undefined;
}

/** A pod of the revision with this hash, or of the same template generation. */
export function isUpdated(ds: DaemonSet, pod: Pod, hash: string): boolean {
  const generation = ds.metadata.annotations?.[generationAnnotation];
  const labels = pod.metadata.labels ?? {};
  return (
    (hash !== '' && labels[revisionHashLabel] === hash) ||
    (generation !== undefined && labels[generationLabel] === generation)
  );
}
