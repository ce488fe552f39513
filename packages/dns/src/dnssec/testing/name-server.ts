/** Name servers of others on the loopback, for tests: started on a port that is free, asked until they answer. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@cloudless/kube/testing/free-port';
import { findPeer } from '@cloudless/kube/testing/peers';
import { emptyMessage, type Message, parseMessage, plainEdns, writeMessage } from '../../wire/message.ts';
import { classIn } from '../../wire/types.ts';

export interface NameServer extends AsyncDisposable {
  readonly port: number;
  /** Asks with DO and AD. Rejects when there is no answer for some seconds. */
  ask(name: string, type: number): Promise<Message>;
}

export interface NameServerOptions {
  /** The peer's program. */
  readonly program: string;
  /** The text of its configuration. */
  readonly configure: (folder: string, port: number) => string;
  /** Arguments in front of the configuration file's path. */
  readonly args: readonly string[];
  /** It is ready when it gives records for this question. */
  readonly probe: readonly [string, number];
}

const startTries = 3;
const startLimitMs = 15_000;

/** Starts it and waits until it answers; on another port when somebody else took the first one meanwhile. */
export async function startNameServer(options: NameServerOptions): Promise<NameServer> {
  for (let triesLeft = startTries - 1; ; triesLeft--) {
    const started = await startOnce(options);
    if (typeof started !== 'string') return started;
    if (triesLeft === 0 || !/address (already )?in use/i.test(started))
      throw new Error(`${options.program} does not answer: ${started}`);
  }
}

/** The server, or its log when it does not answer. */
async function startOnce({
  program,
  configure,
  args,
  probe,
}: NameServerOptions): Promise<NameServer | string> {
  const peer = findPeer(program);
  if (!peer) throw new Error(`no ${program} here`);
  const folder = mkdtempSync(join(tmpdir(), `dnssec-${program}-`));
  const port = await freePort();
  const file = join(folder, 'config');
  writeFileSync(file, configure(folder, port));
  const child = spawn(peer.program, [...args, file], { env: peer.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const ask = (name: string, type: number, limitMs?: number): Promise<Message> =>
    exchange(port, name, type, limitMs);
  const dispose = (): Promise<void> => end(child, folder);
  const limitMs = Date.now() + startLimitMs;
  while (Date.now() < limitMs && child.exitCode === null) {
    const answer = await ask(...probe, 500).catch(() => undefined);
    if (answer && answer.answers.length > 0 && child.exitCode === null)
      return { port, ask, [Symbol.asyncDispose]: dispose };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await dispose();
  return log;
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true });
}

/** Asks by UDP with DO, and CO if wanted, until there is an answer. Rejects after `limitMs`. */
export async function exchange(
  port: number,
  name: string,
  type: number,
  limitMs = 10_000,
  compactOk = false,
): Promise<Message> {
  const socket = createSocket('udp4');
  const id = Math.floor(Math.random() * 65_536);
  const query = writeMessage({
    ...emptyMessage,
    id,
    recursionDesired: true,
    authenticData: true,
    questions: [{ name, type, class: classIn }],
    edns: { ...plainEdns, dnssecOk: true, compactOk, udpSize: 4096 },
  });
  socket.on('error', () => {});
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const repeat = setInterval(() => socket.send(query, () => {}), 100);
  const { promise, resolve, reject } = Promise.withResolvers<Message>();
  const limit = setTimeout(() => reject(new Error(`no answer about ${name} type ${type}`)), limitMs);
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

/** Runs a peer's program to its end: its standard output and error. */
export function runPeer(program: string, args: readonly string[]): Promise<string> {
  const peer = findPeer(program);
  if (!peer) throw new Error(`no ${program} here`);
  return new Promise((resolve) => {
    execFile(peer.program, args, { env: peer.env, timeout: 20_000, maxBuffer: 2 ** 26 }, (_error, out, err) =>
      resolve(`${out}${err}`),
    );
  });
}
