import { isDeepStrictEqual } from 'node:util';
import type { PodCondition, PodStatus } from '@cloudless/kube/types/core-v1';
import { ownedConditions } from '../sync/conditions.ts';

/** Status fields that the kubelet writes; all others belong to someone else. */
const ownedFields = [
  'phase',
  'reason',
  'message',
  'hostIP',
  'podIP',
  'startTime',
  'qosClass',
  'containerStatuses',
  'initContainerStatuses',
  'ephemeralContainerStatuses',
  'observedGeneration',
] as const satisfies ReadonlyArray<keyof PodStatus>;

/**
 * The strategic merge patch that takes the API's status to ours, or undefined when nothing of ours differs. Only
 * conditions of our own types are in it, so that readiness gates of others survive.
 */
export function statusPatch(
  uid: string,
  stored: PodStatus,
  wanted: PodStatus,
): Record<string, unknown> | undefined {
  const status: Record<string, unknown> = {};
  for (const field of ownedFields) {
    if (same(stored[field], wanted[field])) continue;
    status[field] = wanted[field] ?? null;
  }
  const conditions = changedConditions(stored.conditions ?? [], wanted.conditions ?? []);
  if (conditions.length > 0) status['conditions'] = conditions;
  for (const field of ['podIPs', 'hostIPs'] as const) {
    const list = keyedByIp(stored[field] ?? [], wanted[field] ?? []);
    if (list.length > 0) status[field] = list;
  }
  if (Object.keys(status).length === 0) return undefined;
  return { metadata: { uid }, status };
}

function changedConditions(stored: readonly PodCondition[], wanted: readonly PodCondition[]): unknown[] {
  return wanted
    .filter((condition) => ownedConditions.has(condition.type))
    .filter(
      (condition) => !same(withoutProbeTime(stored.find(({ type }) => type === condition.type)), condition),
    )
    .map((condition) => ({
      ...condition,
      // A strategic merge keeps what is not named: what went away is taken away.
      reason: condition.reason ?? null,
      message: condition.message ?? null,
    }));
}

function withoutProbeTime(condition: PodCondition | undefined): PodCondition | undefined {
  if (condition === undefined) return undefined;
  const { lastProbeTime: _, ...rest } = condition;
  return rest;
}

/** Lists that merge by `ip`: the whole new one, with the old one's leftovers deleted; empty when alike. */
function keyedByIp(stored: ReadonlyArray<{ ip: string }>, wanted: ReadonlyArray<{ ip: string }>): unknown[] {
  if (same(stored, wanted)) return [];
  const gone = stored.filter(({ ip }) => !wanted.some((entry) => entry.ip === ip));
  return [...wanted, ...gone.map(({ ip }) => ({ $patch: 'delete', ip }))];
}

/** Equality of JSON: what is undefined is absent, and an empty list is none. */
export function same(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(pruned(a), pruned(b));
}

function pruned(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(pruned);
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  const entries = Object.entries(value)
    .map(([key, inner]): [string, unknown] => [key, pruned(inner)])
    .filter(([, inner]) => inner !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
