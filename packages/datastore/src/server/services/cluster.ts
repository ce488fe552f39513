import type { Header } from '../codec/responses.ts';
import type { Datastore } from '../../datastore.ts';
import type { Method } from '../grpc/method.ts';
import { encoder, wireHeader } from './messages.ts';

/** etcdserverpb.Cluster, as far as it reads: a store has one member, whichever of its servers answers. */
export function clusterService(
  store: Datastore,
  header: Header,
  clientUrls: () => readonly string[],
): Record<string, Method> {
  const members = encoder('MemberListResponse');
  return {
    MemberList: {
      type: 'unary',
      call: () =>
        members({
          header: wireHeader(header, store.revision),
          members: [{ ID: header.memberId, name: 'cloudless', peerURLs: [], clientURLs: [...clientUrls()] }],
        }),
    },
  };
}
