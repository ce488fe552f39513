import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { findPeer } from '@cloudless/kube/testing/peers';
import type { TsigKey } from '../keys.ts';

/** A zone of a real name server. */
export interface PeerZone {
  readonly origin: string;
  /** Addresses of its primaries; none: the server is the primary, and `text` is the zone. */
  readonly primaries?: readonly string[];
  readonly text?: string;
  /** A primary takes updates with the key (BIND only). */
  readonly takesUpdates?: boolean;
  /** Addresses that are told of changes. */
  readonly notify?: readonly string[];
}

export interface PeerServerOptions {
  /** A folder of its own, which is there. */
  readonly folder: string;
  /** It listens on port 53 of this address. */
  readonly address: string;
  readonly zones: readonly PeerZone[];
  /** Signs transfers and NOTIFYs. */
  readonly key: TsigKey;
}

/** A real name server, and what it wrote. */
export interface PeerServer extends Running {
  readonly address: string;
  output(): string;
  /** Makes a primary read its zone's text again. */
  reload(origin: string, text: string): void;
}

const zoneFile = ({ folder }: PeerServerOptions, origin: string): string => join(folder, `${origin}.zone`);

/** BIND's named. */
export function startBind(options: PeerServerOptions): Promise<PeerServer> {
  const { folder, address, zones, key } = options;
  const blocks = zones.map(({ origin, primaries = [], notify = [], takesUpdates = false }) => {
    const also =
      notify.length > 0 ? `also-notify { ${notify.map((to) => `${to} key "${key.name}";`).join(' ')} };` : '';
    const kind =
      primaries.length === 0
        ? `type primary; ixfr-from-differences ${takesUpdates ? 'no' : 'yes'}; allow-transfer { key "${key.name}"; }; ${takesUpdates ? `allow-update { key "${key.name}"; };` : ''}`
        : `type secondary; primaries { ${primaries.map((one) => `${one} key "${key.name}";`).join(' ')} }; masterfile-format text; allow-transfer { any; };`;
    return `zone "${origin}" { ${kind} ${also} file "${zoneFile(options, origin)}"; };`;
  });
  const config = `
    options { directory "${folder}"; listen-on { ${address}; }; listen-on-v6 { none; }; pid-file none;
      session-keyfile none; recursion no; notify explicit; notify-source ${address}; transfer-source ${address};
      query-source ${address}; dnssec-validation no; serial-query-rate 1000; notify-rate 1000; startup-notify-rate 1000; notify-delay 0;
      min-refresh-time 1; min-retry-time 1; managed-keys-directory "${folder}"; };
    controls { };
    key "${key.name}" { algorithm ${key.algorithm}; secret "${key.secret.toString('base64')}"; };
    ${blocks.join('\n')}`;
  writeFileSync(join(folder, 'named.conf'), config);
  writeTexts(options);
  return startPeer('named', ['-g', '-n', '1', '-c', join(folder, 'named.conf')], options, 'SIGHUP');
}

/** NLnet Labs' NSD. */
export function startNsd(options: PeerServerOptions): Promise<PeerServer> {
  const { folder, address, zones, key } = options;
  const blocks = zones.map(({ origin, primaries = [], notify = [] }) =>
    [
      `zone:\n  name: "${origin}"\n  zonefile: "${zoneFile(options, origin)}"`,
      ...(primaries.length === 0
        ? [`  provide-xfr: 127.0.0.0/8 ${key.name}`, '  store-ixfr: yes', '  create-ixfr: yes']
        : [
            ...primaries.flatMap((one) => [
              `  request-xfr: ${one}@53 ${key.name}`,
              `  allow-notify: ${one} ${key.name}`,
            ]),
            `  outgoing-interface: ${address}`,
            `  provide-xfr: 127.0.0.0/8 ${key.name}`,
            '  min-retry-time: 1',
          ]),
      ...notify.map((to) => `  notify: ${to}@53 ${key.name}\n  outgoing-interface: ${address}`),
    ].join('\n'),
  );
  const config = `server:
  ip-address: ${address}
  port: 53
  username: ""
  chroot: ""
  zonesdir: "${folder}"
  pidfile: "${join(folder, 'nsd.pid')}"
  database: ""
  xfrdfile: "${join(folder, 'xfrd.state')}"
  xfrdir: "${folder}"
  zonelistfile: "${join(folder, 'zone.list')}"
  server-count: 1
  xfrd-reload-timeout: 0
remote-control:
  control-enable: no
key:
  name: "${key.name}"
  algorithm: ${key.algorithm}
  secret: "${key.secret.toString('base64')}"
${blocks.join('\n')}
`;
  writeFileSync(join(folder, 'nsd.conf'), config);
  writeTexts(options);
  return startPeer('nsd', ['-d', '-c', join(folder, 'nsd.conf')], options, 'SIGHUP');
}

