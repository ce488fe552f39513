import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Running, running } from '@cloudless/kube/lifecycle';

/** A start is over by then. */
const firstLookMs = 8000;
const betweenLooksMs = 4000;
const idleShare = 0.1;

type Collect = (options: { type: 'major'; flavor: 'last-resort' }) => void;

/**
 * Collects garbage once, when a process has come to rest after its start. What a start leaves is a quarter of an idle
 * process' memory (loaded sources, first objects), and V8 collects only when something is allocated, which an idle process
 * hardly does. It takes a tenth of a second of a time in which nothing happens.
 */
export function collectOnceIdle(
  options: { firstLookMs?: number; betweenLooksMs?: number; collect?: () => void } = {},
): Running {
  const collect = options.collect ?? collectEverything;
  let last = performance.eventLoopUtilization();
  let timer: NodeJS.Timeout;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const busy = performance.eventLoopUtilization(now, last).utilization;
    last = now;
    if (busy < idleShare) collect();
    else timer = setTimeout(look, options.betweenLooksMs ?? betweenLooksMs).unref();
  };
  const begin = (): void => {
    last = performance.eventLoopUtilization();
    timer = setTimeout(look, options.betweenLooksMs ?? betweenLooksMs).unref();
  };
  timer = setTimeout(begin, options.firstLookMs ?? firstLookMs).unref();
  return running(() => clearTimeout(timer));
}

function collectEverything(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  // What the first one frees keeps other things alive until the second.
  for (let round = 0; round < 2; round++) collect({ type: 'major', flavor: 'last-resort' });
}
