import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Handler } from './listener.ts';

/**
 * What a responder's module exports under the name `createResponder`: called once in each thread that is started.
 *
 * @param data as {@link ResponderOptions.data} gave it
 * @param port the other end of the one that {@link ResponderOptions.connect} has
 */
export type CreateResponder<D> = (data: D, port: MessagePort) => Handler | Promise<Handler>;

export interface ResponderOptions<D> {
  /** Its `createResponder` makes the handler, in the thread. */
  readonly module: URL;
  /** What the thread starts with, cloned; asked for anew when a thread that failed is started again. */
  data(): D;
  /** Called with our end of the channel before each thread starts, so that nothing it says is missed. */
  connect?(port: MessagePort): void;
  /** Each is bound by itself, UDP and TCP. */
  readonly addresses: readonly string[];
  /** 0: one that is free. */
  readonly port: number;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
}

/** A handler in a thread of its own, with its sockets. */
export interface Responder extends Running {
  readonly port: number;
}

/** What the thread starts with. */
export interface ResponderThreadData {
  readonly module: string;
  readonly data: unknown;
  readonly channel: MessagePort;
  readonly addresses: readonly string[];
  readonly port: number;
}

/** What the thread says of itself. */
export type ResponderReport =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined };

/** A thread that failed is started again after so long; twice as long each time, up to the longest. */
const restartMs = 100;
const longestRestartMs = 10_000;

/**
 * Answers on UDP and TCP from a thread of its own, so that what the main thread does delays no answer. A thread that fails
 * is started again. Rejects when an address cannot be bound; nothing listens then.
 */
export async function startResponder<D>(options: ResponderOptions<D>): Promise<Responder> {
  const clock = options.clock ?? systemClock;
  let { port } = options;
  let isStopped = false;
  let worker: Worker | undefined;
  let restart: ClockTimer | undefined;
  let waitMs = restartMs;

  const start = async (): Promise<void> => {
    const { port1: ours, port2: theirs } = new MessageChannel();
    options.connect?.(ours);
    const data: ResponderThreadData = {
      module: options.module.href,
      data: options.data(),
      channel: theirs,
      addresses: options.addresses,
      port,
    };
    const started = new Worker(new URL('./responder-worker.ts', import.meta.url), {
      workerData: data,
      transferList: [theirs],
    });
    worker = started;
    started.once('exit', () => {
      ours.close();
      if (worker === started) worker = undefined;
    });
    const [report] = (await once(started, 'message')) as [ResponderReport];
    if (report.kind === 'failed') {
      await started.terminate();
      throw Object.assign(new Error(report.message), { code: report.code });
    }
    if (report.kind === 'listening') port = report.port;
    started.once('error', (error) => failed(error));
  };
  const failed = (error: unknown): void => {
    if (isStopped) return;
    options.log.error({ err: error }, 'the thread that answers DNS failed and is started again');
    restart = clock.setTimeout(() => void startAgain(), waitMs);
    waitMs = Math.min(waitMs * 2, longestRestartMs);
  };
  const startAgain = async (): Promise<void> => {
    try {
      await start();
      waitMs = restartMs;
    } catch (error) {
      failed(error);
    }
  };
  await start();
  return {
    port,
    ...running(async () => {
      isStopped = true;
      restart?.cancel();
      if (worker === undefined) return;
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage('stop');
      // It failed just now, or says that its sockets are closed; what timers its handler holds do not count.
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      for (const event of ['message', 'exit'] as const) worker.once(event, () => resolve());
      await closed;
      await worker.terminate();
    }),
  };
}
