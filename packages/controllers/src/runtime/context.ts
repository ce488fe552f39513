import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type EventRecorder, eventRecorder } from '@cloudless/kube/events/recorder';
import type { Informer, InformerSet } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { KubeObject } from '@cloudless/kube/object';
import type { Logger } from '@cloudless/kube/logger';
import {
  type RateLimiter,
  WorkQueue,
  type WorkQueueMetrics,
  runWorkers,
} from '@cloudless/kube/workqueue/workqueue';

/** What every controller is given. */
export interface ControllerContext {
  /** Copies of resources, shared by all controllers. */
  readonly informers: InformerSet;
  /** The API as a service account of kube-system: each controller acts under its own name. */
  clientFor(serviceAccountName: string): KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly metrics?: WorkQueueMetrics | undefined;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
}

/** A controller: starts at once and works as soon as what it watches has synced. */
export type StartController = (context: ControllerContext) => Controller;

export interface Controller extends Running {
  /** Resolves when its informers have synced and its workers run; rejects when it is stopped before. */
  readonly ready: Promise<void>;
}

export interface QueueOptions {
  /** Upstream's name of the queue. */
  name: string;
  workers: number;
  /** Working begins once these have synced. */
  waitFor: ReadonlyArray<Pick<Informer<KubeObject>, 'synced'>>;
  sync: (key: string, signal: AbortSignal) => Promise<void | { requeueAfterMs: number }>;
  rateLimiter?: RateLimiter<string>;
  /** Ended with the controller. */
  owns?: ReadonlyArray<Running>;
}

/** Runs `sync` for keys of a queue. `wire` is where the controller adds its handlers. */
export function startQueue(
  context: ControllerContext,
  options: QueueOptions,
  wire: (queue: WorkQueue) => void,
): Controller {
  const stopping = new AbortController();
  const signal = AbortSignal.any([context.signal, stopping.signal]);
  const queue = new WorkQueue({
    name: options.name,
    clock: context.clock,
    ...(options.rateLimiter ? { rateLimiter: options.rateLimiter } : {}),
    ...(context.metrics ? { metrics: context.metrics } : {}),
  });
  wire(queue);
  let workers: Running | undefined;
  const ready = Promise.all(options.waitFor.map((informer) => informer.synced)).then(() => {
    if (!signal.aborted) {
      workers = runWorkers(queue, options.workers, options.sync, { signal, log: context.log });
    }
  });
  ready.catch(() => undefined);
  const handle = running(async () => {
    stopping.abort(new Error(`the ${options.name} controller is stopped`));
    queue.shutDown();
    await workers?.stop();
    for (const owned of options.owns ?? []) await owned.stop();
  });
  return { ...handle, ready };
}

/** Several controllers as one. */
export function together(...parts: readonly Controller[]): Controller {
  const ready = Promise.all(parts.map((part) => part.ready)).then(() => undefined);
  ready.catch(() => undefined);
  const handle = running(async () => {
    await Promise.all(parts.map((part) => part.stop()));
  });
  return { ...handle, ready };
}

/** A recorder that writes as `component` with the controller's own client. */
export function recorderFor(
  context: ControllerContext,
  component: string,
  client: KubeClient,
): EventRecorder {
  return eventRecorder({ client, component, clock: context.clock, log: context.log, random: context.random });
}
