/** Devices that are in use already, for those who look after them (upstream: pkg/registry/resource/utils.go). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import { core } from '@cloudless/kube/resources';
import type { DeviceRequest, ResourceClaim } from '@cloudless/kube/types/resource-v1';
import type { StrategyContext } from '../../strategy.ts';

const label = 'resource.kubernetes.io/admin-access';

/** Only namespaces with the label may have it. */
function judge({ caches, namespace }: StrategyContext, path: FieldPath): FieldError[] {
  const labels = caches.of(core.namespaces).get('', namespace)?.metadata.labels;
  if (labels?.[label] === 'true') return [];
  const why = `admin access to devices requires the \`${label}: true\` label on the containing namespace`;
  return [fieldErrors.forbidden(path, why)];
}

/** Of a new claim or template; the first request that wants it is named. */
export function adminAccessInRequests(
  context: StrategyContext,
  requests: readonly DeviceRequest[] | undefined,
): FieldError[] {
  const first = (requests ?? []).findIndex(({ exactly }) => exactly?.adminAccess === true);
  if (first < 0) return [];
  return judge(context, FieldPath.of('spec', 'devices', 'requests').index(first).child('adminAccess'));
}

/** Of a claim that is being allocated. */
export function adminAccessInResults(
  context: StrategyContext,
  claim: ResourceClaim,
  old: ResourceClaim,
): FieldError[] {
  const firstIn = ({ status }: ResourceClaim): number =>
    (status?.allocation?.devices?.results ?? []).findIndex(({ adminAccess }) => adminAccess === true);
  const first = firstIn(claim);
  if (first < 0 || firstIn(old) >= 0) return [];
  const results = FieldPath.of('status', 'allocation', 'devices', 'results');
  return judge(context, results.index(first).child('adminAccess'));
}
