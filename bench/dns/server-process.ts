/** A name server in a process of its own, bound to some cores. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { onCores } from './alone.ts';
import { emptyMessage, parseMessage, writeMessage } from '@cloudless/dns/wire/message';

export interface ServerProcess {
  readonly what: string;
  readonly port: number;
  /** CPU seconds that it and its children have used. */
  cpuSeconds(): number;
  residentMegabytes(): number;
  stop(): Promise<void>;
}

export interface Command {
  what: string;
  program: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  port: number;
  cores: string;
  /** A name that has an A record once all is served. */
  ready: string;
}

/** Nothing is left running when the benchmark is ended by a signal. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGTERM');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Starts it and waits until it answers. */
export async function startServer(command: Command): Promise<ServerProcess> {
  const child = spawn(...onCores(command.cores, command.program, command.args), {
    env: command.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said = (said + String(chunk)).slice(-4000)));
  const pid = child.pid as number;
  const stop = (): Promise<void> => stopProcess(child);
  for (let tries = 0; (await ask(command.port, command.ready)) === undefined; tries++) {
    if (child.exitCode !== null || tries > 600) {
      await stop();
      throw new Error(`${command.what} does not answer: ${said}`);
    }
    await pause(50);
  }
  return {
    what: command.what,
    port: command.port,
    cpuSeconds: () => family(pid).reduce((sum, one) => sum + cpuSecondsOf(one), 0),
    residentMegabytes: () => family(pid).reduce((sum, one) => sum + residentOf(one), 0),
    stop,
  };
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 3000);
  await ended;
  clearTimeout(late);
}

/** The address of a name; undefined: no answer, or another one than an address, within half a second. */
export async function ask(port: number, name: string): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise((resolve) => {
      setTimeout(() => resolve(undefined), 500);
      socket.on('error', () => resolve(undefined));
      socket.on('message', (bytes) => resolve(parseMessage(bytes).answers[0]?.data.join('.')));
      socket.connect(port, '127.0.0.1', () =>
        socket.send(
          writeMessage({
            ...emptyMessage,
            id: 1,
            recursionDesired: true,
            questions: [{ name, type: 1, class: 1 }],
          }),
        ),
      );
    });
  } finally {
    socket.close();
  }
}

function family(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc'))
    if (/^\d+$/.test(entry)) {
      const stat = statOf(Number(entry));
      if (stat) parents.set(Number(entry), Number(stat[1]));
    }
  const found = [pid];
  for (let i = 0; i < found.length; i++)
    for (const [child, parent] of parents) if (parent === found[i]) found.push(child);
  return found;
}

/** Fields of /proc/PID/stat from the state on. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function cpuSecondsOf(pid: number): number {
  const stat = statOf(pid);
  return stat ? (Number(stat[11]) + Number(stat[12])) / 100 : 0;
}

function residentOf(pid: number): number {
  return (Number(statOf(pid)?.[21] ?? 0) * 4096) / 1e6;
}
