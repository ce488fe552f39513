import type { KubeObject, Resource } from '@cloudless/kube/object';
import { addAmounts, type Amounts, amountsOf, quantities } from '@cloudless/kube/pod-amounts';
import { Quantity } from '@cloudless/kube/quantity';
import { concerns, isChargedTo, usageOf } from '@cloudless/kube/quota/usage';
import type { ResourceQuota } from '@cloudless/kube/types/core-v1';

/** What a quota's status must say; names that none of `counted` is charged to keep what they had. */
export function quotaStatus(
  quota: ResourceQuota,
  counted: ReadonlyArray<{ resource: Resource; objects: readonly KubeObject[] }>,
  nowMs: number,
): NonNullable<ResourceQuota['status']> {
  const hard = amountsOf(quota.spec?.hard);
  const used: Amounts = new Map([...amountsOf(quota.status?.used)].filter(([name]) => hard.has(name)));
  for (const { resource, objects } of counted) {
    const total: Amounts = new Map();
    for (const name of hard.keys()) if (isChargedTo(resource, name)) total.set(name, Quantity.zero);
    if (total.size === 0) continue;
    for (const object of objects) {
      if (!concerns(quota, resource, object)) continue;
      const charges = [...usageOf(resource, object, nowMs)].filter(([name]) => total.has(name));
      addAmounts(total, new Map(charges), quantities);
    }
    for (const [name, amount] of total) used.set(name, amount);
  }
  return {
    hard: { ...quota.spec?.hard },
    used: Object.fromEntries([...used].map(([name, amount]) => [name, amount.toString()])),
  };
}

/** Whether a quota's status says the same, in whatever form its amounts are written. */
export function sameQuotaStatus(
  a: ResourceQuota['status'],
  b: NonNullable<ResourceQuota['status']>,
): boolean {
  if (!a?.hard || !a.used) return false;
  return (
    sameAmounts(amountsOf(a.hard), amountsOf(b.hard)) && sameAmounts(amountsOf(a.used), amountsOf(b.used))
  );
}

function sameAmounts(a: Amounts, b: Amounts): boolean {
  if (a.size !== b.size) return false;
  for (const [name, amount] of a) if (b.get(name)?.equals(amount) !== true) return false;
  return true;
}

/** When an object stops being charged although nobody writes it again: a pod whose grace is over. */
export function freedAtMs(object: KubeObject): number | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return undefined;
  return Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}
