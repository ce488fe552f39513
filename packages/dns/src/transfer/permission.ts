import { BlockList, isIPv6 } from 'node:net';
import type { Permission } from './keys.ts';

/** Who asks for something, after the signature was verified. */
export interface Asker {
  /** IPv4 as dotted quad, never IPv4-mapped. */
  readonly address: string;
  /** Name of the TSIG key that the request is signed with; undefined: it is not. */
  readonly key: string | undefined;
}

/** Networks of permissions, made once: permissions are frozen configuration. */
const networks = new WeakMap<Permission, BlockList>();

/** Whether one of the permissions covers the asker and the zone. One that names neither network nor key covers nobody. */
export function isPermitted(permissions: readonly Permission[], asker: Asker, origin: string): boolean {
  return permissions.some((permission) => {
    if (permission.network === undefined && permission.key === undefined) return false;
    if (permission.zones !== undefined && !permission.zones.includes(origin)) return false;
    if (permission.key !== undefined && permission.key !== asker.key) return false;
    return permission.network === undefined || isInside(permission, permission.network, asker.address);
  });
}

function isInside(permission: Permission, network: string, address: string): boolean {
  let list = networks.get(permission);
  if (!list) {
    list = new BlockList();
    const [base = '', length] = network.split('/');
    const family = isIPv6(base) ? 'ipv6' : 'ipv4';
    list.addSubnet(base, length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length), family);
    networks.set(permission, list);
  }
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
