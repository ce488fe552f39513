import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Namespace } from './namespaces.ts';

export type ProbeRequest =
  | { what: 'tcp' | 'udp' | 'hold'; host: string; port: number; withinMs: number }
  | { what: 'ping'; host: string; withinMs: number }
  | { what: 'serve'; name: string; port: number; host: string }
  | { what: 'say'; text: string; withinMs: number };

/** What a probe's server sends on its third port. */
export const bulkBytes = 200_000;

/** An answer that is expected comes within this, however busy the machine is. */
const patienceMs = 5000;

/** A program in a namespace that connects, asks, pings and serves. Answers are texts; none in time: `timeout`. */
export interface Probe {
  /** What a server says on a new connection; `error CODE` when refused. */
  tcp(host: string, port: number, withinMs?: number): Promise<string>;
  /** The answer to a datagram from a new port. */
  udp(host: string, port: number, withinMs?: number): Promise<string>;
  ping(host: string, withinMs?: number): Promise<string>;
  /** Serves `NAME CLIENT-ADDRESS` on TCP and UDP, an echo on the next TCP port, {@link bulkBytes} on the one after. */
  serve(name: string, port: number, host?: string): Promise<string>;
  /** Opens a connection to an echo and keeps it; {@link say} sends on it and resolves to what comes back. */
  hold(host: string, port: number): Promise<string>;
  say(text: string): Promise<string>;
  close(): void;
}

/** Starts a probe in `namespace`, or in the one of this process. */
export function startProbe(namespace?: Namespace): Probe {
  const script = join(import.meta.dirname, 'probe-process.ts');
  const child: ChildProcess = namespace
    ? namespace.start(process.execPath, script)
    : spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map<number, (text: string) => void>();
  let last = 0;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const { id, text } = JSON.parse(line) as { id: number; text: string };
    waiting.get(id)?.(text);
    waiting.delete(id);
  });
  const ask = (request: ProbeRequest): Promise<string> =>
    new Promise((resolve) => {
      const id = (last += 1);
      waiting.set(id, resolve);
      child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  return {
    tcp: (host, port, withinMs = patienceMs) => ask({ what: 'tcp', host, port, withinMs }),
    udp: (host, port, withinMs = patienceMs) => ask({ what: 'udp', host, port, withinMs }),
    ping: (host, withinMs = patienceMs) => ask({ what: 'ping', host, withinMs }),
    serve: (name, port, host = '0.0.0.0') => ask({ what: 'serve', name, port, host }),
    hold: (host, port) => ask({ what: 'hold', host, port, withinMs: patienceMs }),
    say: (text) => ask({ what: 'say', text, withinMs: patienceMs }),
    close: () => void child.kill('SIGKILL'),
  };
}
