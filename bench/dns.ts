// Name servers compared in the same run: questions a second, CPU, latency, signed answers, reload under load, and how soon a
// Service's address is in DNS. ROUNDS (3) and SECONDS (1.5) of each measurement; `node bench/dns.ts [PART…]` runs some parts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureReload } from './dns/reload.ts';
import type { ServerProcess } from './dns/server-process.ts';
import { contestants } from './dns/servers.ts';
import { resolvers } from './dns/resolvers.ts';
import { measureService } from './dns/service.ts';
import { type Load, measure, nothingYet, type Speed, speedCells, speedColumns } from './dns/speed.ts';
import { writeQuestions, writeZoneSet, type ZoneSet } from './dns/zone-set.ts';
import { printColumns } from './table.ts';

const rounds = Number(process.env['ROUNDS'] ?? 3);
const seconds = Number(process.env['SECONDS'] ?? 1.5);
const folder = mkdtempSync(join(tmpdir(), 'cloudless-bench-dns-'));

/** Server on the first core and client on the second, or both on both. */
const layouts = [
  { what: 'one core', server: '0', client: '1' },
  { what: 'two cores', server: '0,1', client: '0,1' },
] as const;

type Layout = (typeof layouts)[number];

interface Entrant {
  name: string;
  start(): Promise<ServerProcess>;
}

/** All servers run at the same time, and are measured in turn: what disturbs one round disturbs all of them. */
async function compare(
  title: string,
  layout: Layout,
  entrants: readonly Entrant[],
  loads: Record<string, Load>,
): Promise<void> {
  const servers: ServerProcess[] = [];
  const tables = new Map(Object.keys(loads).map((name) => [name, entrants.map(nothingYet)]));
  try {
    for (const entrant of entrants) servers.push(await entrant.start());
    for (let round = 0; round < rounds; round++)
      for (const [name, load] of Object.entries(loads))
        for (const [i, server] of servers.entries())
          await measure(server, load, (tables.get(name) as Speed[])[i] as Speed, seconds);
    for (const [name, speeds] of tables) {
      const rows = speeds.map((speed, i) => [
        entrants[i]?.name as string,
        ...speedCells(speed, i === 0 ? undefined : speeds[0]),
        `${(servers[i] as ServerProcess).residentMegabytes().toFixed(0)} MB`,
      ]);
      printColumns(
        `${title}${name}, server on ${layout.what}`,
        ['server (ratio to Cloudless)', ...speedColumns, 'resident'],
        rows,
      );
    }
  } finally {
    for (const server of servers) await server.stop();
  }
}

function serving(set: ZoneSet, layout: Layout, signed = false): Entrant[] {
  return contestants
    .filter(({ canSign }) => canSign || !signed)
    .map((one) => ({
      name: one.name,
      start: () => one.start({ set, cores: layout.server, signed, folder }),
    }));
}

const parts: Record<string, () => Promise<void>> = {
  async small() {
    const set = writeZoneSet(folder, 1, 10);
    const questions = writeQuestions(join(folder, 'small'), set, 10_000);
    for (const layout of layouts)
      await compare(set.what, layout, serving(set, layout), { '': { questions, cores: layout.client } });
  },
  async large() {
    const set = writeZoneSet(folder, 1000, 100);
    const existing = writeQuestions(join(folder, 'large'), set, 60_000);
    const missing = writeQuestions(join(folder, 'missing'), set, 60_000, true);
    for (const layout of layouts)
      await compare(set.what, layout, serving(set, layout), {
        '': { questions: existing, cores: layout.client },
        ', random names that do not exist': { questions: missing, cores: layout.client },
      });
  },
  async signed() {
    const set = writeZoneSet(folder, 1, 100);
    const questions = writeQuestions(join(folder, 'signed'), set, 10_000);
    const missing = writeQuestions(join(folder, 'signed-missing'), set, 60_000, true);
    const [layout] = layouts;
    const load = { dnssecOk: true, cores: layout.client };
    await compare(`Signed answers, ${set.what}`, layout, serving(set, layout, true), {
      '': { ...load, questions },
      ', random names that do not exist': { ...load, questions: missing },
    });
  },
  async cache() {
    const set = writeZoneSet(folder, 1, 1000);
    const questions = writeQuestions(join(folder, 'cached'), set, 10_000);
    const [layout] = layouts;
    const upstream = await contestants[0]?.start({ set, cores: layout.client, folder });
    if (!upstream) throw new Error('there is no server to ask');
    try {
      const ready = `h0.${set.origins[0]}`;
      const entrants = resolvers.map((one) => ({
        name: one.name,
        start: () => one.start(upstream.port, layout.server, ready, folder),
      }));
      await compare('Answers from the cache, 1000 names', layout, entrants, {
        '': { questions, cores: layout.client },
      });
    } finally {
      await upstream.stop();
    }
  },
  reload: () => measureReload(folder),
  service: () => measureService(),
};

const wanted = process.argv.slice(2).filter((part) => part in parts);
try {
  for (const part of wanted.length > 0 ? wanted : Object.keys(parts)) await parts[part]?.();
} finally {
  rmSync(folder, { recursive: true });
}
