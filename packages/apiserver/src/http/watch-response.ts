import type { Clock } from '@cloudless/kube/clock';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Served } from '../registry/catalogue.ts';
import type { ListParameters } from '../registry/list.ts';
import type { Registry } from '../registry/registry.ts';
import { type Delivery, type Watch, watchObjects } from '../registry/watch.ts';
import { type Encoder, jsonFrames } from './encode.ts';
import type { Negotiated } from './negotiate.ts';
import type { Outgoing } from './respond.ts';
import type { IncludeObject } from './table.ts';

/** How often an idle watcher that asked for bookmarks hears of progress (upstream: about once a minute). */
const bookmarkIntervalMs = 60_000;
/** A last bookmark comes this long before the watch times out (upstream: bookmarkFrequency, 2 s). */
const lastBookmarkMs = 2_000;
/** Upstream's `--min-request-timeout`: watches last between once and twice as long. */
const minTimeoutSeconds = 1_800;
/** Bytes a slow watcher may leave unread before its stream is closed; it resumes from its last resourceVersion. */
export const maxUnreadBytes = 16 * 1024 * 1024;
/** More events than this at once are written in large chunks of their own. */
const sharedFrames = 16;

export interface WatchOptions {
  served: Served;
  parameters: ListParameters;
  negotiated: Negotiated;
  include: IncludeObject;
  bookmarks: boolean;
  timeoutSeconds: number | undefined;
  /** Called once what the watch begins with has been delivered. */
  initialized(): void;
}

/**
 * Serves one watch until its timeout, the client's leaving, an error, or the byte budget of a slow client. Resolves
 * when the response has ended.
 */
export async function respondWatch(
  parts: { registry: Registry; encoder: Encoder; clock: Clock; signal: AbortSignal },
  out: Outgoing,
  options: WatchOptions,
): Promise<void> {
  const { served, negotiated, include } = options;
  const { encoder, clock } = parts;
  const stored = parts.registry.open(served.resource);
  let watch: Watch | undefined;
  let columns = true;
  let ended = false;
  // A bookmark from here is true only when no older event is still to come.
  let lastSent = 0;
  const write = (chunk: Uint8Array): void => {
    if (ended) return;
    out.write(chunk);
    if (out.unsentBytes <= maxUnreadBytes) return;
    end();
    out.destroy();
  };
  const end = (): void => {
    if (ended) return;
    ended = true;
    watch?.stop();
    bookmarkTimer?.cancel();
    timeoutTimer.cancel();
    out.end();
  };
  const deliver = (events: readonly Delivery[]): void => {
    lastSent = events.at(-1)?.entry.revision ?? lastSent;
    if (events.length > sharedFrames && negotiated.as === '' && negotiated.format === 'json') {
      for (const chunk of jsonFrames(events, served.resource)) write(chunk);
      return;
    }
    for (const { type, entry } of events) {
      write(encoder.event(type, entry, served, stored, negotiated, { include, columns }));
      columns = false;
    }
  };
  const fail = (error: Error): void => {
    try {
      write(encoder.eventOf('ERROR', statusOf(error).toStatus(), negotiated));
    } finally {
      // Even when nothing can be said in the client's format: it sees the end, and looks again.
      end();
    }
  };
  const bookmark = (revision: number, initial: boolean): void =>
    write(encoder.bookmark(revision, initial, served, negotiated));
  const seconds = options.timeoutSeconds || minTimeoutSeconds * (1 + Math.random());
  const timeoutTimer = clock.setTimeout(end, seconds * 1_000);
  let bookmarkTimer: ReturnType<Clock['setTimeout']> | undefined;
  const deadlineMs = clock.monotonicMs() + seconds * 1_000;
  const scheduleBookmark = (): void => {
    const left = deadlineMs - clock.monotonicMs() - lastBookmarkMs;
    if (left <= 0) return;
    bookmarkTimer = clock.setTimeout(
      () => {
        try {
          if (watch && watch.revision > lastSent) bookmark((lastSent = watch.revision), false);
        } catch {
          return end();
        }
        scheduleBookmark();
      },
      Math.min(bookmarkIntervalMs, left),
    );
  };
  out.onClose(end);
  parts.signal.addEventListener('abort', end, { once: true });
  let started = false;
  try {
    const initialBookmark = options.parameters.sendInitialEvents === true && options.bookmarks;
    watch = await watchObjects(parts.registry, served, options.parameters, {
      deliver: (events) => {
        begin();
        deliver(events);
      },
      bookmark: (revision, initial) => {
        begin();
        if (initial && initialBookmark) bookmark(revision, true);
      },
      fail: (error) => {
        begin();
        fail(error);
      },
      async ready() {
        await out.ready();
        return !ended;
      },
      end: () => {
        begin();
        end();
      },
    });
    begin();
    options.initialized();
    if (ended) watch.stop();
    else if (options.bookmarks) scheduleBookmark();
    await out.closed;
  } catch (error) {
    if (started || ended) fail(statusOf(error));
    else {
      ended = true;
      timeoutTimer.cancel();
      throw error;
    }
  } finally {
    parts.signal.removeEventListener('abort', end);
  }
  function begin(): void {
    if (started || ended) return;
    started = true;
    out.head(200, { 'content-type': watchMediaType(negotiated) });
    out.flush();
  }
}

const watchMediaType = (negotiated: Negotiated): string => {
  if (negotiated.format === 'protobuf') return 'application/vnd.kubernetes.protobuf;stream=watch';
  if (negotiated.format === 'yaml') return 'application/yaml;stream=watch';
  return 'application/json';
};

const statusOf = (error: unknown): StatusError =>
  error instanceof StatusError
    ? error
    : errors.internal(error instanceof Error ? error.message : String(error), error);
