// Times of the API: RFC 3339 as Go's time.Parse reads it, to seconds and nanoseconds, and back. The texts of
// errors are Go's.

export interface Timestamp {
  /** Since 1970, UTC; whole. */
  seconds: number;
  nanos: number;
}

/** Go's zero time, 0001-01-01T00:00:00Z: the API's "no time". */
export const zeroSeconds = -62_135_596_800;

const layouts = { time: '2006-01-02T15:04:05Z07:00', microTime: '2006-01-02T15:04:05.000000Z07:00' };

/** The parts of a layout: what Go calls them, how they look, and the largest value with its name if there is one. */
interface Part {
  element: string;
  pattern: RegExp;
  range?: { name: string; min: number; max: number };
}

const literal = (text: string): Part => ({ element: text, pattern: new RegExp(`^${text}`) });
const two = (element: string, name: string, min: number, max: number): Part => ({
  element,
  pattern: /^\d\d/,
  range: { name, min, max },
});
const dateAndTime: Part[] = [
  { element: '2006', pattern: /^\d{4}/ },
  literal('-'),
  two('01', 'month', 1, 12),
  literal('-'),
  // Whether the month has the day is seen once all is read.
  { element: '02', pattern: /^\d\d/ },
  literal('T'),
  two('15', 'hour', 0, 23),
  literal(':'),
  two('04', 'minute', 0, 59),
  literal(':'),
  two('05', 'second', 0, 59),
];
const zone: Part = { element: 'Z07:00', pattern: /^(?:Z|[-+]\d\d:\d\d)/ };
const parts: Record<keyof typeof layouts, Part[]> = {
  // A fraction is read though the layout has none.
  time: [...dateAndTime, { element: '', pattern: /^(?:[.,]\d+)?/ }, zone],
  microTime: [...dateAndTime, { element: '.000000', pattern: /^[.,]\d{6}(?!\d)/ }, zone],
};

/** Throws an Error in Go's words. */
export function parseTimestamp(text: string, kind: 'time' | 'microTime'): Timestamp {
  const fail = (rest: string, element: string): Error =>
    new Error(
      `parsing time ${JSON.stringify(text)} as "${layouts[kind]}": cannot parse ${JSON.stringify(rest)} as "${element}"`,
    );
  const read: string[] = [];
  let rest = text;
  for (const { element, pattern, range } of parts[kind]) {
    const match = pattern.exec(rest);
    if (!match) throw fail(rest, element);
    const value = Number(match[0]);
    if (range && (value < range.min || value > range.max))
      throw new Error(`parsing time ${JSON.stringify(text)}: ${range.name} out of range`);
    read.push(match[0]);
    rest = rest.slice(match[0].length);
  }
  if (rest !== '')
    throw new Error(`parsing time ${JSON.stringify(text)}: extra text: ${JSON.stringify(rest)}`);
  const [year, , month, , day, , hour, , minute, , second, fraction, offset] = read;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCDate() !== Number(day))
    throw new Error(`parsing time ${JSON.stringify(text)}: day out of range`);
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  return {
    seconds: date.getTime() / 1000 - offsetSeconds(offset as string),
    nanos: Number(`${(fraction as string).slice(1)}000000000`.slice(0, 9)),
  };
}

function offsetSeconds(text: string): number {
  if (text === 'Z') return 0;
  const seconds = Number(text.slice(1, 3)) * 3600 + Number(text.slice(4, 6)) * 60;
  return text.startsWith('-') ? -seconds : seconds;
}

/** `2024-01-02T03:04:05Z` or, for a MicroTime, `2024-01-02T03:04:05.000006Z`. */
export function formatTimestamp({ seconds, nanos }: Timestamp, kind: 'time' | 'microTime'): string {
  const whole = new Date(seconds * 1000).toISOString().slice(0, -5);
  return kind === 'time' ? `${whole}Z` : `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`;
}

/**
 * The time of a text as it is stored, `undefined` for the zero time. Nearly all come in that form already, and are seen
 * to be right without taking them apart. Throws an Error in Go's words.
 */
export function storedTimestamp(text: string, kind: 'time' | 'microTime'): string | undefined {
  if (isStoredForm(text, kind)) {
    const date = new Date(text);
    // What is out of range is read as another time, or as none.
    const isRight = !Number.isNaN(date.getTime()) && text.startsWith(date.toISOString().slice(0, secondsEnd));
    if (isRight && !text.startsWith('0001-')) return text;
  }
  const time = parseTimestamp(text, kind);
  return time.seconds === zeroSeconds && time.nanos === 0 ? undefined : formatTimestamp(time, kind);
}

/** Where the seconds end in `2024-01-02T03:04:05Z`. */
const secondsEnd = 19;
const microsTail = /^\.\d{6}Z$/;

const isStoredForm = (text: string, kind: 'time' | 'microTime'): boolean =>
  kind === 'time'
    ? text.length === secondsEnd + 1 && text.endsWith('Z')
    : text.length === secondsEnd + 8 && microsTail.test(text.slice(secondsEnd));
