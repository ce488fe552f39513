import type { ServiceAccount } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table } from '../table/table.ts';

const mountableAnnotation = 'kubernetes.io/enforce-mountable-secrets';

/** Of the references only the names are kept. */
function keepNames(account: ServiceAccount): void {
  if (account.secrets?.length === 0) delete account.secrets;
  account.secrets = account.secrets?.map(({ name }) => (name === undefined ? {} : { name }));
  if (account.secrets === undefined) delete account.secrets;
}

/** Upstream: pkg/registry/core/serviceaccount. */
export const serviceAccount: Strategy<ServiceAccount> = {
  prepareForCreate: (_context, object) => keepNames(object),
  prepareForUpdate: (_context, object) => keepNames(object),
  warnings: (_context, object, old) =>
    object.metadata.annotations?.[mountableAnnotation] === undefined ||
    old?.metadata.annotations?.[mountableAnnotation] !== undefined
      ? []
      : [
          `metadata.annotations[${mountableAnnotation}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
        ],
  table: table<ServiceAccount>([ageColumn], (object, nowMs) => [ageOf(object, nowMs)]),
};
