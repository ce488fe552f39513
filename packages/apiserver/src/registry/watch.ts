import { type KeyValue, prefixEnd, type WatchMessage } from '@cloudless/kube/etcd/store';
import { fieldErrors, FieldPath } from '@cloudless/kube/field';
import { errors } from '@cloudless/kube/status';
import { Entry } from '../cache/entry.ts';
import { Change } from '../cache/history.ts';
import { tooOldRevision, watchRevision } from '../cache/revisions.ts';
import { keyBytes } from '../storage/keys.ts';
import type { Served } from './catalogue.ts';
import { candidates, type ListParameters } from './list.ts';
import type { Registry, StoredResource } from './registry.ts';
import { type Selection, selectionOf } from './selection.ts';
import { ConvertingQueue } from './converting-queue.ts';
import { prepareViews } from './view.ts';

/** One event as a watcher sees it. */
export interface Delivery {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  entry: Entry;
}

/** Receives what a watch delivers, in order; calls are synchronous and never after `stop`. */
export interface WatchReceiver {
  /** Events of one batch; frames made from a delivery's entry are shared by all watchers. */
  deliver(events: readonly Delivery[]): void;
  /** Everything up to `revision` has been delivered; `initial`: the objects that existed, too. */
  bookmark(revision: number, initial: boolean): void;
  /** The watch cannot go on; nothing follows. */
  fail(error: Error): void;
  /** The kind is served anew, or no longer: nothing follows, and clients look again. */
  end(): void;
  /**
   * Resolves when more can be delivered; false: nobody listens any more. Objects that a watch begins with wait for it
   * when they are many. Absent: everything can be delivered at once.
   */
  ready?(): Promise<boolean>;
}

export interface Watch {
  /** Revision up to which everything has been delivered. */
  readonly revision: number;
  stop(): void;
}

/** Refuses combinations of parameters that upstream refuses. */
function validate(parameters: ListParameters): void {
  const { resourceVersionMatch: match, sendInitialEvents, resourceVersion = '' } = parameters;
  // What upstream sets for a watch from any version that says neither (SetListOptionsDefaults).
  const isImplied =
    !match && sendInitialEvents === undefined && (resourceVersion === '' || resourceVersion === '0');
  const found = [];
  const path = FieldPath.of('resourceVersionMatch');
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan') {
    found.push(
      fieldErrors.forbidden(path, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    );
  }
  if (match) {
    if (sendInitialEvents === undefined) {
      const text = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
      found.push(fieldErrors.forbidden(path, text));
    }
    if (match !== 'NotOlderThan') found.push(fieldErrors.notSupported(path, match, ['NotOlderThan']));
  }
  if (parameters.continue && (match || isImplied))
    found.push(fieldErrors.forbidden(path, 'resourceVersionMatch is forbidden when continue is provided'));
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', found);
}

/** How one change looks through a selection: objects that move in are ADDED, those that move out DELETED. */
export function deliveryOf(
  change: Change,
  matches: ((entry: Entry) => boolean) | undefined,
): Delivery | undefined {
  const { type, entry, old } = change;
  if (!matches) {
    return { type: type === 'added' ? 'ADDED' : type === 'deleted' ? 'DELETED' : 'MODIFIED', entry };
  }
  const before = old !== undefined && matches(old);
  const after = type !== 'deleted' && matches(entry);
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', entry };
  return before ? { type: 'DELETED', entry: change.left } : undefined;
}

const within = (selection: Selection, entry: Entry): boolean =>
  (selection.namespace === '' || entry.namespace === selection.namespace) &&
  (selection.name === undefined || entry.name === selection.name);

/**
 * Starts a watch with upstream's meaning of resourceVersion: unset or `0`: the objects as they are, then changes;
 * N: changes after N, from the shared history or, beyond it, from the store's; with `sendInitialEvents` the objects
 * come first and a bookmark ends them. Throws for bad parameters; an expired version goes to `fail`.
 */
export async function watchObjects(
  registry: Registry,
  served: Served,
  parameters: ListParameters,
  receiver: WatchReceiver,
): Promise<Watch> {
  validate(parameters);
  const stored = registry.open(served.resource);
  const selection = selectionOf(served.resource, stored, parameters);
  const from = watchRevision(parameters.resourceVersion);
  const { cache } = stored;
  const initial = parameters.sendInitialEvents ?? (from === undefined || from === 0);
  if (initial) {
    if (from === undefined) await cache.fresh();
    else await (from === 0 ? cache.ready : cache.reach(from));
  } else if (from === undefined) {
    // No initial events wanted: from now on.
    await cache.fresh();
  } else await (from === 0 ? cache.ready : cache.reach(from));
  const watch = new Watcher(registry, stored, selection, receiver);
  if (initial) await watch.startWithObjects(parameters.sendInitialEvents === true);
  else await watch.startAfter(from ?? cache.revision);
  return watch;
}

/** Objects of a watch's beginning that are delivered before the receiver is asked whether it can take more. */
const initialSlice = 250;

class Watcher implements Watch {
  readonly #registry: Registry;
  readonly #stored: StoredResource;
  readonly #selection: Selection;
  readonly #receiver: WatchReceiver;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;
  #stopReplay: (() => void) | undefined;
  /** Where a webhook converts what is delivered. */
  readonly #converting: ConvertingQueue | undefined;

