// The datastore against etcd and against kine's way of using a database, on this machine, in this run, by the same
// client: `npm run bench datastore` or `node bench/datastore.ts [PART…] [--on=NAME,…]`.
//
// PARTs: speed, watch, start, million, stalls, wear. --on: sqlite, served, postgres, etcd, kine-sqlite, kine-postgres.
// ETCD names another etcd than Debian's; SECONDS is how long each figure is taken (2), ROUNDS how often (3).
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { etcd } from './datastore/etcd.ts';
import type { Figure } from './datastore/lean-process.ts';
import { kinePostgres, kineSqlite } from './datastore/kine.ts';
import { sqlite } from './datastore/ours.ts';
import { servedPostgres, servedSqlite } from './datastore/server.ts';
import * as speed from './datastore/speed.ts';
import { stalls } from './datastore/stalls.ts';
import type { Running, Subject } from './datastore/subject.ts';
import { bulkWear, idleWear } from './datastore/wear.ts';
import { median, quantile } from './table.ts';

const all: Record<string, Subject> = {
  etcd,
  served: servedSqlite,
  sqlite,
  postgres: servedPostgres,
  'kine-sqlite': kineSqlite,
  'kine-postgres': kinePostgres,
};
const seconds = Number(process.env['SECONDS'] ?? 2);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const forMs = seconds * 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { on: { type: 'string', default: Object.keys(all).join(',') } },
});
const names = values.on.split(',');

type Cells = Record<string, number | undefined>;
interface Line {
  what: string;
  unit: (value: number) => string;
  cells: Cells;
  /** A ratio above 1 is better. */
  isMoreBetter: boolean;
}

/** One column for each subject, with its ratio to etcd's figure. */
function print(title: string, lines: readonly Line[]): void {
  const columns = names.filter((name) => lines.some(({ cells }) => cells[name] !== undefined));
  if (columns.length === 0) return;
  console.log(`### ${title}\n\n| what | ${columns.map((name) => all[name]?.name).join(' | ')} |`);
  console.log(`|---|${columns.map(() => '---|').join('')}`);
  for (const { what, unit, cells, isMoreBetter } of lines) {
    const reference = cells['etcd'];
    const row = columns.map((name) => {
      const value = cells[name];
      if (value === undefined) return '';
      if (reference === undefined || name === 'etcd') return unit(value);
      const ratio = isMoreBetter ? value / reference : reference / value;
      return `${unit(value)} (${ratio.toFixed(ratio < 10 ? 2 : 0)} ×)`;
    });
    console.log(`| ${what} | ${row.join(' | ')} |`);
  }
  console.log('');
}

const perSecond = (value: number): string => `${Math.round(value)}/s`;
const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const bytes = (value: number): string => `${(value / 1000).toFixed(2)} KB`;
const megabytes = (value: number): string => `${Math.round(value / 1e6)} MB`;

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-datastore-'));
  // PostgreSQL runs as a user of its own.
  chmodSync(folder, 0o755);
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Started {
  readonly name: string;
  readonly running: Running;
}

/** All of them run beside each other, so that a figure can be taken of each within seconds. */
async function withAll(
  wanted: readonly string[],
  work: (all: readonly Started[]) => Promise<void>,
): Promise<void> {
  await inFolder(async (place) => {
    const started: Started[] = [];
    try {
      for (const name of wanted) {
        const folder = join(place, name);
        mkdirSync(folder, { mode: 0o755 });
        started.push({ name, running: await (all[name] as Subject).start(folder) });
      }
      await work(started);
    } finally {
      for (const { running } of started) await running.stop();
    }
  });
}

