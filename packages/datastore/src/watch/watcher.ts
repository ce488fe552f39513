import type { WatchMessage, WatchRequest } from '@cloudless/kube/etcd/store';
import type { KeyInterval } from '../mvcc/key.ts';
import type { EventOptions } from './events.ts';

/** One watch: what it wants and how far it is. */
export class Watcher {
  readonly interval: KeyInterval;
  readonly options: EventOptions;
  readonly progressNotify: boolean;
  readonly receive: (message: WatchMessage) => void | Promise<void>;
  /** Everything below this revision has been delivered, or was never wanted. Exact only while behind. */
  next: number;
  inStep = false;
  /** The receiver has not settled its last message. */
  busy = false;
  canceled = false;
  /** Its last message, due when the receiver has settled. */
  ending: WatchMessage | undefined = undefined;
  progressWanted = false;
  /** No event since the last periodic progress. */
  quiet = true;
  /** Takes it out of its group. */
  leave: (() => void) | undefined = undefined;

  constructor(
    request: WatchRequest,
    interval: KeyInterval,
    next: number,
    receive: (message: WatchMessage) => void | Promise<void>,
  ) {
    this.interval = interval;
    this.options = {
      prevKv: request.prevKv ?? false,
      noPut: request.filters?.includes('noput') ?? false,
      noDelete: request.filters?.includes('nodelete') ?? false,
    };
    this.progressNotify = request.progressNotify ?? false;
    this.receive = receive;
    this.next = next;
  }
}