  constructor(registry: Registry, stored: StoredResource, selection: Selection, receiver: WatchReceiver) {
    this.#registry = registry;
    this.#stored = stored;
    this.#selection = selection;
    this.#receiver = receiver;
    if (stored.codec.versions?.convertAll)
      this.#converting = new ConvertingQueue(
        selection,
        (changes) => this.#deliver(changes),
        (error) => this.#fail(error),
      );
    stored.retired.addEventListener('abort', this.#retired, { once: true });
  }

  readonly #retired = (): void => {
    if (this.#stopped) return;
    this.stop();
    this.#receiver.end();
  };

  get revision(): number {
    return this.#converting?.delivered ?? this.#stored.cache.revision;
  }

  stop(): void {
    this.#stopped = true;
    this.#stored.retired.removeEventListener('abort', this.#retired);
    this.#unsubscribe?.();
    this.#stopReplay?.();
  }

  async startWithObjects(bookmark: boolean): Promise<void> {
    const { cache } = this.#stored;
    const { matches } = this.#selection;
    const { revision } = cache;
    const entries = [...candidates(this.#stored, this.#selection)].filter((entry) =>
      within(this.#selection, entry),
    );
    const preparing = prepareViews(entries, this.#selection.resource);
    if (preparing) await preparing;
    const events: Delivery[] = [];
    for (const entry of entries) if (!matches || matches(entry)) events.push({ type: 'ADDED', entry });
    if (preparing || (this.#receiver.ready && events.length > initialSlice)) {
      if (!(await this.#deliverSlices(events))) return;
      if (bookmark) this.#receiver.bookmark(revision, true);
      // What changed meanwhile comes from the history: nothing has piled up.
      return await this.startAfter(revision);
    }
    this.#subscribe();
    if (events.length > 0) this.#receiver.deliver(events);
    if (bookmark) this.#receiver.bookmark(revision, true);
  }

  /** At the pace of the receiver; false when it has gone. */
  async #deliverSlices(events: readonly Delivery[]): Promise<boolean> {
    for (let from = 0; from < events.length; from += initialSlice) {
      if (this.#stopped) return false;
      this.#receiver.deliver(events.slice(from, from + initialSlice));
      if (this.#receiver.ready && !(await this.#receiver.ready())) return false;
    }
    return !this.#stopped;
  }

  async startAfter(revision: number): Promise<void> {
    const { cache } = this.#stored;
    const changes = cache.history.after(revision);
    if (changes) {
      this.#subscribe();
      this.#take(changes);
      return;
    }
    await this.#replay(revision);
  }

  #subscribe(): void {
    if (this.#stopped) return;
    this.#unsubscribe = this.#stored.cache.subscribe((changes) => this.#take(changes), this.#selection.route);
  }

  #take(changes: readonly Change[]): void {
    if (this.#stopped) return;
    if (this.#converting)
      this.#converting.take(changes.filter(({ entry }) => within(this.#selection, entry)));
    else this.#deliver(changes);
  }

  #deliver(changes: readonly Change[]): void {
    if (this.#stopped) return;
    const { matches } = this.#selection;
    const events: Delivery[] = [];
    for (const change of changes) {
      if (!within(this.#selection, change.entry)) continue;
      const delivery = deliveryOf(change, matches);
      if (delivery) events.push(delivery);
    }
    if (events.length === 0) return;
    try {
      this.#receiver.deliver(events);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** An object cannot be shown in the version asked for: the watcher must hear of it. */
  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#receiver.fail(error instanceof Error ? error : new Error(String(error)));
  }

  /**
   * Reads changes that have left the shared history from the store's, until the shared one takes over: a watcher
   * resumes after a restart of this server, and sees 410 only once the store has compacted its version.
   */
  #replay(revision: number): Promise<void> {
    const { cache, keys } = this.#stored;
    const root = keyBytes(keys.under(this.#selection.namespace));
    return new Promise((resolve) => {
      const finish = (): void => {
        handle.cancel();
        this.#stopReplay = undefined;
        resolve();
      };
      let reached = revision;
      const receive = (message: WatchMessage): void => {
        if (this.#stopped) return;
        if (message.type === 'canceled') {
          finish();
          const oldest = Math.max(message.compactRevision - 1, 0);
          const gone = message.compactRevision > 0;
          this.#receiver.fail(gone ? tooOldRevision(revision, oldest) : unavailable(message.error));
          return;
        }
        if (message.type === 'events') this.#take(message.events.flatMap((event) => this.#changeOf(event)));
        reached = message.revision;
        const rest = cache.history.after(reached);
        if (!rest || cache.revision < reached) return;
        finish();
        this.#subscribe();
        this.#take(rest);
      };
      const handle = this.#registry.parts.store.watch(
        { key: root, rangeEnd: prefixEnd(root), startRevision: revision + 1, prevKv: true },
        receive,
      );
      this.#stopReplay = finish;
      handle.created.then(
        () => handle.requestProgress(),
        () => {},
      );
    });
  }

  #changeOf(event: { type: 'put' | 'delete'; kv: KeyValue; prevKv?: KeyValue | undefined }): Change[] {
    const { type, kv, prevKv } = event;
    const old = prevKv && this.#stored.entryOf(prevKv);
    if (type === 'delete')
      return old ? [new Change('deleted', kv.modRevision, old.at(kv.modRevision), old)] : [];
    const entry = this.#stored.entryOf(kv);
    return entry ? [new Change(old ? 'modified' : 'added', kv.modRevision, entry, old)] : [];
  }
}

const unavailable = (cause: unknown): Error =>
  errors.unavailable('the datastore ended the watch; watch again from the last resourceVersion', cause);
