// Bytes written to the device: 100 nodes that renew a lease of 500 bytes every 10 s, one at a time, with the compactions
// that the API server asks for; and as many puts as possible at once.
import { Datastore } from '@cloudless/datastore';
import { type Device, makeDevice } from './device.ts';
import type { Running, Subject } from './subject.ts';

const nodes = 100;
const leaseBytes = 500;
const putsPerSecond = nodes / 10;
/** The API server compacts every 5 minutes, to where it was 5 minutes before. */
const putsPerCompaction = putsPerSecond * 300;
const secondsPerYear = 365 * 24 * 3600;

export interface Wear {
  bytesPerPut: number;
  terabytesPerYear: number;
  /** By the store's own count, if it has one. */
  countedPerPut: number | undefined;
}

const nameOf = (node: number): string =>
  `/registry/leases/kube-node-lease/node-${String(node).padStart(3, '0')}`;

/** `paceMs`: one put so often, with all the server's and file system's timers as much faster; 0: no pause. */
export async function idleWear(
  subject: Subject,
  {
    warmUp,
    puts,
    paceMs,
    commitWindowMs = 0,
  }: { warmUp: number; puts: number; paceMs: number; commitWindowMs?: number },
): Promise<Wear> {
  const speedup = paceMs === 0 ? 100 : 1000 / putsPerSecond / paceMs;
  using device = makeDevice(1024, Math.max(1, Math.round(5 / speedup)));
  const running = await subject.start(device.folder, { speedup, commitWindowMs: commitWindowMs / speedup });
  try {
    await renew(running, 0, warmUp, paceMs, commitWindowMs);
    const before = device.bytesWritten();
    const countedBefore = counted(running);
    await renew(running, warmUp, warmUp + puts, paceMs, commitWindowMs);
    const bytesPerPut = (device.bytesWritten() - before) / puts;
    const terabytesPerYear = (bytesPerPut * putsPerSecond * secondsPerYear) / 1e12;
    const countedAfter = counted(running);
    const countedPerPut =
      countedBefore === undefined || countedAfter === undefined
        ? undefined
        : (countedAfter - countedBefore) / puts;
    return { bytesPerPut, terabytesPerYear, countedPerPut };
  } finally {
    await running.stop();
  }
}

const counted = ({ store }: Running): number | undefined =>
  store instanceof Datastore ? store.figures().log.bytesWritten : undefined;

async function renew(
  { target }: Running,
  from: number,
  to: number,
  paceMs: number,
  commitWindowMs: number,
): Promise<void> {
  // In a window come as many as renew in that time; they wait for it together.
  const together = Math.max(1, Math.round((putsPerSecond * commitWindowMs) / 1000));
  for (let i = from; i < to; i += together) {
    const start = performance.now();
    await Promise.all(
      Array.from({ length: together }, (_, j) => target.put(nameOf((i + j) % nodes), lease(i + j))),
    );
    if (
      Math.floor((i + together) / putsPerCompaction) > Math.floor(i / putsPerCompaction) &&
      i > putsPerCompaction
    )
      await target.compactTo(i - putsPerCompaction);
    const rest = paceMs - (performance.now() - start);
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

function lease(i: number): Buffer {
  return Buffer.from(`{"renewTime":${i}}`.padEnd(leaseBytes, 'x'));
}

/** 64 clients that write 1 KB values to 10,000 keys, without a compaction. */
export async function bulkWear(subject: Subject, puts: number): Promise<number> {
  using device: Device = makeDevice(2048, 5);
  const running = await subject.start(device.folder);
  try {
    const before = device.bytesWritten();
    let next = 0;
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        while (next < puts) {
          const i = next++;
          await running.target.put(`/registry/bulk/${i % 10_000}`, Buffer.alloc(1024, 97 + (i % 26)));
        }
      }),
    );
    return (device.bytesWritten() - before) / puts;
  } finally {
    await running.stop();
  }
}
