// How many, how fast, how soon.
import { readFileSync } from 'node:fs';
import { quantile } from '../table.ts';
import type { Figure } from './lean-process.ts';
import type { Running, Subject, Target } from './subject.ts';

const keys = 10_000;
/** Of /proc's clock: 100 Hz everywhere. */
const msPerTick = 10;
export const value = Buffer.alloc(1024, 'v');
export const keyOf = (i: number): string => `/registry/bench/${String(i).padStart(7, '0')}`;

/** So many a second, by `clients` that each wait for their answer before they ask again. */
export async function rate(
  clients: number,
  forMs: number,
  ask: (i: number) => Promise<unknown>,
): Promise<number> {
  let count = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() - start < forMs) await ask(count++);
    }),
  );
  return (count * 1000) / (performance.now() - start);
}

/** Calls a second, or milliseconds of a list. */
export function take(target: Target, figure: Figure): Promise<number> {
  if (figure.what === 'list') return list(target, figure.rounds);
  const { clients, forMs, what } = figure;
  const key = (i: number): string => keyOf((i * 7919) % keys);
  return rate(clients, forMs, (i) => (what === 'puts' ? target.put(key(i), value) : target.get(key(i))));
}

/** Writes keys 0 to `count`. */
export async function fill({ target }: Running, count: number): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: 128 }, async () => {
      while (next < count) await target.put(keyOf(next++), value);
    }),
  );
}

/** Milliseconds for a list of all of them, the median of `rounds`. */
async function list(target: Target, rounds: number): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    const count = await target.list('/registry/bench/');
    samples.push(performance.now() - start);
    if (count < keys) throw new Error(`a list of ${count} keys instead of ${keys}`);
  }
  return quantile(samples, 0.5);
}

/** Milliseconds from the call of a put until a watch has it, while 16 clients write 50 times a second each. */
export async function watchDelays({ store, target }: Running, forMs: number): Promise<number[]> {
  if (store === undefined) throw new Error('it has no watches');
  const delays: number[] = [];
  const prefix = '/registry/watched/';
  const watch = store.watch(
    { key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`), prevKv: true },
    (message) => {
      if (message.type !== 'events') return;
      const now = performance.now();
      for (const { kv } of message.events)
        delays.push(now - Number(Buffer.from(kv.value.subarray(0, 20)).toString()));
    },
  );
  await watch.created;
  const end = performance.now() + forMs;
  await Promise.all(
    Array.from({ length: 16 }, async (_, client) => {
      for (let i = 0; performance.now() < end; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20));
        const content = Buffer.from(value);
        content.write(String(performance.now()).padEnd(20));
        await target.put(`${prefix}${client}.${i % 50}`, content);
      }
    }),
  );
  watch.cancel();
  return delays;
}

export interface StartUp {
  /** Until it answers on what is in the folder. */
  ms: number;
  /** What its process computed until then. */
  computedMs: number;
  residentBytes: number;
}

export async function startUp(subject: Subject, folder: string): Promise<StartUp> {
  const start = performance.now();
  const running = await subject.start(folder);
  await running.target.get(keyOf(1));
  const ms = performance.now() - start;
  const stat = readFileSync(`/proc/${running.pid ?? 'self'}/stat`, 'latin1');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  const residentBytes = residentBytesOf(running);
  await running.stop();
  return { ms, computedMs: (user + system) * msPerTick, residentBytes };
}

export function residentBytesOf({ pid }: Running): number {
  const status = readFileSync(`/proc/${pid ?? 'self'}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
