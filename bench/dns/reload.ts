import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ms, printTable } from '../table.ts';
import { dnsperf } from './dnsperf.ts';
import { ask } from './server-process.ts';
import { contestants } from './servers.ts';
import { writeQuestions, type ZoneSet, zoneText } from './zone-set.ts';

const names = 100_000;
const origin = 'z0.bench';

/** A zone of 100,000 records gets new content while it is asked about. */
export async function measureReload(parent: string): Promise<void> {
  const folder = join(parent, 'reload');
  mkdirSync(folder);
  const set: ZoneSet = { what: 'reload', origins: [origin], namesPerZone: names, folder };
  writeFileSync(join(folder, origin), zoneText(origin, names));
  const questions = writeQuestions(join(parent, 'reload-questions'), set, 50_000);
  const server = await contestants[0]?.start({ set, cores: '0,1', folder: parent });
  if (!server) throw new Error('there is no server to reload');
  try {
    const load = { port: server.port, questions, cores: '0,1', paced: 10_000 };
    const quiet = await dnsperf({ ...load, seconds: 4 });
    const loading = dnsperf({ ...load, seconds: 6 });
    await pause(1000);
    const fresh = join(parent, 'fresh');
    writeFileSync(fresh, `${zoneText(origin, names, 2)}fresh A 192.0.2.99\n`);
    const startedMs = performance.now();
    renameSync(fresh, join(folder, origin));
    while ((await ask(server.port, `fresh.${origin}`)) !== '192.0.2.99') await pause(2);
    const tookMs = performance.now() - startedMs;
    const { sent, lost, p50, p99 } = await loading;
    printTable(`A zone of ${names} records is reloaded while 10,000 questions a second are asked`, [
      { what: 'new content is served after', value: ms(tookMs) },
      { what: 'questions without an answer', value: `${lost} of ${sent}`, goal: '0' },
      { what: 'p50 and p99 while it is read', value: `${p50.toFixed(0)} and ${p99.toFixed(0)} µs` },
      { what: 'p50 and p99 before', value: `${quiet.p50.toFixed(0)} and ${quiet.p99.toFixed(0)} µs` },
      { what: 'resident', value: `${server.residentMegabytes().toFixed(0)} MB` },
    ]);
  } finally {
    await server.stop();
  }
}
