import { type Clock, type ClockTimer, sleep } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { CriRuntime, RuntimeEvent } from '../cri/runtime.ts';
import type { RuntimeView } from '../runtime/view.ts';

export interface RuntimeEventsOptions {
  cri: CriRuntime;
  view: RuntimeView;
  clock: Clock;
  log: Logger;
  /** Something in the runtime changed that concerns this pod. */
  wake(uid: string): void;
  /** A listing has just ended. */
  afterRelist(): void;
}

/** How long a listing took, and when the last one ended: for health and metrics. */
export interface RuntimeWatch extends Running {
  lastRelistAtMs(): number;
}

const relistMs = 10_000;
/** After an event about something unknown, soon enough to notice and late enough to catch several. */
const soonMs = 500;
const exitLooks = 20;
const exitPauseMs = 5;

/** Follows the runtime: its events at once, and a listing now and then that would find what an event missed. */
export function watchRuntime(options: RuntimeEventsOptions): RuntimeWatch {
  const stopped = new AbortController();
  let timer: ClockTimer | undefined;
  let relisting: Promise<void> | undefined;
  let lastRelistAtMs = options.clock.monotonicMs();
  const relist = (): Promise<void> => {
    timer?.cancel();
    relisting ??= (async () => {
      try {
        const changed = await options.view.relist(stopped.signal);
        lastRelistAtMs = options.clock.monotonicMs();
        for (const uid of changed) options.wake(uid);
        options.afterRelist();
      } catch (error) {
        if (!stopped.signal.aborted)
          options.log.debug({ err: error }, 'the runtime cannot be listed; will be tried again');
      }
    })().finally(() => {
      relisting = undefined;
      later(relistMs);
    });
    return relisting;
  };
  const later = (delayMs: number): void => {
    timer?.cancel();
    if (!stopped.signal.aborted) timer = options.clock.setTimeout(() => void relist(), delayMs);
  };
  const looks = new Set<Promise<void>>();
  const follow = (async () => {
    for await (const event of options.cri.events(stopped.signal)) {
      if (event.kind === 'resync' || event.kind === 'relist-only') {
        await relist();
        continue;
      }
      if (options.view.ownerOf(event.containerId) === undefined) {
        // Perhaps one that we are making this moment, perhaps another's: the next listing tells.
        if (event.kind === 'exited') later(soonMs);
        continue;
      }
      // An exit may take a few looks to be seen; others need not wait for it.
      const look = follow1(options, event, stopped.signal).finally(() => looks.delete(look));
      looks.add(look);
    }
  })().catch((error: unknown) => {
    if (!stopped.signal.aborted)
      options.log.error({ err: error }, 'the runtime is followed by listings alone');
  });
  return {
    lastRelistAtMs: () => lastRelistAtMs,
    ...running(async () => {
      stopped.abort();
      timer?.cancel();
      await Promise.all([follow, relisting, ...looks]);
    }),
  };
}

type ContainerEvent = Extract<RuntimeEvent, { containerId: string }>;

async function follow1(
  options: RuntimeEventsOptions,
  event: ContainerEvent,
  signal: AbortSignal,
): Promise<void> {
  const id = event.containerId;
  const uid = options.view.ownerOf(id);
  if (uid === undefined) return;
  const known = stateOf(options.view, uid, id);
  if (event.kind === 'started' && known === 'running') return;
  if (event.kind === 'created' || (event.kind === 'deleted' && known === 'ended')) return;
  try {
    for (let look = 0; look < exitLooks && !signal.aborted; look++) {
      await options.view.lookAt(id);
      if (event.kind === 'started' || stateOf(options.view, uid, id) !== 'running') break;
      await sleep(options.clock, exitPauseMs, signal);
    }
  } catch (error) {
    options.log.debug(
      { err: error, id },
      'the runtime does not answer about a container; the next listing will',
    );
  }
  options.wake(uid);
}

function stateOf(view: RuntimeView, uid: string, id: string): 'running' | 'ended' | 'unknown' {
  const pod = view.pod(uid);
  const sandbox = pod?.sandboxes.find((entry) => entry.id === id);
  if (sandbox) return sandbox.ready ? 'running' : 'ended';
  const container = pod?.containers.find((entry) => entry.id === id);
  if (!container) return 'unknown';
  return container.state === 'exited' ? 'ended' : 'running';
}