/** Lets the one before write out what it has left. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));

async function speeds(): Promise<void> {
  const figures: Array<[what: string, figure: Figure]> = [
    ...[1, 16, 64, 256].map((clients): [string, Figure] => [
      `puts, ${clients} clients`,
      { what: 'puts', clients, forMs },
    ]),
    ...[1, 64].map((clients): [string, Figure] => [
      `gets, ${clients} clients`,
      { what: 'gets', clients, forMs },
    ]),
    ['list of 10,000', { what: 'list', rounds: 10 }],
  ];
  const samples = new Map<string, Record<string, number[]>>(figures.map(([what]) => [what, {}]));
  await withAll(names, async (started) => {
    for (const { running } of started) await speed.fill(running, 10_000);
    for (let round = 0; round < rounds; round++) {
      for (const [what, figure] of figures) {
        for (const { name, running } of started) {
          await settle();
          const { lean, target } = running;
          const value = await (lean?.take(figure) ?? speed.take(target, figure));
          ((samples.get(what) as Record<string, number[]>)[name] ??= []).push(value);
        }
      }
    }
  });
  const lines = [...samples].map(([what, row]): Line => {
    const cells = Object.fromEntries(Object.entries(row).map(([name, of]) => [name, median(of)]));
    const isList = what.startsWith('list');
    return { what, unit: isList ? ms : perSecond, cells, isMoreBetter: !isList };
  });
  print(`1 KB values: median of ${rounds} rounds of ${seconds} s`, lines);
}

async function watches(): Promise<void> {
  const delays: Record<string, number[]> = {};
  await withAll(names, async (started) => {
    const watched = started.filter(({ running }) => running.store !== undefined);
    for (const { running } of watched) await speed.watchDelays(running, 500);
    for (let round = 0; round < rounds * 2; round++) {
      for (const { name, running } of watched)
        (delays[name] ??= []).push(...(await speed.watchDelays(running, forMs)));
    }
  });
  const at = (fraction: number): Cells =>
    Object.fromEntries(Object.entries(delays).map(([name, of]) => [name, quantile(of, fraction)]));
  print('From the call of a put to its event, 16 clients that write 50 a second each', [
    { what: 'p50', unit: ms, cells: at(0.5), isMoreBetter: false },
    { what: 'p99', unit: ms, cells: at(0.99), isMoreBetter: false },
  ]);
}

async function starts(): Promise<void> {
  const [filled, started, computed, again]: [Cells, Cells, Cells, Cells] = [{}, {}, {}, {}];
  for (const name of names.filter((one) => ['etcd', 'served', 'postgres'].includes(one))) {
    await inFolder(async (folder) => {
      const subject = all[name] as Subject;
      const running = await subject.start(folder);
      await speed.fill(running, 100_000);
      filled[name] = speed.residentBytesOf(running);
      await running.stop();
      if (name === 'postgres') return;
      const { ms: took, computedMs, residentBytes } = await speed.startUp(subject, folder);
      started[name] = took;
      computed[name] = computedMs;
      again[name] = residentBytes;
    });
  }
  print('100,000 keys of 1 KB', [
    { what: 'process started to first answer', unit: ms, cells: started, isMoreBetter: false },
    { what: 'processor time until then', unit: ms, cells: computed, isMoreBetter: false },
    { what: 'resident once written', unit: megabytes, cells: filled, isMoreBetter: false },
    { what: 'resident after a start', unit: megabytes, cells: again, isMoreBetter: false },
  ]);
}

async function million(): Promise<void> {
  await inFolder(async (folder) => {
    // In this process: the same file, without a million calls.
    const running = await sqlite.start(folder);
    await speed.fill(running, 1_000_000);
    await running.stop();
    const { ms: took, computedMs, residentBytes } = await speed.startUp(servedSqlite, folder);
    print('1,000,000 keys of 1 KB', [
      { what: 'process started to first answer', unit: ms, cells: { served: took }, isMoreBetter: false },
      { what: 'processor time until then', unit: ms, cells: { served: computedMs }, isMoreBetter: false },
      { what: 'resident', unit: megabytes, cells: { served: residentBytes }, isMoreBetter: false },
    ]);
  });
}

async function wears(): Promise<void> {
  const [idle, year, bulk]: [Cells, Cells, Cells] = [{}, {}, {}];
  for (const name of names.filter((other) => !['sqlite', 'postgres'].includes(other))) {
    const subject = all[name] as Subject;
    const { bytesPerPut, terabytesPerYear } = await idleWear(subject, {
      warmUp: 300,
      puts: 3000,
      paceMs: 10,
    });
    idle[name] = bytesPerPut;
    year[name] = terabytesPerYear;
    // Enough for every segment to be used twice; kine's way has no such thing, and is slow.
    bulk[name] = await bulkWear(subject, name.startsWith('kine') ? 5000 : 50_000);
    console.error(`${subject.name}: ${bytes(bytesPerPut)} idle, ${bytes(bulk[name])} in bulk`);
  }
  const terabytes = (value: number): string => `${value.toFixed(2)} TB`;
  print('Written to the device: 100 leases of 500 B renewed one by one, life 10 times as fast', [
    { what: 'for each put', unit: bytes, cells: idle, isMoreBetter: false },
    { what: 'in a year of 10 puts a second', unit: terabytes, cells: year, isMoreBetter: false },
    { what: 'for each put of 1 KB, 64 clients at once', unit: bytes, cells: bulk, isMoreBetter: false },
  ]);
  if (!names.includes('sqlite')) return;
  const long = await idleWear(sqlite, { warmUp: 30_000, puts: 50_000, paceMs: 0 });
  const windowed: Line[] = [];
  for (const windowMs of [100, 1000]) {
    const { bytesPerPut } = await idleWear(sqlite, {
      warmUp: 200,
      puts: 2000,
      paceMs: 0,
      commitWindowMs: windowMs,
    });
    windowed.push({
      what: `commit window of ${windowMs} ms`,
      unit: bytes,
      cells: { sqlite: bytesPerPut },
      isMoreBetter: false,
    });
  }
  print('Ours, the same leases', [
    {
      what: '50,000 puts after 30,000, without pauses: every segment was used, applied and used again',
      unit: bytes,
      cells: { sqlite: long.bytesPerPut },
      isMoreBetter: false,
    },
    {
      what: 'the same by the store’s own count',
      unit: bytes,
      cells: { sqlite: long.countedPerPut },
      isMoreBetter: false,
    },
    ...windowed,
  ]);
}

async function stalled(): Promise<void> {
  const figures = await inFolder((folder) => stalls(servedSqlite, folder, forMs * 5));
  const line = (what: string, unit: Line['unit'], value: number): Line => ({
    what,
    unit,
    cells: { served: value },
    isMoreBetter: false,
  });
  print('64 clients that write 8 KB to 5,000 keys: the server', [
    line('puts, compacted every second', perSecond, figures.putsPerSecond),
    line('their p50', ms, figures.p50),
    line('their p99', ms, figures.p99),
    ...(['compacted', 'uncompacted', 'reading'] as const).flatMap((phase) => [
      line(`longest stall of the event loop, ${phase}`, ms, figures[phase].longestMs),
      line(`longest it computed without a pause, ${phase}`, ms, figures[phase].computedMs),
    ]),
  ]);
}

const parts: Record<string, () => Promise<void>> = {
  speed: speeds,
  watch: watches,
  start: starts,
  million,
  stalls: stalled,
  wear: wears,
};
const unknown = [
  ...positionals.filter((part) => !(part in parts)),
  ...names.filter((name) => !(name in all)),
];
if (unknown.length > 0) {
  console.error(
    `no ${unknown.join(', ')}: parts are ${Object.keys(parts).join(', ')}; --on takes ${Object.keys(all).join(', ')}`,
  );
  process.exit(2);
}
for (const [name, run] of Object.entries(parts)) {
  if (positionals.length === 0 || positionals.includes(name)) await run();
}
