import type { Clock } from '@cloudless/kube/clock';
import { isSerialHigher } from '../zone/build.ts';
import type { ZoneRegistry } from '../zone/registry.ts';
import type { Zone } from '../zone/zone.ts';

export interface Answering {
  zones: Pick<ZoneRegistry, 'onChange' | 'settled'>;
  /** Resolves when the serving threads answer with what they were handed; none: there are none. */
  threadsSettled?: (() => Promise<void>) | undefined;
  clock: Clock;
}

/** Whether a version of a zone that is published, or a later one, is what is answered before the time is over. */
export async function isAnswered(
  { zones, threadsSettled = async () => {}, clock }: Answering,
  { origin, serial }: Zone,
  timeoutMs: number,
): Promise<boolean> {
  const { promise: handedOut, resolve } = Promise.withResolvers<boolean>();
  // Of a large zone that changes all the time, later versions may always be under way.
  const end = zones.onChange(({ origin: changed, current }) => {
    if (changed === origin && current && !isSerialHigher(serial, current.zone.serial)) resolve(true);
  });
  const { promise: isOver, resolve: giveUp } = Promise.withResolvers<boolean>();
  const timer = clock.setTimeout(() => giveUp(false), timeoutMs);
  void zones.settled().then(() => resolve(true));
  const answered = handedOut.then(threadsSettled).then(() => true);
  try {
    return await Promise.race([answered, isOver]);
  } finally {
    timer.cancel();
    end();
  }
}
