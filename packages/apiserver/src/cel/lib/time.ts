/** Parts of times and durations (cel-spec, langdef: getters of Timestamp and Duration). */
import { method, type Overload } from '../check/functions.ts';
import { CelFailure, type CelDuration, type CelTimestamp, type CelValue, fail } from '../run/values.ts';
import { durationType, intType, stringType, timestampType } from '../types.ts';

/** A time of day in some zone, held in the UTC fields of a date. */
type Part = (local: Date) => number;

const dayOfYear: Part = (local) => {
  const start = new Date(local);
  start.setUTCMonth(0, 1);
  return Math.round((local.getTime() - start.getTime()) / 86_400_000);
};

const parts: Readonly<Record<string, readonly [string, Part]>> = {
  getFullYear: ['timestamp_to_year', (local) => local.getUTCFullYear()],
  getMonth: ['timestamp_to_month', (local) => local.getUTCMonth()],
  getDayOfYear: ['timestamp_to_day_of_year', dayOfYear],
  getDayOfMonth: ['timestamp_to_day_of_month', (local) => local.getUTCDate() - 1],
  getDate: ['timestamp_to_day_of_month_1_based', (local) => local.getUTCDate()],
  getDayOfWeek: ['timestamp_to_day_of_week', (local) => local.getUTCDay()],
  getHours: ['timestamp_to_hours', (local) => local.getUTCHours()],
  getMinutes: ['timestamp_to_minutes', (local) => local.getUTCMinutes()],
  getSeconds: ['timestamp_to_seconds', (local) => local.getUTCSeconds()],
  getMilliseconds: ['timestamp_to_milliseconds', (local) => local.getUTCMilliseconds()],
};

const milliseconds = ({ nanoseconds }: CelTimestamp): number => {
  const fraction = ((nanoseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return Number((nanoseconds - fraction) / 1_000_000n);
};

/** The offset of a zone from UTC in milliseconds: `+02:00`, `-08:30`, or a name of the zone database. */
function offsetOf(zone: string, at: number): number | CelFailure {
  const colon = zone.indexOf(':');
  if (colon < 0) return namedOffset(zone, at);
  const numbers: number[] = [];
  for (const text of [zone.slice(0, colon), zone.slice(colon + 1)]) {
    if (!/^[+-]?\d+$/.test(text))
      return fail(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
    numbers.push(Number(text));
  }
  const [hours, minutes] = numbers as [number, number];
  return (hours * 60 + (zone.startsWith('-') ? -minutes : minutes)) * 60_000;
}

function namedOffset(zone: string, at: number): number | CelFailure {
  if (zone === '' || zone === 'UTC') return 0;
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
      era: 'short',
    });
    const fields = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const year =
      Number(fields['year']) * (fields['era'] === 'BC' ? -1 : 1) + (fields['era'] === 'BC' ? 1 : 0);
    const local = new Date(0);
    local.setUTCFullYear(year, Number(fields['month']) - 1, Number(fields['day']));
    local.setUTCHours(Number(fields['hour']), Number(fields['minute']), Number(fields['second']));
    return local.getTime() - Math.floor(at / 1000) * 1000;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail(`unknown time zone ${zone}`);
  }
}

function partIn(time: CelTimestamp, zone: string, part: Part): CelValue {
  const at = milliseconds(time);
  const offset = offsetOf(zone, at);
  return offset instanceof CelFailure ? offset : BigInt(part(new Date(at + offset)));
}

const spans: Readonly<Record<string, readonly [string, bigint]>> = {
  getHours: ['duration_to_hours', 3_600_000_000_000n],
  getMinutes: ['duration_to_minutes', 60_000_000_000n],
  getSeconds: ['duration_to_seconds', 1_000_000_000n],
  getMilliseconds: ['duration_to_milliseconds', 1_000_000n],
};

function* getters(): Generator<Overload> {
  for (const [name, [id, part]] of Object.entries(parts)) {
    yield method(name, id, [timestampType], intType, (time: CelTimestamp) =>
      BigInt(part(new Date(milliseconds(time)))),
    );
    yield method(
      name,
      `${id}_with_tz`,
      [timestampType, stringType],
      intType,
      (time: CelTimestamp, zone: string) => partIn(time, zone, part),
    );
    const span = spans[name];
    if (span !== undefined)
      yield method(
        name,
        span[0],
        [durationType],
        intType,
        (duration: CelDuration) => duration.nanoseconds / span[1],
      );
  }
}

export const timeLibrary: readonly Overload[] = [...getters()];
