import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { judge } from './history-check.ts';
import { Recorder } from './recorder.ts';
import { RecordedWatch } from './watchers.ts';
import { everything, runWorkload } from './workload.ts';

export interface HistoryOptions {
  /** Servers of one store that holds nothing yet; clients and watches take turns among them. */
  stores: readonly EtcdStore[];
  next: () => number;
  clients?: number | undefined;
  operationsPerClient?: number | undefined;
}

/** Watches of everything and of less, with and without filters, from `startRevision` on. */
export function newWatches(startRevision: number): RecordedWatch[] {
  const start = { startRevision };
  return [
    new RecordedWatch({ ...everything, ...start, prevKv: true }),
    new RecordedWatch({ ...everything, ...start, filters: ['noput'] }),
    new RecordedWatch({ key: Buffer.from('h/a'), ...start }),
    new RecordedWatch({
      key: Buffer.from('h/b'),
      rangeEnd: Buffer.from('h/d'),
      ...start,
      filters: ['nodelete'],
    }),
  ];
}

/**
 * Runs random clients and watches on a store, and judges what they were told.
 *
 * @returns how many operations the history has
 * @throws AssertionError when nothing explains it
 */
export async function runHistory(options: HistoryOptions): Promise<number> {
  const { stores, next } = options;
  const recorder = new Recorder();
  const at = (i: number): EtcdStore => stores[i % stores.length] as EtcdStore;
  const watches = newWatches(2);
  for (const [i, watch] of watches.entries()) watch.start(at(i + 1));
  await runWorkload({
    recorder,
    store: at,
    clients: options.clients ?? 6,
    operationsPerClient: options.operationsPerClient ?? 30,
    next,
  });
  // Somebody begins in the middle of the history, too.
  const { revision } = await at(0).status();
  const late = new RecordedWatch({ ...everything, startRevision: Math.max(2, Math.ceil(revision / 2)) });
  late.start(at(2));
  await judge(at(0), recorder, [...watches, late]);
  return recorder.operations.length;
}
