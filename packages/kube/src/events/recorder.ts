import { type Clock, type ClockTimer, systemClock } from '../clock.ts';
import type { KubeClient } from '../client/client.ts';
import { core } from '../generated/resources.ts';
import type { Event, ObjectReference } from '../generated/types/core-v1.ts';
import { type Running, running } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import type { KubeObject } from '../object.ts';
import { StatusError, isAlreadyExists, isNotFound } from '../status.ts';
import { formatTime } from '../time.ts';
import { EventCorrelator, eventName } from './correlator.ts';

export { EventCorrelator, eventName } from './correlator.ts';

/** What an event is about: an object (with its apiVersion and kind), or a reference to one. */
export type EventSubject = KubeObject | ObjectReference;

export interface EventRecorder extends Running {
  /**
   * Tells users what happened to an object. Returns at once; the event is written behind, in order. An object
   * that came from an in-process list carries its kind; otherwise pass a reference.
   */
  event(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when everything recorded so far is written or given up. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  client: KubeClient;
  /** `source.component` and `reportingComponent`, such as `deployment-controller`. */
  component: string;
  /** `source.host` and `reportingInstance`, for a part that runs on a node. */
  host?: string | undefined;
  clock?: Clock | undefined;
  log?: Pick<Logger, 'warn' | 'debug'> | undefined;
  /** 0 ≤ x < 1, for jitter. */
  random?: (() => number) | undefined;
}

/** Events that may wait; more are dropped, as events must never hold up work (upstream: record.maxQueuedEvents). */
const maxQueued = 1000;
const maxTries = 12;
const retryMs = 10_000;

/** A recorder for one component (upstream: client-go/tools/record). */
export function eventRecorder(options: EventRecorderOptions): EventRecorder {
  return new Recorder(options);
}

/** The reference that an event carries (upstream: tools/reference.GetReference). */
export function referenceTo(subject: EventSubject): ObjectReference {
  if (!('metadata' in subject)) return subject;
  const { namespace, name, uid, resourceVersion } = subject.metadata;
  return {
    ...(subject.kind === undefined ? {} : { kind: subject.kind }),
    ...(subject.apiVersion === undefined ? {} : { apiVersion: subject.apiVersion }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

class Recorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #correlator: EventCorrelator;
  readonly #queue: Event[] = [];
  readonly #stopping = new AbortController();
  readonly #running: Running;
  #writing: Promise<void> | undefined;
  /** Events dropped since the queue was last empty. */
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#correlator = new EventCorrelator(this.#clock);
    this.#running = running(async () => {
      this.#stopping.abort(new Error('the event recorder is stopped'));
      this.#queue.length = 0;
      await this.#writing;
    });
  }

  event(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#queue.length >= maxQueued) {
      // Thousands may follow: they are counted, and told when there is room again.
      if (this.#dropped++ === 0)
        this.#options.log?.warn({ reason }, 'event dropped: too many wait to be written');
      return;
    }
    this.#queue.push(this.#make(referenceTo(subject), type, reason, message));
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
  }

  async flush(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- more may have come meanwhile
    while (this.#writing) await this.#writing;
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #make(involvedObject: ObjectReference, type: string, reason: string, message: string): Event {
    const { component, host } = this.#options;
    const now = formatTime(this.#clock.nowMs());
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: eventName(involvedObject.name ?? '', this.#clock),
        namespace: involvedObject.namespace ? involvedObject.namespace : 'default',
      },
      involvedObject,
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component, ...(host === undefined ? {} : { host }) },
      reportingComponent: component,
      reportingInstance: host ?? '',
    };
  }

  async #write(): Promise<void> {
    for (;;) {
      const event = this.#queue.shift();
      if (!event) {
        if (this.#dropped > 1)
          this.#options.log?.warn(
            { dropped: this.#dropped },
            'events dropped: too many waited to be written',
          );
        this.#dropped = 0;
        return;
      }
      const correlated = this.#correlator.correlate(event);
      if (correlated.action === 'skip') continue;
      for (let tries = 1; tries <= maxTries && !this.#stopping.signal.aborted; tries++) {
        // oxlint-disable-next-line no-await-in-loop -- events keep their order
        if (await this.#attempt(correlated)) break;
        // oxlint-disable-next-line no-await-in-loop
        await this.#pause(tries === 1 ? retryMs * (this.#options.random ?? Math.random)() : retryMs);
      }
    }
  }

  /** True when there is nothing left to try. */
  async #attempt(
    correlated: Exclude<ReturnType<EventCorrelator['correlate']>, { action: 'skip' }>,
  ): Promise<boolean> {
    const { client } = this.#options;
    const { event, key } = correlated;
    const { name = '', namespace } = event.metadata;
    const signal = this.#stopping.signal;
    try {
      let stored: Event | undefined;
      if (correlated.action === 'patch') {
        try {
          stored = await client.patch(core.events, name, 'strategic', correlated.patch, {
            namespace,
            signal,
          });
        } catch (error) {
          // Events expire: begin again.
          if (!isNotFound(error)) throw error;
        }
      }
      stored ??= await client.create(core.events, event, { namespace, signal });
      this.#correlator.stored(key, stored);
      return true;
    } catch (error) {
      if (!(error instanceof StatusError)) {
        this.#options.log?.debug({ err: error }, 'event not written; will be tried again');
        return false;
      }
      const expected =
        isAlreadyExists(error) || error.details?.causes?.some((c) => c.reason === 'NamespaceTerminating');
      this.#options.log?.[expected ? 'debug' : 'warn']({ err: error, reason: event.reason }, 'event refused');
      return true;
    }
  }

  #pause(delayMs: number): Promise<void> {
    const signal = this.#stopping.signal;
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer: ClockTimer = this.#clock.setTimeout(end, delayMs);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
    });
  }
}
