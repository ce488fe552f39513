import type { ObjectEvent, WatchOptions } from '@cloudless/kube/client/client';
import { apiVersionOf, type KubeObject } from '@cloudless/kube/object';
import type { Served } from '../registry/catalogue.ts';
import type { ListParameters } from '../registry/list.ts';
import type { Registry } from '../registry/registry.ts';
import { type Watch, watchObjects } from '../registry/watch.ts';
import { objectIn } from '../registry/view.ts';

/** Events a slow reader may leave; its watch ends then, and resumes from its last resourceVersion. */
const maxUnread = 1_000_000;
const bookmarkIntervalMs = 60_000;
const maxTimeoutSeconds = 3_600;

/**
 * One watch as an iterable of events with shared, frozen objects. Ends when the server stops, the timeout passes or
 * `signal` aborts; throws `StatusError` 410 for an expired version.
 */
export async function* watchEvents<T extends KubeObject>(
  registry: Registry,
  served: Served,
  parameters: ListParameters,
  options: WatchOptions,
): AsyncGenerator<ObjectEvent<T>> {
  const { clock, signal: server } = registry.parts;
  const { resource } = served;
  let waiting: Array<ObjectEvent<T>> = [];
  let wake: (() => void) | undefined;
  let ended = false;
  let failure: Error | undefined;
  let lastSent = 0;
  const push = (event: ObjectEvent<T>): void => {
    waiting.push(event);
    if (waiting.length > maxUnread) end();
    wake?.();
  };
  const end = (): void => {
    ended = true;
    wake?.();
  };
  const bookmark = (revision: number, initial: boolean): void => {
    const annotations = initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const metadata = { resourceVersion: String(revision), ...annotations };
    push({
      type: 'BOOKMARK',
      object: { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata } as T,
    });
  };
  const timeout = clock.setTimeout(
    end,
    Math.min(options.timeoutSeconds ?? maxTimeoutSeconds, maxTimeoutSeconds) * 1_000,
  );
  let timer: ReturnType<typeof clock.setTimeout> | undefined;
  let watch: Watch | undefined;
  server.addEventListener('abort', end, { once: true });
  options.signal?.addEventListener('abort', end, { once: true });
  try {
    watch = await watchObjects(registry, served, parameters, {
      deliver(events) {
        for (const { type, entry } of events)
          push({ type, object: objectIn(entry, resource) as unknown as T });
        lastSent = events.at(-1)?.entry.revision ?? lastSent;
      },
      bookmark: (revision, initial) => {
        if (options.allowWatchBookmarks || initial) bookmark(revision, initial);
      },
      fail(error) {
        failure = error;
        end();
      },
      end,
    });
    const tick = (): void => {
      if (watch && watch.revision > lastSent) bookmark((lastSent = watch.revision), false);
      timer = clock.setTimeout(tick, bookmarkIntervalMs);
    };
    if (options.allowWatchBookmarks) timer = clock.setTimeout(tick, bookmarkIntervalMs);
    for (;;) {
      const batch = waiting;
      waiting = [];
      for (const event of batch) {
        if (options.signal?.aborted) return;
        yield event;
      }
      if (waiting.length > 0) continue;
      if (ended) break;
      await new Promise<void>((resolve) => (wake = resolve));
      wake = undefined;
    }
    if (failure) throw failure;
  } finally {
    watch?.stop();
    timeout.cancel();
    timer?.cancel();
    server.removeEventListener('abort', end);
    options.signal?.removeEventListener('abort', end);
  }
}
