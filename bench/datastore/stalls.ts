// How long the server's event loop is held up while the database is written, compacted and checkpointed behind it.
import { quantile } from '../table.ts';
import type { ServedRunning, StallFigures } from './server.ts';
import { rate } from './speed.ts';

const keys = 5000;
const value = Buffer.alloc(8192, 'v');

export interface Stalls {
  putsPerSecond: number;
  compacted: StallFigures;
  uncompacted: StallFigures;
  reading: StallFigures;
  p50: number;
  p99: number;
}

export async function stalls(
  subject: { start(folder: string): Promise<ServedRunning> },
  folder: string,
  forMs: number,
): Promise<Stalls> {
  const running = await subject.start(folder);
  const { target } = running;
  const delays: number[] = [];
  const put = async (i: number): Promise<void> => {
    const start = performance.now();
    await target.put(`/registry/stalls/${i % keys}`, value);
    delays.push(performance.now() - start);
  };
  try {
    await rate(64, 1000, put);
    await running.stalls();
    await rate(64, forMs, put);
    const uncompacted = await running.stalls();
    delays.length = 0;
    let made = 0;
    const compacting = setInterval(() => {
      void (async () => {
        const status = await running.store?.status();
        if (status !== undefined) await target.compactTo(status.revision - 1000);
      })();
      made++;
    }, 1000);
    const putsPerSecond = await rate(64, forMs, put);
    clearInterval(compacting);
    if (made === 0) throw new Error('too short for a compaction');
    const compacted = await running.stalls();
    await rate(64, forMs / 2, (i) => target.get(`/registry/stalls/${i % keys}`));
    const reading = await running.stalls();
    return {
      putsPerSecond,
      compacted,
      uncompacted,
      reading,
      p50: quantile(delays, 0.5),
      p99: quantile(delays, 0.99),
    };
  } finally {
    await running.stop();
  }
}
