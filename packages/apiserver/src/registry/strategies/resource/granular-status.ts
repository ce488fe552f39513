/**
 * Who may write which part of a claim's status (KEP-4817, DRAResourceClaimGranularStatusAuthorization; upstream:
 * pkg/registry/resource/utils.go): beside `resourceclaims/status`, those who allocate need `resourceclaims/binding`, and
 * those who report on devices `resourceclaims/driver` of each driver, for claims of their own node or of any.
 */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { AllocatedDeviceStatus, ResourceClaim } from '@cloudless/kube/types/resource-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { StrategyContext } from '../../strategy.ts';
import { semanticallyEqual } from '../../validation/fields.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';

const statusPath = FieldPath.of('status');
const associatedNode = 'associated-node:';
const arbitraryNode = 'arbitrary-node:';
const nodeNameKey = 'authentication.kubernetes.io/node-name';

function judgeBinding(context: StrategyContext, claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const [now, before] = [claim.status ?? {}, old.status ?? {}];
  const isBound =
    !semanticallyEqual(now.allocation, before.allocation) ||
    !semanticallyEqual(now.reservedFor, before.reservedFor);
  if (!isBound) return [];
  const { verb } = context;
  const refusal = context.refusalOf({ verb, subresource: 'binding', namespace: '', name: '' });
  if (refusal === undefined) return [];
  const why = `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="${verb}" permission: ${refusal}`;
  return [fieldErrors.forbidden(statusPath.child('allocation'), why)];
}

const keyOf = ({ driver, pool, device, shareID }: AllocatedDeviceStatus): string =>
  JSON.stringify([driver, pool, device, shareID ?? '']);

/** Drivers of devices that were added, changed or taken away, in the order of their names. */
function changedDrivers(claim: ResourceClaim, old: ResourceClaim): string[] {
  const before = new Map((old.status?.devices ?? []).map((device) => [keyOf(device), device]));
  const drivers = new Set<string>();
  for (const device of claim.status?.devices ?? []) {
    const key = keyOf(device);
    if (!semanticallyEqual(before.get(key), device)) drivers.add(device.driver);
    before.delete(key);
  }
  for (const { driver } of before.values()) drivers.add(driver);
  return [...drivers].sort();
}

/** The one node by whose name a claim is allocated. */
function allocatedNode({ status }: ResourceClaim): string | undefined {
  const terms = status?.allocation?.nodeSelector?.nodeSelectorTerms ?? [];
  const [{ matchFields = [], matchExpressions = [] } = {}] = terms;
  const [field] = matchFields;
  if (terms.length !== 1 || matchFields.length !== 1 || matchExpressions.length > 0) return undefined;
  if (field?.key !== 'metadata.name' || field.operator !== 'In' || field.values?.length !== 1)
    return undefined;
  return field.values[0] === '' ? undefined : field.values[0];
}

/** Whether a service account's token is of a pod on the node. */
function isOnNode({ name, extra }: UserInfo, node: string | undefined): boolean {
  if (node === undefined || !/^system:serviceaccount:[^:]+:[^:]+$/.test(name)) return false;
  const names = extra?.[nodeNameKey] ?? [];
  return names.length === 1 && names[0] === node && nameIsDnsSubdomain(node).length === 0;
}

function judgeDevices(context: StrategyContext, claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  // Nothing of devices is kept of a claim that is not allocated.
  if (!claim.status?.allocation) return [];
  const { verb, namespace, user } = context;
  const own = isOnNode(user, allocatedNode(claim));
  const verbs = [...(own ? [associatedNode + verb] : []), arbitraryNode + verb];
  return changedDrivers(claim, old).flatMap((name) => {
    let first: string | undefined;
    for (const asked of verbs) {
      const refusal = context.refusalOf({ verb: asked, subresource: 'driver', namespace, name });
      if (refusal === undefined) return [];
      first ??= refusal;
    }
    const why = `changing status.devices requires resource="resourceclaims/driver", verb="[${verbs.join(' ')}]" permission: ${first}`;
    return [fieldErrors.forbidden(statusPath.child('devices'), why)];
  });
}

/** What of the status's change the user may not do. */
export const judgeStatusWriter = (
  context: StrategyContext,
  claim: ResourceClaim,
  old: ResourceClaim,
): FieldError[] => [...judgeBinding(context, claim, old), ...judgeDevices(context, claim, old)];