/** CZ.NIC's Knot DNS. */
export function startKnot(options: PeerServerOptions): Promise<PeerServer> {
  const { folder, address, zones, key } = options;
  const remotes = [...new Set(zones.flatMap(({ primaries = [], notify = [] }) => [...notify, ...primaries]))];
  const id = (remote: string): string => `r${remote.replaceAll('.', '-')}`;
  const config = `server:
    listen: ${address}@53
    rundir: "${folder}"
    background-workers: 1
    udp-workers: 1
    tcp-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "${folder}"
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
    catalog-db-max-size: 16M
key:
  - id: ${key.name}
    algorithm: ${key.algorithm}
    secret: ${key.secret.toString('base64')}
remote:
${remotes.map((remote) => `  - id: ${id(remote)}\n    address: ${remote}@53\n    via: ${address}\n    key: ${key.name}`).join('\n')}
acl:
  - id: transfers
    key: ${key.name}
    action: [transfer, notify]
zone:
${zones
  .map(
    ({ origin, primaries = [], notify = [] }) => `  - domain: ${origin}
    storage: "${folder}"
    file: "${zoneFile(options, origin)}"
    zonefile-load: ${primaries.length === 0 ? 'difference' : 'none'}
    journal-content: changes
    acl: transfers
${primaries.length === 0 ? '' : `    master: [${primaries.map(id).join(', ')}]\n    refresh-min-interval: 2\n`}${notify.length > 0 ? `    notify: [${notify.map(id).join(', ')}]\n` : ''}`,
  )
  .join('\n')}
`;
  writeFileSync(join(folder, 'knot.conf'), config);
  writeTexts(options);
  return startPeer('knotd', ['-c', join(folder, 'knot.conf')], options, 'SIGHUP');
}

function writeTexts(options: PeerServerOptions): void {
  mkdirSync(options.folder, { recursive: true });
  for (const { origin, text } of options.zones)
    if (text !== undefined) writeFileSync(zoneFile(options, origin), text);
}

async function startPeer(
  name: string,
  args: readonly string[],
  options: PeerServerOptions,
  reloadSignal: NodeJS.Signals,
): Promise<PeerServer> {
  const peer = findPeer(name);
  if (!peer) throw new Error(`no ${name} here`);
  const child = spawn(peer.program, args, { env: peer.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-200_000)));
  const server: PeerServer = {
    address: options.address,
    output: () => output,
    reload(origin, text) {
      writeFileSync(zoneFile(options, origin), text);
      child.kill(reloadSignal);
    },
    ...running(() => ended(child)),
  };
  for (let waitedMs = 0; !(await isListening(options.address)); waitedMs += 20) {
    if (child.exitCode !== null || waitedMs > 10_000) {
      await server.stop();
      throw new Error(`${name} did not start:\n${output}`);
    }
    await sleep(20);
  }
  return server;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exit;
  clearTimeout(timer);
}

function isListening(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(53, address);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

/** What a tool (`dig`, `nsupdate` …) wrote to standard output and error, and its exit code. */
export async function runTool(
  name: string,
  args: readonly string[],
  input = '',
): Promise<{ text: string; code: number }> {
  const peer = findPeer(name);
  if (!peer) throw new Error(`no ${name} here`);
  const run = promisify(execFile)(peer.program, args, {
    env: peer.env,
    timeout: 20_000,
    maxBuffer: 64 << 20,
  });
  // A tool that does not read its input may be gone before it is written.
  run.child.stdin?.on('error', () => {});
  run.child.stdin?.end(input);
  try {
    const { stdout, stderr } = await run;
    return { text: stdout + stderr, code: 0 };
  } catch (error) {
    const { stdout = '', stderr = '', code } = error as { stdout?: string; stderr?: string; code?: unknown };
    return { text: stdout + stderr, code: typeof code === 'number' ? code : -1 };
  }
}
