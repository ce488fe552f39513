import { type Clock, systemClock } from '../clock.ts';
import type { KubeClient, ListOptions } from '../client/client.ts';
import { type Running, running } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import { type KubeObject, type Resource, groupResourceOf } from '../object.ts';
import { StatusError, isExpired } from '../status.ts';

/** Where a reflector puts what it sees. Calls come in order; none may throw. */
export interface ReflectorSink<T> {
  /** The whole state at one version. */
  replace(items: T[], resourceVersion: string): void;
  /** One change after it. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void;
  /** Everything up to this version has been delivered. */
  progress?(resourceVersion: string): void;
}

export interface ReflectorOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource<T>;
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  log?: Pick<Logger, 'warn' | 'debug'> | undefined;
  /** Told of each failure; the reflector tries again by itself. */
  onError?: ((error: unknown) => void) | undefined;
  /** 0 ≤ x < 1, for jitter. */
  random?: (() => number) | undefined;
}

/** Waits between tries: doubling with full jitter; begins low, since a local server restarts in well under a second. */
const backoffBaseMs = 50;
const backoffMaxMs = 30_000;
/** A watch that lived this long is taken as a success and ends the back-off. */
const healthyWatchMs = 5_000;
/** As client-go: the server ends each watch after 5 to 10 minutes, so that watches spread over servers again. */
const minWatchSeconds = 300;
/** A server that does not know `sendInitialEvents` sends events, but never the bookmark that ends them. */
const initialEventsTimeoutMs = 30_000;
const pageSize = 500;
const initialEventsEnd = 'k8s.io/initial-events-end';

/**
 * Keeps a copy of a resource up to date: one streamed list (`sendInitialEvents`) or a paged list, then a watch
 * that goes on from the last version it saw, bookmarks included, and lists again only when that version has
 * left the history (410). Nothing is missed and nothing is delivered twice: every event is newer than the one
 * before (upstream: client-go/tools/cache/reflector.go; KEP-3157).
 */
export function startReflector<T extends KubeObject>(
  options: ReflectorOptions<T>,
  sink: ReflectorSink<T>,
): Running {
  const reflector = new Reflector(options, sink);
  const done = reflector.run();
  return running(async () => {
    reflector.stop();
    await done;
  });
}

/** The server does not stream lists: list the classic way from now on. */
class NoWatchList extends Error {}

