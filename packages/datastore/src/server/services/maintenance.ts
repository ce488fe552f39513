import type { Datastore } from '../../datastore.ts';
import type { Header } from '../codec/responses.ts';
import type { Method } from '../grpc/method.ts';
import { serverVersion, storageVersion } from '../version.ts';
import { encoder, wireHeader } from './messages.ts';

/** etcdserverpb.Maintenance. */
export function maintenanceService(store: Datastore, header: Header): Record<string, Method> {
  const status = encoder('StatusResponse');
  return {
    Status: {
      type: 'unary',
      async call() {
        const { revision, dbSizeBytes, dbSizeInUseBytes } = await store.status();
        return status({
          header: wireHeader(header, revision),
          version: serverVersion,
          dbSize: dbSizeBytes,
          dbSizeInUse: dbSizeInUseBytes,
          dbSizeQuota: Number.isFinite(store.quotaBytes) ? store.quotaBytes : 0,
          leader: header.memberId,
          raftTerm: header.raftTerm,
          raftIndex: revision,
          raftAppliedIndex: revision,
          storageVersion: `${storageVersion}.0`,
          downgradeInfo: { enabled: false },
          errors: [...store.raisedAlarms].map(
            (alarm) => `memberID:${header.memberId} alarm:${alarm.toUpperCase()} `,
          ),
        });
      },
    },
  };
}
