import { type Clock, systemClock } from '@cloudless/kube/clock';
import { runAfterOthers } from '@cloudless/kube/native/thread-priority';
import type { Client } from '../client.ts';
import { servFailFor } from '../serv-fail.ts';
import { AuthoritativeThread } from '../../authoritative/thread.ts';
import { Counters } from '../metrics/counters.ts';
import type { ServingThreadData, ThreadCommand, ThreadReport } from './messages.ts';
import { QueryLog } from './query-log.ts';

/** A mistake that every query meets is told this often. */
const problemEveryMs = 10_000;

/** Each thread counts its monotonic time from its own start; rate limits are shared, and so must their time be. */
const sharedClock: Clock = {
  ...systemClock,
  monotonicMs: () => performance.timeOrigin + performance.now(),
};

/** What threads on UDP and on streams have in common: zones, limits, counters, and what the main thread tells. */
export class ServingThread {
  readonly authority: AuthoritativeThread;
  readonly counters: Counters;
  readonly queryLog: QueryLog;
  readonly #settled: Int32Array;
  readonly #report: (report: ThreadReport) => void;
  #problemMs = -Infinity;

  constructor(data: ServingThreadData, report: (report: ThreadReport) => void) {
    this.#report = report;
    // What strangers make busy must not delay what the cluster lives by.
    runAfterOthers();
    const ready = new Int32Array(data.readyFlag);
    this.counters = new Counters(data.counters);
    this.#settled = new Int32Array(data.settled);
    this.authority = new AuthoritativeThread({
      settings: data.settings,
      counters: this.counters,
      clock: sharedClock,
      isReady: () => ready[0] === 1,
    });
    this.queryLog = new QueryLog(data.logsQueries, (queries, omitted) =>
      report({ kind: 'queries', queries, omitted }),
    );
    for (const [origin, snapshot] of data.zones) this.authority.setZone(origin, snapshot);
  }

  /** As the authority's `respond`; a mistake of ours costs one answer, not the thread. */
  respond(bytes: Buffer, start: number, end: number, client: Client, out: Buffer, outStart: number): number {
    try {
      return this.authority.respond(bytes, start, end, client, out, outStart);
    } catch (error) {
      const nowMs = performance.now();
      if (nowMs - this.#problemMs > problemEveryMs) {
        this.#problemMs = nowMs;
        this.#report({ kind: 'problem', problem: String((error as Error).stack ?? error) });
      }
      const failure = servFailFor(bytes.subarray(start, end));
      out.set(failure, outStart);
      return failure.length;
    }
  }

  /** True: it was a command for every thread, and is obeyed. */
  obey(command: ThreadCommand): boolean {
    switch (command.kind) {
      case 'zone':
        this.authority.setZone(command.origin, command.snapshot);
        return true;
      case 'limits':
        this.authority.configure({ access: command.access, rateLimit: command.rateLimit });
        return true;
      case 'cookies':
        this.authority.configure({ cookies: command.secrets });
        return true;
      case 'logQueries':
        this.queryLog.isOn = command.isOn;
        return true;
      case 'settle':
        Atomics.store(this.#settled, 0, command.number);
        Atomics.notify(this.#settled, 0);
        return true;
      default:
        return false;
    }
  }
}
