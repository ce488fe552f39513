import type { Datastore } from '../../datastore.ts';
import type { Header } from '../codec/responses.ts';
import type { Method, Methods } from '../grpc/method.ts';
import { clusterService } from './cluster.ts';
import { healthService } from './health.ts';
import { kvService } from './kv.ts';
import { leaseService } from './lease.ts';
import { maintenanceService } from './maintenance.ts';
import { unsupportedMethods } from './unsupported.ts';
import { watchService } from './watch.ts';

export interface ServicesOptions {
  store: Datastore;
  header: Header;
  /** Watches that want fragments get no larger messages. */
  fragmentBytes: number;
  /** What MemberList tells. */
  clientUrls: () => readonly string[];
}

/** etcd's v3 API: every call of it, those included that are answered with Unimplemented. */
export function allMethods({ store, header, fragmentBytes, clientUrls }: ServicesOptions): Methods {
  return new Map<string, Method>([
    ...unsupportedMethods(),
    ...named('KV', kvService(store, header)),
    ...named('Watch', watchService(store, header, { fragmentBytes })),
    ...named('Lease', leaseService(store, header)),
    ...named('Maintenance', maintenanceService(store, header)),
    ...named('Cluster', clusterService(header, clientUrls)),
    ...named('Health', healthService(), 'grpc.health.v1'),
  ]);
}

function named(
  service: string,
  methods: Record<string, Method>,
  protoPackage = 'etcdserverpb',
): Array<[string, Method]> {
  return Object.entries(methods).map(([name, method]) => [`/${protoPackage}.${service}/${name}`, method]);
}
