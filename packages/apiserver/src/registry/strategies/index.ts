/**
 * What is particular to each built-in kind: defaults, validation, allocation, columns and selectable fields, in
 * upstream's words (pkg/apis, pkg/registry, pkg/printers). One small declaration per kind behind the generic store;
 * a kind that is not listed is stored as sent.
 *
 * Keys are `group/Kind` of the storage version: `strategies.get('apps/Deployment')`, `strategies.get('/Pod')`.
 */
import type { KubeObject } from '@cloudless/kube/object';
import type { Strategy } from '../strategy.ts';
import { deployment } from './apps/deployment.ts';
import { replicaSet } from './apps/replica-set.ts';
import { pod } from './pod/strategy.ts';
import { service } from './service/strategy.ts';

// Each is a Strategy of its own type; the registry hands every one only objects of its kind.
const table: Record<string, unknown> = {
  '/Pod': pod,
  '/Service': service,
  'apps/Deployment': deployment,
  'apps/ReplicaSet': replicaSet,
};

export const strategies: ReadonlyMap<string, Strategy<KubeObject>> = new Map(
  Object.entries(table) as Array<[string, Strategy<KubeObject>]>,
);
