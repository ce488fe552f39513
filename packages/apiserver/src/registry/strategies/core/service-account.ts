import type { ServiceAccount } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

/** Upstream: pkg/registry/core/serviceaccount. */
export const serviceAccount: Strategy<ServiceAccount> = {
  prepareForCreate(_context, object) {
    // Tokens are bound and projected; a list of secrets is what a user chose to write.
    if (object.secrets?.length === 0) delete object.secrets;
  },
  table: table<ServiceAccount>([text('Secrets', 'Number of secrets named.'), ageColumn], (object, nowMs) => [
    object.secrets?.length ?? 0,
    ageOf(object, nowMs),
  ]),
};
