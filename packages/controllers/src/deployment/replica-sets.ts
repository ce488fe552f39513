import type { Deployment, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { IntOrString } from '@cloudless/kube/types/meta-v1';
import { parseTime } from '@cloudless/kube/time';
import { templateIdentity } from './hash.ts';

/** What a rollout does with numbers of replicas (upstream: deployment/util/deployment_util.go). Pure. */

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
export const revisionHistoryAnnotation = 'deployment.kubernetes.io/revision-history';
export const desiredReplicasAnnotation = 'deployment.kubernetes.io/desired-replicas';
export const maxReplicasAnnotation = 'deployment.kubernetes.io/max-replicas';
export const rollbackAnnotation = 'deprecated.deployment.rollback.revision';

export const desired = (d: Deployment): number => d.spec?.replicas ?? 1;
export const replicasOf = (rs: ReplicaSet): number => rs.spec?.replicas ?? 1;
export const isRolling = (d: Deployment): boolean =>
  (d.spec?.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate';

export const totalReplicas = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((n, rs) => n + replicasOf(rs), 0);
export const actualReplicas = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((n, rs) => n + (rs.status?.replicas ?? 0), 0);
export const readyReplicas = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((n, rs) => n + (rs.status?.readyReplicas ?? 0), 0);
export const availableReplicas = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((n, rs) => n + (rs.status?.availableReplicas ?? 0), 0);
export const active = (sets: readonly ReplicaSet[]): ReplicaSet[] => sets.filter((rs) => replicasOf(rs) > 0);

const createdMs = (rs: ReplicaSet): number => parseTime(rs.metadata.creationTimestamp) || 0;
const byName = (a: ReplicaSet, b: ReplicaSet): number =>
  (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;

/** Oldest first. */
export const byCreation = (a: ReplicaSet, b: ReplicaSet): number =>
  createdMs(a) - createdMs(b) || byName(a, b);
/** Largest first; of one size the older, or the newer, first. */
export const bySizeOlder = (a: ReplicaSet, b: ReplicaSet): number =>
  replicasOf(b) - replicasOf(a) || byCreation(a, b);
export const bySizeNewer = (a: ReplicaSet, b: ReplicaSet): number =>
  replicasOf(b) - replicasOf(a) || byCreation(b, a);

/** Revision number of a ReplicaSet; 0 when it has none. */
export function revisionOf(rs: ReplicaSet): number {
  const text = rs.metadata.annotations?.[revisionAnnotation] ?? '';
  return /^\d+$/.test(text) ? Number(text) : 0;
}

export const maxRevision = (sets: readonly ReplicaSet[]): number => Math.max(0, ...sets.map(revisionOf));

/** The ReplicaSet with the Deployment's template; of several the oldest, so that all agree. */
export function findNew(d: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const identity = templateIdentity(d.spec?.template);
  return [...sets].sort(byCreation).find((rs) => templateIdentity(rs.spec?.template) === identity);
}

export function findOld(newSet: ReplicaSet | undefined, sets: readonly ReplicaSet[]): ReplicaSet[] {
  return sets.filter((rs) => rs.metadata.uid !== newSet?.metadata.uid);
}

/** A number, or a percentage of `total`. An unreadable value counts as 0, as validation keeps such out. */
export function scaledValue(value: IntOrString | undefined, total: number, roundUp: boolean): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value ?? '')?.[1];
  if (percent === undefined) return 0;
  const scaled = (Number(percent) * total) / 100;
  return roundUp ? Math.ceil(scaled) : Math.floor(scaled);
}

/** How far a rolling update may go above and below the wanted number. Never neither way. */
export function fenceposts(d: Deployment): { surge: number; unavailable: number } {
  if (!isRolling(d)) return { surge: 0, unavailable: 0 };
  const rolling = d.spec?.strategy?.rollingUpdate;
  const surge = scaledValue(rolling?.maxSurge ?? '25%', desired(d), true);
  const unavailable = scaledValue(rolling?.maxUnavailable ?? '25%', desired(d), false);
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export const maxSurge = (d: Deployment): number => fenceposts(d).surge;

export function maxUnavailable(d: Deployment): number {
  if (!isRolling(d) || desired(d) === 0) return 0;
  return Math.min(fenceposts(d).unavailable, desired(d));
}

/** Replicas the new ReplicaSet may have now, given all there are. */
export function newReplicas(d: Deployment, all: readonly ReplicaSet[], current: number): number {
  if (!isRolling(d)) return desired(d);
  const room = desired(d) + maxSurge(d) - totalReplicas(all);
  if (room <= 0) return current;
  return current + Math.min(room, desired(d) - current);
}

/** The one ReplicaSet to scale when no rollout is under way: undefined when several are active. */
export function activeOrLatest(
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): ReplicaSet | undefined {
  const all = newSet ? [...old, newSet] : [...old];
  const running = active(all);
  if (running.length > 1) return undefined;
  if (running.length === 1) return running[0];
  return newSet ?? [...old].sort((a, b) => byCreation(b, a))[0];
}

/** The new ReplicaSet has all that is wanted, and it is all available: nothing else is needed. */
export function isSaturated(d: Deployment, rs: ReplicaSet | undefined): boolean {
  if (!rs) return false;
  return (
    replicasOf(rs) === desired(d) &&
    Number(rs.metadata.annotations?.[desiredReplicasAnnotation]) === desired(d) &&
    (rs.status?.availableReplicas ?? 0) === desired(d)
  );
}

/** What one ReplicaSet gets of a change during a rollout, in proportion to its size. */
export function proportion(d: Deployment, rs: ReplicaSet, toAdd: number, added: number): number {
  if (replicasOf(rs) === 0 || toAdd === 0 || toAdd === added) return 0;
  const share = fraction(d, rs);
  const left = toAdd - added;
  return toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
}

function fraction(d: Deployment, rs: ReplicaSet): number {
  if (desired(d) === 0) return -replicasOf(rs);
  const most = desired(d) + maxSurge(d);
  const annotated = Number(rs.metadata.annotations?.[maxReplicasAnnotation] ?? Number.NaN);
  // Without the annotation (a set made by hand) the Deployment's own count is the best guess.
  const before = Number.isInteger(annotated) && annotated > 0 ? annotated : (d.status?.replicas ?? 0);
  if (before === 0) return 0;
  return Math.round((replicasOf(rs) * most) / before) - replicasOf(rs);
}

/** New sizes of the active ReplicaSets when the Deployment is scaled in the midst of a rollout. */
export function proportionalSizes(d: Deployment, all: readonly ReplicaSet[]): Map<ReplicaSet, number> {
  const running = active(all);
  const allowed = desired(d) > 0 ? desired(d) + maxSurge(d) : 0;
  const toAdd = allowed - totalReplicas(running);
  running.sort(toAdd > 0 ? bySizeNewer : bySizeOlder);
  const sizes = new Map<ReplicaSet, number>();
  let added = 0;
  for (const rs of running) {
    const share = toAdd === 0 ? 0 : proportion(d, rs, toAdd, added);
    sizes.set(rs, replicasOf(rs) + share);
    added += share;
  }
  // What rounding left goes to the largest.
  const first = running[0];
  if (first && toAdd !== 0) sizes.set(first, Math.max(0, (sizes.get(first) ?? 0) + toAdd - added));
  return sizes;
}