class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #sink: ReflectorSink<T>;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  /** Last version delivered; empty before the first list. */
  #version = '';
  #listed = false;
  /** The last version is gone from the history: ask for the newest state. */
  #expired = false;
  #watchList = true;
  #failures = 0;

  constructor(options: ReflectorOptions<T>, sink: ReflectorSink<T>) {
    this.#options = options;
    this.#sink = sink;
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal
      ? AbortSignal.any([options.signal, this.#stopping.signal])
      : this.#stopping.signal;
  }

  stop(): void {
    this.#stopping.abort(new Error('the reflector is stopped'));
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const startedAtMs = this.#clock.monotonicMs();
      try {
        // oxlint-disable-next-line no-await-in-loop -- one watch after another
        await this.#round();
        // A server that ends each watch at once is asked less and less often.
        if (this.#clock.monotonicMs() - startedAtMs >= healthyWatchMs) this.#failures = 0;
        else this.#failures++;
      } catch (error) {
        if (this.#signal.aborted) return;
        if (this.#clock.monotonicMs() - startedAtMs >= healthyWatchMs) this.#failures = 0;
        if (this.#recover(error)) continue;
        this.#failures++;
      }
      // oxlint-disable-next-line no-await-in-loop
      await this.#pause();
    }
  }

  /** True when the next round may begin at once. */
  #recover(error: unknown): boolean {
    if (error instanceof NoWatchList) {
      this.#watchList = false;
      return true;
    }
    const what = groupResourceOf(this.#options.resource);
    if (isExpired(error)) {
      this.#options.log?.debug({ resource: what }, 'version left the history; listing again');
      const repeated = this.#expired;
      this.#expired = true;
      this.#listed = false;
      return !repeated;
    }
    // Refused for good reasons (a kind removed, a role changed): what we have may be stale by the time it works.
    if (error instanceof StatusError && error.code >= 400 && error.code < 500 && error.code !== 429) {
      this.#listed = false;
    }
    // Once per outage: every informer of a process repeats it while the API is away.
    const level = this.#failures === 0 ? 'warn' : 'debug';
    const why = error instanceof Error ? error.message : String(error);
    this.#options.log?.[level]({ resource: what, err: why }, 'watch failed; will be tried again');
    this.#options.onError?.(error);
    return false;
  }

  /** Brings the sink up to date if needed, and watches until the server ends it. */
  async #round(): Promise<void> {
    if (!this.#listed && this.#watchList) {
      await this.#watch(true);
      return;
    }
    if (!this.#listed) await this.#list();
    await this.#watch(false);
  }

  #scope(): Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector' | 'signal'> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return { namespace, labelSelector, fieldSelector, signal: this.#signal };
  }

  async #list(): Promise<void> {
    const items: T[] = [];
    let next: string | undefined;
    let version = '';
    do {
      // The first list may come from a cache of any age, a later one must not be older than what was delivered.
      const at = this.#expired ? {} : { resourceVersion: this.#version === '' ? '0' : this.#version };
      // oxlint-disable-next-line no-await-in-loop -- pages follow each other
      const page = await this.#options.client.list(this.#options.resource, {
        ...this.#scope(),
        limit: pageSize,
        ...(next === undefined ? at : { continue: next }),
      });
      for (const item of page.items) items.push(item);
      version = page.metadata.resourceVersion ?? '';
      next = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (next !== undefined);
    this.#replaced(items, version);
  }

  #replaced(items: T[], version: string): void {
    this.#sink.replace(items, version);
    this.#version = version;
    this.#listed = true;
    this.#expired = false;
    this.#failures = 0;
  }

  /** One watch request; with `initial`, its first events are the whole state. */
  async #watch(initial: boolean): Promise<void> {
    const random = this.#options.random ?? Math.random;
    const guard = new AbortController();
    const timer = initial
      ? this.#clock.setTimeout(() => guard.abort(new NoWatchList()), initialEventsTimeoutMs)
      : undefined;
    let pending: Map<string, T> | undefined = initial ? new Map() : undefined;
    const stream = this.#options.client.watch(this.#options.resource, {
      ...this.#scope(),
      signal: initial ? AbortSignal.any([this.#signal, guard.signal]) : this.#signal,
      allowWatchBookmarks: true,
      timeoutSeconds: Math.floor(minWatchSeconds * (1 + random())),
      ...(initial
        ? {
            sendInitialEvents: true,
            resourceVersionMatch: 'NotOlderThan' as const,
            resourceVersion: this.#expired ? '' : this.#version,
          }
        : { resourceVersion: this.#version }),
    });
    try {
      for await (const event of stream) {
        // A stopped reflector delivers nothing more, whatever is still in a buffer.
        if (this.#signal.aborted) return;
        if (event.type === 'BOOKMARK') {
          const { resourceVersion = '', annotations } = event.object.metadata;
          if (pending && annotations?.[initialEventsEnd] === 'true') {
            timer?.cancel();
            this.#replaced([...pending.values()], resourceVersion);
            pending = undefined;
          } else if (!pending) {
            this.#version = resourceVersion;
            this.#sink.progress?.(resourceVersion);
          }
        } else if (pending) {
          const { namespace = '', name = '' } = event.object.metadata;
          if (event.type === 'DELETED') pending.delete(`${namespace}/${name}`);
          else pending.set(`${namespace}/${name}`, event.object);
        } else {
          this.#sink.apply(event.type, event.object);
          this.#version = event.object.metadata.resourceVersion ?? this.#version;
        }
      }
    } catch (error) {
      if (guard.signal.aborted && !this.#signal.aborted) throw new NoWatchList();
      // Servers before 1.27 or without the feature refuse the parameter.
      const refused = error instanceof StatusError && (error.code === 422 || error.code === 400);
      if (pending && refused) throw new NoWatchList();
      throw error;
    } finally {
      timer?.cancel();
    }
  }

  #pause(): Promise<void> {
    const limit = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(this.#failures, 20));
    const delayMs = limit * (0.5 + 0.5 * (this.#options.random ?? Math.random)());
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.#clock.setTimeout(end, delayMs);
      this.#signal.addEventListener('abort', end, { once: true });
      if (this.#signal.aborted) end();
    });
  }
}
