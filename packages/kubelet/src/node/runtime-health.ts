import { type Clock, type ClockTimer } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { CriRuntime } from '../cri/runtime.ts';

/** Whether the runtime answers, and whether pods can have a network. */
export interface RuntimeHealth extends Running {
  /** Sentences in upstream's words; empty when all is well. */
  problems(): readonly string[];
  networkProblem(): string | undefined;
}

const readyLookMs = 5000;
const unreadyLookMs = 200;

/** Asks the runtime for its conditions: often until it is ready, then now and then. */
export async function watchRuntimeHealth(options: {
  cri: CriRuntime;
  clock: Clock;
  onChange: () => void;
}): Promise<RuntimeHealth> {
  let runtime: string | undefined = 'container runtime is down';
  let network: string | undefined = 'container runtime is down';
  let timer: ClockTimer | undefined;
  let stopped = false;
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    const before = `${runtime} ${network}`;
    try {
      const { status } = await options.cri.status({});
      const find = (type: string) => status?.conditions.find((condition) => condition.type === type);
      const runtimeReady = find('RuntimeReady');
      const networkReady = find('NetworkReady');
      runtime = runtimeReady?.status
        ? undefined
        : `container runtime not ready: RuntimeReady=false reason:${runtimeReady?.reason ?? ''} message:${runtimeReady?.message ?? ''}`;
      network = networkReady?.status
        ? undefined
        : `container runtime network not ready: NetworkReady=false reason:${networkReady?.reason ?? ''} message:${networkReady?.message ?? ''}`;
    } catch {
      runtime = 'container runtime is down';
      network = runtime;
    }
    if (`${runtime} ${network}` !== before) options.onChange();
    if (!stopped) {
      const ready = runtime === undefined && network === undefined;
      timer = options.clock.setTimeout(
        () => {
          looking = look();
        },
        ready ? readyLookMs : unreadyLookMs,
      );
    }
  };
  await look();
  return {
    problems: () => [...new Set([runtime, network])].filter((problem) => problem !== undefined),
    networkProblem: () => network,
    ...running(async () => {
      stopped = true;
      timer?.cancel();
      await looking;
    }),
  };
}
