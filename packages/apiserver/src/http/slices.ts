import { stringifyJson } from '@cloudless/kube/codec/json';
import type { Entry } from '../cache/entry.ts';
import type { Resource } from '@cloudless/kube/object';

/** Objects shown in one go: each costs up to a tenth of a millisecond, its managedFields among it. */
const sliceObjects = 32;

/**
 * Whether an answer of these entries is made while it is written, slice by slice, instead of holding up everybody else.
 * Not where a conversion may fail half-way: an answer that has begun can no longer become an error.
 */
export function isSliced(entries: readonly Entry[], resource: Resource): boolean {
  const codec = entries[0]?.codec;
  if (!codec || entries.length <= 2 * sliceObjects) return false;
  return codec.versions === undefined || codec.resource.version === resource.version;
}

/** The entries, a slice at a time, each as `show` shows it. */
export function* shownInSlices<T>(entries: readonly Entry[], show: (entry: Entry) => T): Generator<T[]> {
  for (let from = 0; from < entries.length; from += sliceObjects) {
    yield entries.slice(from, from + sliceObjects).map(show);
  }
}

/** JSON of `whole` with one more member, a list that comes in slices, as the chunks of a body. */
export function* jsonInSlices(
  whole: object,
  member: string,
  slices: Iterable<readonly unknown[]>,
): Generator<Uint8Array> {
  yield Buffer.from(`${stringifyJson(whole).slice(0, -1)},${JSON.stringify(member)}:[`);
  let separator = '';
  for (const slice of slices) {
    yield Buffer.from(`${separator}${stringifyJson(slice).slice(1, -1)}`);
    separator = ',';
  }
  yield Buffer.from(']}\n');
}
