import {
  EtcdError,
  etcdErrors,
  grpcCode,
  type WatchEvent,
  type WatchHandle,
  type WatchMessage,
  type WatchRequest,
} from '../store.ts';
import { watchFilters } from '../enums.ts';
import type { Logger } from '../../logger.ts';
import type { MethodDefinition } from '../../protobuf/facts.ts';
import type { DuplexCall, Endpoints } from './endpoints.ts';
import { fenced, type ProgressMeans } from './progress.ts';
import { eventOf, numberOf, revisionOf, type WireWatchResponse } from './wire.ts';

/** What may wait for a slow receiver; beyond that it is read again from etcd's history. */
const maxQueuedEvents = 1000;
/** etcd answers a progress request only when all watches are in step: ask again until it does. */
const progressRetryMs = 100;
/** The watch id of answers that concern the whole stream (clientv3.InvalidWatchID). */
const wholeStream = -1n;

type Receive = (message: WatchMessage) => void | Promise<void>;

/** One watch of the contract. */
interface Watcher {
  /** Of its present incarnation on the stream. */
  id: bigint;
  readonly request: WatchRequest;
  readonly receive: Receive;
  readonly fence: Uint8Array | undefined;
  /** Where to begin again after its queue was dropped. */
  next: number;
  readonly queue: WatchMessage[];
  queuedEvents: number;
  delivering: boolean;
  /** Its receiver was too slow: it is off the stream until the queue is empty. */
  suspended: boolean;
  canceled: boolean;
  progressWanted: boolean;
  /** The server watches: before that it would tell progress, or take a fence, without this watch. */
  isCreated: boolean;
  readonly created: () => void;
}

export interface WatchStreamOptions {
  endpoints: Endpoints;
  method: MethodDefinition;
  log: Logger;
  progress: () => ProgressMeans;
  /** Writes to a fence key. */
  writeFence: (key: Uint8Array) => Promise<void>;
}

