/**
 * How a watch learns that everything up to now has been delivered.
 *
 * Since 3.4.31 and 3.5.13 etcd answers a progress request only when all watches of the stream are in step, and
 * in order with their events. Earlier ones answer at once, before events that are still on their way
 * (etcd-io/etcd#15220, #17529), so for them the watch is widened by one **fence** key right behind its range: a
 * write to it arrives in the same watch, after everything before it.
 */
export type ProgressMeans = 'request' | 'fence';

const sound = { minor4: 31, minor5: 13 };

/** Which means a server of this version needs. Unreadable versions get the one that always works. */
export function progressMeansOf(version: string): ProgressMeans {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return 'fence';
  if (major > 3 || (major === 3 && minor > 5)) return 'request';
  if (major === 3 && minor === 5 && patch >= sound.minor5) return 'request';
  return major === 3 && minor === 4 && patch >= sound.minor4 ? 'request' : 'fence';
}

export interface FencedRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** The first key behind the range asked for: nobody else's, as ranges end where another name would begin. */
  readonly fence: Uint8Array;
}

const zero = Uint8Array.of(0);

/** The range and its fence; undefined when it has no end to put a fence behind. */
export function fenced(key: Uint8Array, rangeEnd: Uint8Array | undefined): FencedRange | undefined {
  if (rangeEnd !== undefined && rangeEnd.length === 1 && rangeEnd[0] === 0) return undefined;
  const fence = rangeEnd === undefined || rangeEnd.length === 0 ? Buffer.concat([key, zero]) : rangeEnd;
  return { key, fence, rangeEnd: Buffer.concat([fence, zero]) };
}
