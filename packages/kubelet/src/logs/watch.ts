import { join } from 'node:path';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { CriRuntime } from '../cri/runtime.ts';
import type { RuntimeView } from '../runtime/view.ts';
import { podLogFolder } from '../volumes/layout.ts';
import { type RotationLimits, rotateLog } from './rotate.ts';

/** Upstream: containerLogMonitorInterval. */
const lookEveryMs = 10_000;

/** Keeps the logs of running containers within their limits. */
export function watchLogs(options: {
  cri: CriRuntime;
  view: RuntimeView;
  clock: Clock;
  log: Logger;
  podLogs: string;
  limits: RotationLimits;
}): Running {
  const stopped = new AbortController();
  let timer: ClockTimer | undefined;
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    for (const uid of options.view.uids()) {
      const pod = options.view.pod(uid);
      for (const container of pod?.containers ?? []) {
        if (stopped.signal.aborted) return;
        if (!pod || container.state !== 'running') continue;
        const path = join(podLogFolder(options.podLogs, pod), container.name, `${container.attempt}.log`);
        const reopen = async (): Promise<void> => {
          await options.cri.reopenContainerLog({ containerId: container.id });
        };
        await rotateLog(path, options.limits, options.clock.nowMs(), reopen).catch((error: unknown) => {
          options.log.warn({ path, err: error }, 'log not rotated; will be tried again');
        });
      }
    }
  };
  const next = (): void => {
    if (stopped.signal.aborted) return;
    timer = options.clock.setTimeout(() => {
      looking = look().finally(() => next());
    }, lookEveryMs);
  };
  next();
  return running(async () => {
    stopped.abort();
    timer?.cancel();
    await looking;
  });
}
