import type { Header } from '../codec/responses.ts';
import type { Method } from '../grpc/method.ts';
import { encoder, wireHeader } from './messages.ts';

/** etcdserverpb.Cluster, as far as it reads: a store has one member, whichever of its servers answers. */
export function clusterService(header: Header, clientUrls: () => readonly string[]): Record<string, Method> {
  const members = encoder('MemberListResponse');
  return {
    MemberList: {
      type: 'unary',
      call: () =>
        members({
          // etcd's own has no revision: this is nothing that the store keeps.
          header: wireHeader(header, 0),
          members: [{ ID: header.memberId, name: 'cloudless', peerURLs: [], clientURLs: [...clientUrls()] }],
        }),
    },
  };
}
