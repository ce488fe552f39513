import { existsSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join, resolve } from 'node:path';
import { hostname } from 'node:os';
import { parsePostgresUrl, type PostgresAddress } from '@cloudless/datastore/postgres/address';
import { defaultPorts, type NodePorts } from '@cloudless/kube/node/context';

/** A flag or argument that cannot be used; the message names it and says what would do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Parts that may be left out for others in their place: upstream's own, or another network. */
export const disableable = ['network', 'dns', 'loadbalancer', 'controllers', 'scheduler'] as const;
export type DisabledPart = (typeof disableable)[number];

/** Everything `up` and `agent` can be told, parsed. Kept in `cluster.json`, so that later commands agree. */
export interface ClusterOptions {
  root: string;
  nodeName: string;
  /** Address of this node; undefined: that of the default route. */
  nodeIp: string | undefined;
  runtime: 'containerd' | 'simulated';
  podCidr: string;
  serviceCidr: string;
  clusterDomain: string;
  disable: DisabledPart[];
  ports: NodePorts;
  /** An etcd v3 endpoint as storage instead of the embedded datastore. */
  etcd: EtcdOptions | undefined;
  /** A PostgreSQL database that the embedded datastore keeps its log in, instead of a file below `root`. */
  database: DatabaseOptions | undefined;
  /** How long history is kept for watches that resume; undefined: the API server's default. */
  compactionIntervalMs: number | undefined;
  /** A KubeletConfiguration file. */
  kubeletConfig: string | undefined;
  /** The audit log; undefined: none is written. */
  audit: AuditOptions | undefined;
  /** How long the API server says that it is not ready before it refuses connections; undefined: not at all. */
  shutdownDelayMs: number | undefined;
  /** Addresses that the load balancer announces whether the API is there or not: a file, absolute. */
  announcementsFile: string | undefined;
  /** The label that keeps a node out of load balancing leaves a Service silent where it leaves no node. */
  strictExclude: boolean;
  /** An address does not go back to a node that returns. */
  stickyAddresses: boolean;
}

/** As the API server's audit log takes them. */
export interface AuditOptions {
  policyFile: string;
  /** Absolute, or `-`. */
  logPath: string;
  mode: 'batch' | 'blocking' | 'blocking-strict';
  rotation: { maxAgeDays: number; maxBackups: number; maxSizeMib: number };
}

export interface DatabaseOptions {
  /** `postgres://…` without a password: the configuration is a file that everybody may read. */
  url: string;
  /** Holds the password; undefined: it is in the environment's PGPASSWORD, or none is needed. */
  passwordFile: string | undefined;
}

export interface EtcdOptions {
  endpoints: string[];
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

/** Flags as commander hands them over. */
export interface RawOptions {
  root?: string;
  nodeName?: string;
  nodeIp?: string;
  runtime?: string;
  podCidr?: string;
  serviceCidr?: string;
  clusterDomain?: string;
  disable?: string[];
  apiPort?: string;
  kubeletPort?: string;
  dnsPort?: string;
  datastoreEndpoint?: string;
  datastorePasswordFile?: string;
  etcdServers?: string;
  etcdCafile?: string;
  etcdCertfile?: string;
  etcdKeyfile?: string;
  etcdCompactionInterval?: string;
  kubeletConfig?: string;
  auditPolicyFile?: string;
  auditLogPath?: string;
  auditLogMode?: string;
  auditLogMaxage?: string;
  auditLogMaxbackup?: string;
  auditLogMaxsize?: string;
  shutdownDelayDuration?: string;
  announcements?: string;
  strictExclude?: boolean;
  stickyAddresses?: boolean;
}

const dnsName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;

/** Whether a Node can have this name (a DNS subdomain, RFC 1123). */
export function isNodeName(text: string): boolean {
  return dnsName.test(text) && text.length <= 253;
}

function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (!found) throw new UsageError(`${flag} ${value}: expected one of ${allowed.join(', ')}`);
  return found;
}

function ipv4Block(flag: string, text: string, longestPrefix: number): string {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  const octets = match?.slice(1, 5).map(Number) ?? [];
  const prefix = Number(match?.[5]);
  if (!match || octets.some((octet) => octet > 255))
    throw new UsageError(`${flag} ${text}: expected an IPv4 block such as 10.244.0.0/16`);
  if (prefix > longestPrefix || prefix < 8)
    throw new UsageError(`${flag} ${text}: the prefix must be between /8 and /${longestPrefix}`);
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  if (address % 2 ** (32 - prefix) !== 0)
    throw new UsageError(`${flag} ${text}: the address has bits beyond the prefix`);
  return text;
}

/** Whether two IPv4 blocks share an address. */
export function overlap(a: string, b: string): boolean {
  const [first, second] = [a, b].map((block) => {
    const [address, prefix] = block.split('/') as [string, string];
    const start = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
    return { start, end: start + 2 ** (32 - Number(prefix)) };
  }) as [{ start: number; end: number }, { start: number; end: number }];
  return first.start < second.end && second.start < first.end;
}

