/**
 * A process that writes as fast as it can and tells each acknowledged operation on standard output, to be
 * killed or stopped at any moment: `node writer.ts PATH FIRST_SEQUENCE`. `WITHOUT_FLUSH=1` plants the fault
 * that the power-loss test must notice.
 */
import { writeSync } from 'node:fs';
import { openDatastore } from '../index.ts';
import { groupsPerWorker, groupKey, memberNames, type Operation, workers } from './ledger.ts';

const [path = '', first = '0'] = process.argv.slice(2);
const planted = process.env['WITHOUT_FLUSH'] === '1';
const store = await openDatastore({
  path,
  checkpointBytes: 512 * 1024,
  // Small, so that they are used again and again between two kills.
  segmentBytes: 256 * 1024,
  reservePages: 16,
  ...(planted ? { flush: () => Promise.resolve() } : {}),
});
let sequence = Number(first);

function acknowledged(operation: Operation): void {
  // To a file, at once: what happened before a kill is told before it.
  writeSync(1, `${JSON.stringify(operation)}\n`);
}

async function work(worker: number): Promise<never> {
  for (let round = 0; ; round++) {
    const group = round % groupsPerWorker;
    const prefix = groupKey(worker, group);
    const seq = sequence++;
    acknowledged({ type: 'begin', worker, group, seq, deletes: round % 7 === 6 });
    if (round % 7 === 6) {
      const { revision } = await store.deleteRange({
        key: Buffer.from(prefix),
        rangeEnd: Buffer.from(`${prefix}~`),
      });
      acknowledged({ type: 'done', worker, group, seq, revision });
    } else {
      const value = Buffer.from(`${seq}:${'x'.repeat(seq % 900)}`);
      const { revision } = await store.txn({
        compare: [],
        success: memberNames.map((name) => ({ put: { key: Buffer.from(prefix + name), value } })),
        failure: [],
      });
      acknowledged({ type: 'done', worker, group, seq, revision });
    }
  }
}

async function compactNowAndThen(): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 120));
    const { revision, compactRevision } = await store.status();
    if (revision - 200 > compactRevision) await store.compact(revision - 200);
  }
}

await Promise.all([compactNowAndThen(), ...Array.from({ length: workers }, (_, i) => work(i))]);
