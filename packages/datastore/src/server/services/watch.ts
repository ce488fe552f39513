import type { WatchEvent, WatchHandle, WatchMessage } from '@cloudless/kube/etcd/store';
import type { Datastore } from '../../datastore.ts';
import { decodeWatch, type WatchCreate } from '../codec/requests.ts';
import { encodeWatch, eventBytes, type Header, type WatchAnswer } from '../codec/responses.ts';
import type { DuplexReceiver, Method, SendingStream } from '../grpc/method.ts';

/** The id of answers that concern no watch, or all of them (clientv3.InvalidWatchID). */
const noWatch = -1n;

export interface WatchOptions {
  /** A watch that wants fragments gets its events in messages of no more than so much (etcd: its request limit). */
  fragmentBytes: number;
}

/** etcdserverpb.Watch: many watches on one stream. */
export function watchService(
  store: Datastore,
  header: Header,
  options: WatchOptions,
): Record<string, Method> {
  return { Watch: { type: 'duplex', open: (stream) => new WatchStream(store, header, options, stream) } };
}

interface Watch {
  readonly id: bigint;
  readonly fragment: boolean;
  readonly startRevision: number;
  handle: WatchHandle | undefined;
}

class WatchStream implements DuplexReceiver {
  readonly #store: Datastore;
  readonly #header: Header;
  readonly #options: WatchOptions;
  readonly #stream: SendingStream;
  readonly #watches = new Map<bigint, Watch>();
  #nextId = 0n;
  /** Watches that have not yet told their progress since it was asked for, and the oldest that was told. */
  #asked: { waiting: Set<Watch>; revision: number } | undefined;
  #askedAgain = false;

  constructor(store: Datastore, header: Header, options: WatchOptions, stream: SendingStream) {
    this.#store = store;
    this.#header = header;
    this.#options = options;
    this.#stream = stream;
  }

  receive(message: Buffer): void | Promise<void> {
    const command = decodeWatch(message);
    // etcd passes over commands that it does not know.
    if (command === undefined) return;
    if ('create' in command) return this.#create(command.create);
    if ('cancel' in command) return this.#cancel(command.cancel);
    this.#requestProgress();
  }

  half(): void {
    // A client that creates no more watches goes on receiving.
  }

  closed(): void {
    this.#asked = undefined;
    for (const { handle } of this.#watches.values()) handle?.cancel();
    this.#watches.clear();
  }

  #send(answer: Omit<WatchAnswer, 'revision'> & { revision?: number }): Promise<void> | undefined {
    return this.#stream.send(encodeWatch(this.#header, { revision: this.#store.revision, ...answer }));
  }

  /** A client that does not read its answers is not listened to. */
  #create(create: WatchCreate): Promise<void> | undefined {
    const refusal = this.#refusalOf(create);
    if (refusal !== undefined)
      return this.#send({ watchId: noWatch, created: true, canceled: true, cancelReason: refusal });
    const watch: Watch = {
      id: create.watchId === 0n ? this.#unusedId() : create.watchId,
      fragment: create.fragment,
      startRevision: create.startRevision ?? 0,
      handle: undefined,
    };
    this.#watches.set(watch.id, watch);
    // Nothing is delivered before this returns, so the creation comes first.
    watch.handle = this.#store.watch(create, (message) => this.#deliver(watch, message));
    // An answer that is still to come speaks for this one too: its client has seen the creation by then.
    if (this.#asked !== undefined) {
      this.#asked.waiting.add(watch);
      watch.handle.requestProgress();
    }
    return this.#send({ watchId: watch.id, created: true });
  }

  /** Why no watch is made of it, in etcd's words (upstream: mvcc/watcher.go). */
  #refusalOf({ key, rangeEnd, startRevision = 0, watchId }: WatchCreate): string | undefined {
    if (startRevision < 0) return 'etcdserver: mvcc: required revision has been compacted';
    const isInterval =
      rangeEnd !== undefined && rangeEnd.length > 0 && !(rangeEnd.length === 1 && rangeEnd[0] === 0);
    const start = key.length === 0 ? Uint8Array.of(0) : key;
    if (isInterval && Buffer.compare(start, rangeEnd) >= 0) return 'mvcc: watcher range is empty';
    return watchId !== 0n && this.#watches.has(watchId)
      ? 'mvcc: duplicate watch ID provided on the WatchStream'
      : undefined;
  }

  #unusedId(): bigint {
    while (this.#watches.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #cancel(id: bigint): Promise<void> | undefined {
    const watch = this.#watches.get(id);
    if (watch === undefined) return undefined;
    this.#forget(watch);
    watch.handle?.cancel();
    return this.#send({ watchId: id, canceled: true });
  }

  #forget(watch: Watch): void {
    this.#watches.delete(watch.id);
    void this.#told(watch, Infinity);
  }

  #deliver(watch: Watch, message: WatchMessage): Promise<void> | undefined {
    if (message.type === 'events') return this.#events(watch, message.revision, message.events);
    if (message.type === 'progress') {
      if (this.#asked?.waiting.has(watch)) return this.#told(watch, message.revision);
      return this.#send({ watchId: watch.id, revision: message.revision });
    }
    this.#forget(watch);
    const { compactRevision, error } = message;
    return this.#send({
      watchId: watch.id,
      canceled: true,
      compactRevision,
      cancelReason: compactRevision > 0 ? '' : (error?.message ?? ''),
    });
  }

  #events(watch: Watch, revision: number, events: readonly WatchEvent[]): Promise<void> | undefined {
    if (!watch.fragment) return this.#send({ watchId: watch.id, revision, events });
    let settled: Promise<void> | undefined;
    for (const { piece, isLast } of fragments(events, this.#options.fragmentBytes))
      settled = this.#send({ watchId: watch.id, revision, events: piece, fragment: !isLast });
    return settled;
  }

  /** Asks every watch; when all have delivered what was committed by then, one answer speaks for the stream. */
  #requestProgress(): void {
    if (this.#asked !== undefined) {
      this.#askedAgain = true;
      return;
    }
    if (this.#watches.size === 0) return;
    this.#asked = { waiting: new Set(this.#watches.values()), revision: Infinity };
    for (const { handle } of this.#watches.values()) handle?.requestProgress();
  }

  #told(watch: Watch, revision: number): Promise<void> | undefined {
    const asked = this.#asked;
    if (asked === undefined || !asked.waiting.delete(watch)) return undefined;
    asked.revision = Math.min(asked.revision, revision);
    if (asked.waiting.size > 0) return undefined;
    this.#asked = undefined;
    const settled = this.#tellProgress(asked.revision);
    if (this.#askedAgain) {
      this.#askedAgain = false;
      this.#requestProgress();
    }
    return settled;
  }

  #tellProgress(revision: number): Promise<void> | undefined {
    // A watch that begins in the future has nothing to tell of before (upstream: progressIfSync).
    const isAhead = [...this.#watches.values()].some(({ startRevision }) => startRevision > revision);
    if (revision === Infinity || isAhead) return undefined;
    return this.#send({ watchId: noWatch, revision });
  }
}

/** Cuts events into pieces of at most so many bytes, at least one event each. */
function* fragments(
  events: readonly WatchEvent[],
  maxBytes: number,
): Generator<{ piece: WatchEvent[]; isLast: boolean }> {
  let piece: WatchEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = eventBytes(event);
    if (piece.length > 0 && bytes + size > maxBytes) {
      yield { piece, isLast: false };
      piece = [];
      bytes = 0;
    }
    piece.push(event);
    bytes += size;
  }
  yield { piece, isLast: true };
}
