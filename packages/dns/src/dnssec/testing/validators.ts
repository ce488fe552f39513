/** Validators of others, for tests: unbound as a resolver with trust anchors, and BIND's delv. */
import { execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPeer } from '@cloudless/kube/testing/peers';
import { emptyMessage, type Message, parseMessage, plainEdns, writeMessage } from '../../wire/message.ts';
import { classIn, rrType } from '../../wire/types.ts';

/** A peer's standard output and error. */
export function runPeer(name: string, args: readonly string[], cwd?: string): Promise<string> {
  const peer = findPeer(name);
  if (!peer) throw new Error(`no ${name} here`);
  return new Promise((resolve) => {
    execFile(
      peer.program,
      args,
      { env: peer.env, cwd, timeout: 20_000, maxBuffer: 2 ** 26 },
      (_error, out, err) => resolve(`${out}${err}`),
    );
  });
}

export interface Resolver extends AsyncDisposable {
  readonly port: number;
  /** Asks with DO; AD in the answer says that it validated. */
  ask(name: string, type: number): Promise<Message>;
}

/** A zone that the resolver asks our server for, and the DS that it trusts. */
export interface Anchor {
  readonly origin: string;
  /** Master-file lines; none: the zone is expected below a trusted one. */
  readonly lines: readonly string[];
}

/** unbound on the loopback, with `serverPort` as the one server of these zones; `nowMs`: what it takes for the time. */
export async function startUnbound(
  serverPort: number,
  anchors: readonly Anchor[],
  nowMs?: number,
): Promise<Resolver> {
  const peer = findPeer('unbound');
  if (!peer) throw new Error('no unbound here');
  const folder = mkdtempSync(join(tmpdir(), 'dnssec-unbound-'));
  const port = await freePort();
  const quoted = (text: string): string => `"${text}"`;
  const config = [
    'server:',
    `  interface: 127.0.0.1@${port}`,
    ...['username', 'chroot', 'pidfile', 'logfile'].map((option) => `  ${option}: ""`),
    `  directory: ${quoted(folder)}`,
    '  do-not-query-localhost: no',
    '  use-syslog: no',
    '  verbosity: 0',
    '  aggressive-nsec: no',
    '  num-threads: 1',
    '  module-config: "validator iterator"',
    '  val-log-level: 2',
    ...(nowMs === undefined ? [] : [`  val-override-date: ${quoted(timeText(nowMs))}`]),
    '  target-fetch-policy: "0 0 0 0 0"',
    ...anchors.map(({ origin }) => `  local-zone: ${quoted(`${origin}.`)} nodefault`),
    ...anchors.flatMap(({ lines }) => lines.map((line) => `  trust-anchor: ${quoted(line)}`)),
    'remote-control:',
    '  control-enable: no',
    ...anchors.flatMap(({ origin }) => [
      'stub-zone:',
      `  name: ${quoted(`${origin}.`)}`,
      `  stub-addr: 127.0.0.1@${serverPort}`,
    ]),
  ];
  const file = join(folder, 'unbound.conf');
  writeFileSync(file, `${config.join('\n')}\n`);
  const child = spawn(peer.program, ['-d', '-p', '-c', file], {
    env: peer.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const ask = (name: string, type: number): Promise<Message> => exchange(port, name, type);
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  };
  try {
    await ask('localhost', rrType.A);
  } catch (error) {
    await dispose();
    throw new Error(`unbound does not answer: ${log}`, { cause: error });
  }
  return { port, ask, [Symbol.asyncDispose]: dispose };
}

/** Asks by UDP until there is an answer. */
async function exchange(port: number, name: string, type: number): Promise<Message> {
  const socket = createSocket('udp4');
  const id = Math.floor(Math.random() * 65_536);
  const query = writeMessage({
    ...emptyMessage,
    id,
    recursionDesired: true,
    authenticData: true,
    questions: [{ name, type, class: classIn }],
    edns: { ...plainEdns, dnssecOk: true, udpSize: 4096 },
  });
  socket.on('error', () => {});
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const repeat = setInterval(() => socket.send(query, () => {}), 200);
  const { promise, resolve, reject } = Promise.withResolvers<Message>();
  const limit = setTimeout(() => reject(new Error(`no answer about ${name}`)), 10_000);
  socket.on('message', (message) => {
    if (message.readUInt16BE(0) === id) resolve(parseMessage(message));
  });
  socket.send(query, () => {});
  try {
    return await promise;
  } finally {
    clearInterval(repeat);
    clearTimeout(limit);
    socket.close();
  }
}

/** `YYYYMMDDHHMMSS`. */
function timeText(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '');
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
