/** A list of indexes of an Indexed Job, as its status and success policy write it: `1,3-5,7`. */

type Interval = { first: number; last: number };

const integer = /^[+-]?[0-9]+$/;

function parseIndex(text: string, completions: number): number {
  if (!integer.test(text))
    throw new Error(`cannot convert string to integer for index: ${JSON.stringify(text)}`);
  const index = Number(text);
  if (index >= completions) throw new Error(`too large index: ${JSON.stringify(text)}`);
  return index;
}

const notIncreasing = (previous: number, current: number): Error =>
  new Error(`non-increasing order, previous: ${previous}, current: ${current}`);

/** One part of the list; throws with upstream's text. */
function parseInterval(text: string, completions: number): Interval {
  const ends = text.split('-');
  if (ends.length > 2) {
    const why = "violates the requirement that an index interval can have at most two parts separated by '-'";
    throw new Error(`the fragment ${JSON.stringify(text)} ${why}`);
  }
  const first = parseIndex(ends[0] as string, completions);
  if (ends[1] === undefined) return { first, last: first };
  const last = parseIndex(ends[1], completions);
  if (first >= last) throw notIncreasing(first, last);
  return { first, last };
}

/**
 * How many indexes below `completions` the list names (upstream: validateIndexesFormat). Throws an Error with
 * upstream's text for a list that cannot be read or does not grow.
 */
export function countIndexes(list: string, completions: number): number {
  if (list === '') return 0;
  let total = 0;
  let previous: number | undefined;
  for (const part of list.split(',')) {
    const { first, last } = parseInterval(part, completions);
    if (previous !== undefined && previous >= first) throw notIncreasing(previous, first);
    total += last - first + 1;
    previous = last;
  }
  return total;
}

/** The parts that can be read; the others are complained of where the list's form is judged. */
function readableIntervals(list: string, completions: number): Interval[] {
  return list.split(',').flatMap((part) => {
    try {
      return [parseInterval(part, completions)];
    } catch {
      return [];
    }
  });
}

/** The first index that two growing lists share; undefined when none. */
export function commonIndex(one: string, other: string, completions: number): number | undefined {
  if (one === '' || other === '') return undefined;
  const left = readableIntervals(one, completions);
  const right = readableIntervals(other, completions);
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    const [a, b] = [left[i] as Interval, right[j] as Interval];
    if (a.first <= b.last && b.first <= a.last) return Math.max(a.first, b.first);
    if (a.first <= b.first) i++;
    else j++;
  }
  return undefined;
}