/** All watches of a client on one gRPC stream. When it breaks, all are canceled with the reason. */
export class WatchStream {
  readonly #options: WatchStreamOptions;
  readonly #watchers = new Map<bigint, Watcher>();
  #call: DuplexCall | undefined;
  #nextId = 1n;
  #progressTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WatchStreamOptions) {
    this.#options = options;
  }

  watch(request: WatchRequest, receive: Receive): WatchHandle {
    const { promise, resolve } = Promise.withResolvers<void>();
    const range = this.#options.progress() === 'fence' ? fenced(request.key, request.rangeEnd) : undefined;
    const watcher: Watcher = {
      id: this.#nextId++,
      request: range === undefined ? request : { ...request, key: range.key, rangeEnd: range.rangeEnd },
      receive,
      fence: range?.fence,
      next: request.startRevision ?? 0,
      queue: [],
      queuedEvents: 0,
      delivering: false,
      suspended: false,
      canceled: false,
      progressWanted: false,
      isCreated: false,
      created: resolve,
    };
    queueMicrotask(() => {
      if (watcher.canceled) return resolve();
      if (this.#closed) this.#end(watcher, { error: etcdErrors.stopped() });
      else if (isEmptyRange(request)) this.#end(watcher, { error: emptyRange() });
      else this.#create(watcher);
    });
    return {
      created: promise,
      requestProgress: () => this.#requestProgress(watcher),
      cancel: () => this.#cancel(watcher),
    };
  }

  #create(watcher: Watcher): void {
    const { key, rangeEnd, prevKv, progressNotify, filters } = watcher.request;
    this.#watchers.set(watcher.id, watcher);
    this.#open().write({
      createRequest: {
        key,
        ...(rangeEnd === undefined ? {} : { rangeEnd }),
        startRevision: watcher.next,
        prevKv: prevKv ?? false,
        progressNotify: progressNotify ?? false,
        // A fence is a put and must not be filtered out: with one, filtering is done here.
        filters:
          watcher.fence === undefined ? (filters ?? []).map((filter) => numberOf(watchFilters, filter)) : [],
        watchId: watcher.id,
      },
    });
  }

  #open(): DuplexCall {
    if (this.#call !== undefined) return this.#call;
    const { call, failed } = this.#options.endpoints.stream(this.#options.method);
    this.#call = call;
    call.on('data', (message) => this.#take(message as WireWatchResponse));
    call.on('error', (error) => this.#broken(call, failed(error)));
    call.on('end', () =>
      this.#broken(call, new EtcdError(grpcCode.unavailable, 'etcd ended the watch stream')),
    );
    return call;
  }

  #broken(call: DuplexCall, error: EtcdError): void {
    if (this.#call !== call) return;
    this.#call = undefined;
    const watchers = [...this.#watchers.values()];
    if (watchers.length > 0 && !this.#closed) {
      this.#options.log.warn({ error: error.message, watches: watchers.length }, 'the watch stream broke');
    }
    for (const watcher of watchers) this.#end(watcher, { error });
  }

  #take(response: WireWatchResponse): void {
    if (response.watchId === wholeStream && !response.created && !response.canceled) {
      return this.#streamProgress(revisionOf(response));
    }
    const watcher = this.#watchers.get(response.watchId);
    if (watcher === undefined) return;
    if (response.created) {
      watcher.created();
      watcher.isCreated = true;
      if (watcher.progressWanted && !response.canceled) this.#requestProgress(watcher);
    }
    if (response.canceled) {
      const compactRevision = Number(response.compactRevision);
      const error = compactRevision > 0 ? undefined : new EtcdError(grpcCode.canceled, response.cancelReason);
      this.#end(watcher, { compactRevision, error });
    } else if (response.events.length > 0) {
      this.#events(watcher, response.events.map(eventOf));
    } else if (!response.created) {
      this.#deliver(watcher, { type: 'progress', revision: revisionOf(response) });
    }
  }

  #events(watcher: Watcher, events: WatchEvent[]): void {
    const revision = (events[events.length - 1] as WatchEvent).kv.modRevision;
    watcher.next = revision + 1;
    const { fence } = watcher;
    const isFence = ({ kv }: WatchEvent): boolean =>
      fence !== undefined && Buffer.compare(kv.key, fence) === 0;
    const own =
      fence === undefined ? events : events.filter((event) => !isFence(event) && passes(event, watcher));
    const last = own[own.length - 1];
    if (last !== undefined) {
      this.#deliver(watcher, { type: 'events', revision: last.kv.modRevision, events: own });
    }
    if (!watcher.progressWanted || !events.some(isFence)) return;
    watcher.progressWanted = false;
    this.#deliver(watcher, { type: 'progress', revision });
  }

  #requestProgress(watcher: Watcher): void {
    if (watcher.canceled) return;
    watcher.progressWanted = true;
    if (!watcher.isCreated) return;
    if (watcher.fence !== undefined) void this.#writeFence(watcher);
    else this.#askForProgress();
  }

  async #writeFence(watcher: Watcher): Promise<void> {
    try {
      await this.#options.writeFence(watcher.fence as Uint8Array);
    } catch (error) {
      this.#end(watcher, { error: error as Error });
    }
  }

  #askForProgress(): void {
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    if (
      this.#call === undefined ||
      ![...this.#watchers.values()].some(({ progressWanted }) => progressWanted)
    )
      return;
    this.#call.write({ progressRequest: {} });
    this.#progressTimer = setTimeout(() => this.#askForProgress(), progressRetryMs);
  }

  /** Every watch that the server has by now has everything up to `revision`. */
  #streamProgress(revision: number): void {
    for (const watcher of this.#watchers.values()) {
      if (!watcher.progressWanted || !watcher.isCreated) continue;
      watcher.progressWanted = false;
      this.#deliver(watcher, { type: 'progress', revision });
    }
  }

  #deliver(watcher: Watcher, message: WatchMessage): void {
    if (watcher.canceled || watcher.suspended) return;
    watcher.queue.push(message);
    if (message.type === 'events') watcher.queuedEvents += message.events.length;
    if (!watcher.delivering) this.#drain(watcher);
    else if (watcher.queuedEvents > maxQueuedEvents) this.#suspend(watcher);
  }

  /** Hands over what waits, until the receiver asks to be waited for. */
  #drain(watcher: Watcher): void {
    watcher.delivering = false;
    for (let message = watcher.queue.shift(); message !== undefined; message = watcher.queue.shift()) {
      if (watcher.canceled) return;
      if (message.type === 'events') watcher.queuedEvents -= message.events.length;
      if (message.type === 'canceled') watcher.canceled = true;
      try {
        const settled = watcher.receive(message);
        if (!(settled instanceof Promise)) continue;
        watcher.delivering = true;
        void settled.then(
          () => this.#drain(watcher),
          (error: unknown) => this.#threw(watcher, error),
        );
        return;
      } catch (error) {
        return this.#threw(watcher, error);
      }
    }
    if (watcher.suspended) this.#resume(watcher);
  }

  #threw(watcher: Watcher, error: unknown): void {
    this.#options.log.error({ err: error }, 'the receiver of a watch threw; its watch is canceled');
    this.#cancel(watcher);
  }

  /** Leaves the stream; what waits already is still delivered. */
  #suspend(watcher: Watcher): void {
    watcher.suspended = true;
    watcher.isCreated = false;
    this.#leave(watcher);
  }

  #resume(watcher: Watcher): void {
    watcher.suspended = false;
    watcher.id = this.#nextId++;
    this.#create(watcher);
  }

  #leave(watcher: Watcher): void {
    if (this.#watchers.delete(watcher.id)) this.#call?.write({ cancelRequest: { watchId: watcher.id } });
  }

  #cancel(watcher: Watcher): void {
    watcher.canceled = true;
    watcher.created();
    this.#leave(watcher);
  }

  /** The last message of a watch. */
  #end(
    watcher: Watcher,
    { compactRevision = 0, error }: { compactRevision?: number; error?: Error | undefined },
  ): void {
    this.#watchers.delete(watcher.id);
    watcher.created();
    if (watcher.canceled) return;
    watcher.suspended = false;
    watcher.queue.push({ type: 'canceled', compactRevision, ...(error === undefined ? {} : { error }) });
    if (!watcher.delivering) this.#drain(watcher);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#progressTimer);
    for (const watcher of this.#watchers.values()) this.#end(watcher, { error: etcdErrors.stopped() });
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
  }
}

function passes({ type }: WatchEvent, { request }: Watcher): boolean {
  return !(request.filters ?? []).includes(type === 'put' ? 'noput' : 'nodelete');
}

/** The widened range of a fence would hide that the one asked for is empty. */
function isEmptyRange({ key, rangeEnd }: WatchRequest): boolean {
  if (rangeEnd === undefined || rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0))
    return false;
  return Buffer.compare(key, rangeEnd) >= 0;
}

const emptyRange = (): EtcdError => new EtcdError(grpcCode.invalidArgument, 'mvcc: watcher range is empty');
