import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import type { Method } from '../grpc/method.ts';

const auth =
  "access is decided by TLS client certificates (--trusted-ca-file), not by etcd's users and roles";
const membership =
  'a store has one member; more servers share it through PostgreSQL (--endpoint postgres://…)';

/** Calls of etcd's API that this store does not have, and why. The README's table says the same. */
export const unsupportedCalls: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'AuthEnable',
      'AuthDisable',
      'AuthStatus',
      'Authenticate',
      'UserAdd',
      'UserGet',
      'UserList',
      'UserDelete',
      'UserChangePassword',
      'UserGrantRole',
      'UserRevokeRole',
      'RoleAdd',
      'RoleGet',
      'RoleList',
      'RoleDelete',
      'RoleGrantPermission',
      'RoleRevokePermission',
    ].map((name) => [`/etcdserverpb.Auth/${name}`, auth]),
  ),
  ...Object.fromEntries(
    ['MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberPromote'].map((name) => [
      `/etcdserverpb.Cluster/${name}`,
      membership,
    ]),
  ),
  '/etcdserverpb.Maintenance/MoveLeader': 'there is no leader to move: every server of a store writes',
  '/etcdserverpb.Maintenance/Downgrade':
    'a store is not downgraded in place: restore a snapshot into the older version',
};

/** They answer Unimplemented, with the reason. */
export function unsupportedMethods(): Array<[string, Method]> {
  return Object.entries(unsupportedCalls).map(([path, why]) => [
    path,
    {
      type: 'unary',
      call() {
        throw new EtcdError(grpcCode.unimplemented, `${path.slice(path.lastIndexOf('/') + 1)}: ${why}`);
      },
    },
  ]);
}
