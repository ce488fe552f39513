import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { findProgram, hasCapability } from '@cloudless/kubelet/containerd/machine';

/** Something about this machine that keeps the cluster from starting; the message names the remedy. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}

/** Why real containers cannot run here, in a sentence with its remedy; undefined when they can. `find` looks for a program. */
export function whyNoContainers(find: typeof findProgram = findProgram): string | undefined {
  if (process.getuid?.() !== 0) return 'containers need root: run this as root (sudo)';
  if (!hasCapability('sysAdmin'))
    return 'containers need the capability CAP_SYS_ADMIN, which this process lacks (an unprivileged container?)';
  const missing = [
    ['containerd', 'containerd'],
    ['runc', 'runc'],
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
  ].filter(([program]) => find(program as string) === undefined);
  if (missing.length > 0)
    return `${missing.map(([program]) => program).join(', ')} not found: apt-get install ${missing.map(([, deb]) => deb).join(' ')}`;
  return undefined;
}

/** A port that this node needs. */
export interface NeededPort {
  port: number;
  host: string;
  /** The flag that chooses another; undefined when there is none. */
  flag: string | undefined;
  transport: 'tcp' | 'udp';
}

/** Throws {@link MachineError} when the port cannot be listened on, and says who has it. */
export async function checkPortFree(needed: NeededPort): Promise<void> {
  try {
    await (needed.transport === 'tcp' ? tryTcp(needed) : tryUdp(needed));
  } catch (error) {
    throw new MachineError(whyNotFree(needed, error as NodeJS.ErrnoException), { cause: error });
  }
}

function tryTcp({ port, host }: NeededPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host }, () => server.close(() => resolve()));
  });
}

function tryUdp({ port, host }: NeededPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind(port, host, () => socket.close(() => resolve()));
  });
}

function whyNotFree(needed: NeededPort, error: NodeJS.ErrnoException): string {
  const { port, host, flag, transport } = needed;
  const another = flag === undefined ? '' : `, or choose another with ${flag}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} (${transport}) on ${host} is taken${holderOf(needed)}: stop that${another}`;
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine: see --node-ip`;
    case 'EACCES':
      return `port ${port} on ${host} is for root only: run this as root${another}`;
    default:
      return `cannot listen on ${host}:${port}: ${error.message}`;
  }
}

/** ` by nginx (pid 812)`, where `ss` knows. */
function holderOf({ port, transport }: NeededPort): string {
  try {
    const kind = transport === 'tcp' ? '-Hltnp' : '-Hlunp';
    const text = execFileSync('ss', [kind, `sport = :${port}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const match = /\(\("([^"]+)",pid=(\d+)/.exec(text);
    return match ? ` by ${match[1]} (pid ${match[2]})` : '';
  } catch {
    return '';
  }
}

/** Throws {@link MachineError} when this user cannot write below `folder`, which need not exist yet. */
export function checkWritable(folder: string): void {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new MachineError(
      `user ${process.getuid?.() ?? '?'} cannot write below ${existing}: run this as root, or keep the state in a folder of your own with --root`,
      { cause },
    );
  }
}

/**
 * The IPv4 address by which other nodes reach this one: that of the default route, otherwise the first that is
 * not loopback. undefined when there is none.
 */
export function detectNodeIp(): string | undefined {
  try {
    const text = execFileSync('ip', ['-json', '-4', 'route', 'get', '192.0.2.1'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [route] = JSON.parse(text) as Array<{ prefsrc?: string }>;
    if (route?.prefsrc && !route.prefsrc.startsWith('127.')) return route.prefsrc;
  } catch {
    // No default route, or no `ip`.
  }
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (name.startsWith('cloudless') || /^cl[0-9a-f]{12}$/.test(name)) continue;
    for (const address of addresses ?? [])
      if (address.family === 'IPv4' && !address.internal) return address.address;
  }
  return undefined;
}

/** Whether an address belongs to an interface of this network namespace. */
export function isOwnAddress(ip: string): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some((address) => address.address === ip),
  );
}
