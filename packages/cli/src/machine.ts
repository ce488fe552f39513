import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

/** Something about this machine that keeps the cluster from starting; the message names the remedy. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}

const capSysAdmin = 21n;

/** Effective capabilities of this process as a bit set (capabilities(7)). */
function effectiveCapabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return BigInt(`0x${line?.[1] ?? '0'}`);
}

/** Whether a program is on the path or in the system's folders. */
export function findProgram(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Why real containers cannot run here, in a sentence with its remedy; undefined when they can. */
export function whyNoContainers(): string | undefined {
  if (process.getuid?.() !== 0) return 'containers need root: run this as root (sudo)';
  if ((effectiveCapabilities() & (1n << capSysAdmin)) === 0n)
    return 'containers need the capability CAP_SYS_ADMIN, which this process lacks (an unprivileged container?)';
  const missing = [
    ['containerd', 'containerd'],
    ['runc', 'runc'],
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
  ].filter(([program]) => findProgram(program as string) === undefined);
  if (missing.length > 0)
    return `${missing.map(([program]) => program).join(', ')} not found: apt-get install ${missing.map(([, deb]) => deb).join(' ')}`;
  return undefined;
}

/** Throws when something listens on the port already, and says who. */
export async function checkPortFree(port: number, host: string, flag: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(
          new MachineError(
            `port ${port} on ${host} is taken${holderOf(port)}: stop that, or choose another with ${flag}`,
          ),
        );
      else if (error.code === 'EADDRNOTAVAIL')
        reject(new MachineError(`${host} is no address of this machine: see --node-ip`));
      else reject(new MachineError(`cannot listen on ${host}:${port}: ${error.message}`));
    });
    server.listen({ port, host }, () => server.close(() => resolve()));
  });
}

/** ` by nginx (pid 812)`, where `ss` knows. */
function holderOf(port: number): string {
  try {
    const text = execFileSync('ss', ['-Hltnp', `sport = :${port}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const match = /\(\("([^"]+)",pid=(\d+)/.exec(text);
    return match ? ` by ${match[1]} (pid ${match[2]})` : '';
  } catch {
    return '';
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
