import { accessSync, constants, globSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** A program that tests speak to: BIRD, FRR, keepalived, serf, BIND, NSD, Knot, PowerDNS, unbound, dnsperf … */
export interface Peer {
  /** Absolute path. */
  readonly program: string;
  /** The test's environment with the libraries that the program was unpacked beside. */
  readonly env: NodeJS.ProcessEnv;
}

const unpacked = resolve(import.meta.dirname, '../../../../.cache/peers');
const folders = ['usr/bin', 'usr/sbin', 'usr/lib/frr', 'bin', 'sbin'];

/**
 * Finds a test peer by its file's name (`bird`, `bgpd`, `serf`): what `scripts/setup --test` unpacked beside the tests,
 * else on PATH or where Debian installs it. Undefined: this machine has none, see {@link missingPeer}.
 */
export function findPeer(name: string): Peer | undefined {
  const beside = folders.map((folder) => join(unpacked, folder, name)).find(isExecutable);
  if (beside) return { program: beside, env: { ...process.env, LD_LIBRARY_PATH: libraryPath() } };
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/lib/frr'];
  const installed = places.map((folder) => join(folder, name)).find(isExecutable);
  return installed === undefined ? undefined : { program: installed, env: process.env };
}

/** For `test(…, { skip })`: false when every peer is there, else the reason with its remedy. */
export function missingPeer(...names: string[]): string | false {
  const missing = names.filter((name) => findPeer(name) === undefined);
  return missing.length > 0 && `no ${missing.join(', ')} here: run scripts/setup --test as root`;
}

function libraryPath(): string {
  return globSync(['usr/lib/*-linux-gnu', 'lib/*-linux-gnu', 'usr/lib/*-linux-gnu/{frr,bind,pdns}'], {
    cwd: unpacked,
  })
    .map((folder) => join(unpacked, folder))
    .concat(process.env['LD_LIBRARY_PATH'] ?? [])
    .join(delimiter);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