function port(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65535)
    throw new UsageError(`${flag} ${text}: expected a port between 1 and 65535`);
  return value;
}

/** A duration as upstream's flags write it, in whole hours, minutes and seconds; milliseconds. */
function duration(flag: string, text: string): number {
  const match = /^(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  const [hours, minutes, seconds] = (match?.slice(1) ?? []).map((part) => Number(part ?? 0));
  const total = ((hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
  // The longest delay of a timer.
  if (!match || total < 1000 || total > 0x7fffffff)
    throw new UsageError(`${flag} ${text}: expected a duration between 1s and 596h, such as 5m or 1h30m`);
  return total;
}

/** Reads flags into options; throws {@link UsageError} with a sentence that names the flag. */
export function parseOptions(raw: RawOptions): ClusterOptions {
  const nodeName = raw.nodeName ?? hostname().toLowerCase();
  if (!isNodeName(nodeName))
    throw new UsageError(
      `--node-name ${nodeName}: expected lower-case letters, digits, '-' and '.' (RFC 1123), such as node-1`,
    );
  const podCidr = ipv4Block('--pod-cidr', raw.podCidr ?? '10.244.0.0/16', 24);
  const serviceCidr = ipv4Block('--service-cidr', raw.serviceCidr ?? '10.96.0.0/12', 28);
  if (overlap(podCidr, serviceCidr))
    throw new UsageError(`--pod-cidr ${podCidr} and --service-cidr ${serviceCidr} overlap`);
  const clusterDomain = raw.clusterDomain ?? 'cluster.local';
  // Names of Services and pods stand before it, and a whole name holds 253 characters.
  if (!dnsName.test(clusterDomain) || clusterDomain.length > 60)
    throw new UsageError(`--cluster-domain ${clusterDomain}: expected a DNS name such as cluster.local`);
  if (raw.nodeIp !== undefined && !isIPv4(raw.nodeIp))
    throw new UsageError(`--node-ip ${raw.nodeIp}: expected an IPv4 address`);
  return {
    root: rootFolder(raw.root ?? '/'),
    nodeName,
    nodeIp: raw.nodeIp,
    runtime: oneOf('--runtime', raw.runtime ?? 'containerd', ['containerd', 'simulated']),
    podCidr,
    serviceCidr,
    clusterDomain,
    disable: (raw.disable ?? [])
      .flatMap((value) => value.split(','))
      .map((value) => oneOf('--disable', value, disableable)),
    ports: portsOf(raw),
    etcd: etcdOf(raw),
    database: databaseOf(raw),
    compactionIntervalMs:
      raw.etcdCompactionInterval === undefined
        ? undefined
        : duration('--etcd-compaction-interval', raw.etcdCompactionInterval),
    kubeletConfig: existingFile('--kubelet-config', raw.kubeletConfig),
    audit: auditOf(raw),
    shutdownDelayMs:
      raw.shutdownDelayDuration === undefined
        ? undefined
        : duration('--shutdown-delay-duration', raw.shutdownDelayDuration),
    ...loadBalancerOf(raw),
  };
}

function loadBalancerOf(
  raw: RawOptions,
): Pick<ClusterOptions, 'announcementsFile' | 'strictExclude' | 'stickyAddresses'> {
  const left = (raw.disable ?? []).flatMap((value) => value.split(',')).includes('loadbalancer');
  for (const [flag, given] of [
    ['--announcements', raw.announcements],
    ['--strict-exclude', raw.strictExclude],
    ['--sticky-addresses', raw.stickyAddresses],
  ] as const)
    if (left && given !== undefined)
      throw new UsageError(`${flag} is for the load balancer, which --disable loadbalancer leaves out`);
  return {
    announcementsFile: existingFile('--announcements', raw.announcements),
    strictExclude: raw.strictExclude ?? false,
    stickyAddresses: raw.stickyAddresses ?? false,
  };
}

/** Longest path below `--root` of a unix socket; the kernel takes 107 bytes. */
const longestSocket = 'run/cloudless/containerd.sock.ttrpc'.length;

function rootFolder(text: string): string {
  if (/[\s:,]/.test(text))
    throw new UsageError(`--root ${text}: white space, ':' and ',' cannot be in mount options`);
  const root = resolve(text);
  if (Buffer.byteLength(join(root, '/')) + longestSocket > 107)
    throw new UsageError(
      `--root ${root}: the path is too long for the unix sockets below it; at most ${106 - longestSocket} characters`,
    );
  return root;
}

/** A file that a flag names, as an absolute path: processes have working folders of their own. */
function existingFile(flag: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const absolute = resolve(path);
  if (!existsSync(absolute)) throw new UsageError(`${flag} ${path}: there is no such file`);
  return absolute;
}

function portsOf(raw: RawOptions): NodePorts {
  const ports: NodePorts = {
    ...defaultPorts,
    apiserver: port('--api-port', raw.apiPort, defaultPorts.apiserver),
    kubelet: port('--kubelet-port', raw.kubeletPort, defaultPorts.kubelet),
    dns: port('--dns-port', raw.dnsPort, defaultPorts.dns),
  };
  const users = new Map<number, string>();
  for (const [user, number] of Object.entries(ports)) {
    const other = users.get(number);
    if (other !== undefined)
      throw new UsageError(`port ${number} is asked for twice: by ${other} and by ${user}`);
    users.set(number, user);
  }
  return ports;
}

function count(flag: string, text: string | undefined): number {
  const value = Number(text ?? 0);
  if (!Number.isInteger(value) || value < 0)
    throw new UsageError(`${flag} ${text}: expected a whole number, 0 for no limit`);
  return value;
}

function auditOf(raw: RawOptions): AuditOptions | undefined {
  const { auditPolicyFile, auditLogPath } = raw;
  if (auditPolicyFile === undefined && auditLogPath === undefined) return undefined;
  if (auditPolicyFile === undefined)
    throw new UsageError('--audit-log-path goes with --audit-policy-file: a policy says what is written');
  if (auditLogPath === undefined)
    throw new UsageError(
      '--audit-policy-file goes with --audit-log-path: the file that events are written to',
    );
  return {
    policyFile: existingFile('--audit-policy-file', auditPolicyFile) as string,
    logPath: auditLogPath === '-' ? '-' : resolve(auditLogPath),
    mode: oneOf('--audit-log-mode', raw.auditLogMode ?? 'batch', ['batch', 'blocking', 'blocking-strict']),
    rotation: {
      maxAgeDays: count('--audit-log-maxage', raw.auditLogMaxage),
      maxBackups: count('--audit-log-maxbackup', raw.auditLogMaxbackup),
      maxSizeMib: count('--audit-log-maxsize', raw.auditLogMaxsize),
    },
  };
}

function databaseOf(raw: RawOptions): DatabaseOptions | undefined {
  const { datastoreEndpoint: url, datastorePasswordFile, etcdServers } = raw;
  const passwordFile = existingFile('--datastore-password-file', datastorePasswordFile);
  if (url === undefined) {
    if (passwordFile !== undefined)
      throw new UsageError('--datastore-password-file goes with --datastore-endpoint');
    return undefined;
  }
  if (etcdServers !== undefined)
    throw new UsageError(
      '--datastore-endpoint and --etcd-servers: objects are stored in one place, choose one',
    );
  if (!/^postgres(ql)?:/.test(url))
    throw new UsageError(
      '--datastore-endpoint: expected postgres://USER@HOST/DATABASE; without the flag the datastore is a file below --root',
    );
  const { password } = addressOf(url);
  if (password !== undefined)
    throw new UsageError(
      '--datastore-endpoint: a password there is seen in the list of processes: write it to a file of mode 0600 and ' +
        'give that with --datastore-password-file, or set PGPASSWORD',
    );
  return { url, passwordFile };
}

function addressOf(url: string): PostgresAddress {
  try {
    return parsePostgresUrl(url);
  } catch (error) {
    throw new UsageError(`--datastore-endpoint: ${(error as Error).message}`, { cause: error });
  }
}

function etcdOf(raw: RawOptions): EtcdOptions | undefined {
  const files = {
    caFile: existingFile('--etcd-cafile', raw.etcdCafile),
    certFile: existingFile('--etcd-certfile', raw.etcdCertfile),
    keyFile: existingFile('--etcd-keyfile', raw.etcdKeyfile),
  };
  if ((files.certFile === undefined) !== (files.keyFile === undefined))
    throw new UsageError('--etcd-certfile and --etcd-keyfile go together');
  if (raw.etcdServers === undefined) {
    if (files.caFile !== undefined || files.certFile !== undefined)
      throw new UsageError('--etcd-cafile, --etcd-certfile and --etcd-keyfile go with --etcd-servers');
    return undefined;
  }
  const endpoints = raw.etcdServers.split(',').map((text) => text.trim());
  for (const endpoint of endpoints)
    if (!/^https?:\/\/[^\s/]+$/.test(endpoint) || !URL.canParse(endpoint))
      throw new UsageError(
        `--etcd-servers ${endpoint}: expected URLs such as https://192.0.2.1:2379, with commas between`,
      );
  return { endpoints, ...files };
}

/** The address `index` places into a block: the API server's Service is 1, cluster DNS 10, as kubeadm has them. */
export function addressIn(block: string, index: number): string {
  const [address, prefix] = block.split('/') as [string, string];
  const start = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - Number(prefix));
  const value = start + Math.min(index, size - 2);
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
