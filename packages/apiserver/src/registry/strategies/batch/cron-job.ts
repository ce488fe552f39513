import { fieldErrors, FieldPath, goQuote, type FieldError } from '@cloudless/kube/field';
import type { CronJob, CronJobSpec } from '@cloudless/kube/types/batch-v1';
import type { Strategy } from '../../strategy.ts';
import { nonNegative, oneOf } from '../../validation/fields.ts';
import { dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import { age } from '../table/age.ts';
import {
  ageColumn,
  ageOf,
  boolean,
  containerCells,
  containersColumn,
  imagesColumn,
  integer,
  selectorCell,
  selectorColumn,
  table,
  text,
} from '../table/table.ts';
import { defaultJobSpec } from './job.ts';
import { validateTemplateOfJobs } from './validate-job.ts';

const specPath = FieldPath.of('spec');
const templatePath = specPath.child('jobTemplate', 'spec', 'template');

function defaults(cronJob: CronJob): void {
  const spec = (cronJob.spec ??= {} as CronJobSpec);
  spec.concurrencyPolicy ||= 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  // Upstream defaults only the pods of the template; the job's own fields are set when a job is made from it.
  const job = structuredClone(
    ((spec.jobTemplate ??= {}).spec ??= {} as NonNullable<typeof spec.jobTemplate.spec>),
  );
  defaultJobSpec(job);
  spec.jobTemplate.spec.template = job.template;
}

const names: Readonly<Record<string, readonly string[]>> = {
  month: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  weekday: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
};
const fields: ReadonlyArray<{ low: number; high: number; names?: string }> = [
  { low: 0, high: 59 },
  { low: 0, high: 23 },
  { low: 1, high: 31 },
  { low: 1, high: 12, names: 'month' },
  { low: 0, high: 6, names: 'weekday' },
];
const macros = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];

/** Why a schedule of five fields cannot be read; undefined when it can. */
export function scheduleProblem(schedule: string): string | undefined {
  if (schedule.startsWith('@every ')) {
    return /^@every ([0-9.]+(ns|us|µs|ms|s|m|h))+$/.test(schedule)
      ? undefined
      : `failed to parse duration ${schedule}`;
  }
  if (schedule.startsWith('@')) {
    return macros.includes(schedule) ? undefined : `unrecognized descriptor: ${schedule}`;
  }
  const parts = schedule.trim().split(/\s+/);
  if (parts.length !== 5) return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`;
  for (const [i, part] of parts.entries()) {
    const problem = fieldProblem(part, fields[i] as (typeof fields)[number]);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What Go's reader of integers says of a text that is none; undefined of one that is not negative. */
function integerProblem(text: string): string | undefined {
  const why = (what: string): string =>
    `failed to parse int from ${text}: strconv.Atoi: parsing ${goQuote(text)}: ${what}`;
  if (!/^[+-]?[0-9]+$/.test(text)) return why('invalid syntax');
  if (!Number.isSafeInteger(Number(text))) return why('value out of range');
  return Number(text) < 0 ? `negative number (${Number(text)}) not allowed: ${text}` : undefined;
}

function namedNumber(text: string, field: (typeof fields)[number]): number {
  const named = field.names === undefined ? -1 : (names[field.names] as string[]).indexOf(text.toLowerCase());
  return named < 0 ? Number(text) : named + field.low;
}

/** Why one of a field's ranges, `LOW[-HIGH][/STEP]`, cannot be read (upstream: robfig/cron, getRange). */
function rangeProblem(expression: string, field: (typeof fields)[number]): string | undefined {
  const [range = '', step, ...more] = expression.split('/');
  const ends = range.split('-');
  const isAny = ends[0] === '*' || ends[0] === '?';
  if (!isAny) {
    for (const [i, end] of ends.slice(0, ends.length > 2 ? 1 : 2).entries()) {
      const isNamed =
        field.names !== undefined && (names[field.names] as string[]).includes(end.toLowerCase());
      const problem = isNamed ? undefined : integerProblem(end);
      if (problem !== undefined) return problem;
      if (i === 0 && ends.length > 2) return `too many hyphens: ${expression}`;
    }
  }
  if (more.length > 0) return `too many slashes: ${expression}`;
  const problem = step === undefined ? undefined : integerProblem(step);
  if (problem !== undefined) return problem;
  const low = isAny ? field.low : namedNumber(ends[0] as string, field);
  const isOpen = isAny || (ends.length === 1 && step !== undefined);
  const high = isOpen ? field.high : namedNumber(ends.at(-1) as string, field);
  if (low < field.low) return `beginning of range (${low}) below minimum (${field.low}): ${expression}`;
  if (high > field.high) return `end of range (${high}) above maximum (${field.high}): ${expression}`;
  if (low > high) return `beginning of range (${low}) beyond end of range (${high}): ${expression}`;
  return step !== undefined && Number(step) === 0
    ? `step of range should be a positive number: ${expression}`
    : undefined;
}

function fieldProblem(part: string, field: (typeof fields)[number]): string | undefined {
  for (const expression of part.split(',').filter((each) => each !== '')) {
    const problem = rangeProblem(expression, field);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function validateSchedule(spec: CronJobSpec): FieldError[] {
  const path = specPath.child('schedule');
  if (!spec.schedule) return [fieldErrors.required(path)];
  const zoned = /^(CRON_)?TZ=/.test(spec.schedule);
  const wrong: FieldError[] = [];
  if (zoned) {
    const why = 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead';
    wrong.push(fieldErrors.invalid(path, spec.schedule, why));
  }
  const problem = scheduleProblem(spec.schedule.replace(/^(CRON_)?TZ=\S+\s+/, ''));
  if (problem !== undefined) wrong.push(fieldErrors.invalid(path, spec.schedule, problem));
  return wrong;
}

function validateTimeZone(zone: string | undefined | null): FieldError[] {
  const path = specPath.child('timeZone');
  if (zone == null) return [];
  if (zone === '') return [fieldErrors.invalid(path, zone, 'timeZone must be nil or non-empty string')];
  if (zone.toLowerCase() === 'local') {
    return [
      fieldErrors.invalid(
        path,
        zone,
        'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
      ),
    ];
  }
  try {
    Intl.DateTimeFormat('en', { timeZone: zone });
    return [];
  } catch {
    return [fieldErrors.invalid(path, zone, `unknown time zone ${zone}`)];
  }
}

function validate(cronJob: CronJob, old?: CronJob): FieldError[] {
  const spec = cronJob.spec ?? ({} as CronJobSpec);
  return [
    ...validateSchedule(spec),
    ...nonNegative(spec.startingDeadlineSeconds, specPath.child('startingDeadlineSeconds')),
    ...validateTimeZone(spec.timeZone),
    ...oneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], specPath.child('concurrencyPolicy')),
    ...validateTemplateOfJobs(
      spec.jobTemplate?.spec,
      specPath.child('jobTemplate', 'spec'),
      old?.spec?.jobTemplate?.spec,
    ),
    ...nonNegative(spec.successfulJobsHistoryLimit, specPath.child('successfulJobsHistoryLimit')),
    ...nonNegative(spec.failedJobsHistoryLimit, specPath.child('failedJobsHistoryLimit')),
  ];
}

/** Jobs are named after it with a suffix of eleven characters. */
function validateCreate(cronJob: CronJob): FieldError[] {
  const wrong = validate(cronJob);
  const name = cronJob.metadata.name ?? '';
  if (name.length > 52) {
    const why = 'must be no more than 52 characters';
    wrong.push(fieldErrors.invalid(FieldPath.of('metadata', 'name'), name, why));
  }
  return wrong;
}

/** Upstream: pkg/apis/batch, pkg/registry/batch/cronjob. */
export const cronJob: Strategy<CronJob> = {
  defaults,
  dropDisabledFields: ({ spec }) => dropDisabledPodFields(spec?.jobTemplate?.spec?.template?.spec),
  validate: (_context, object) => validateCreate(object),
  validateUpdate: (_context, object, old) => validate(object, old),
  warnings: (_context, object, old) =>
    templateWarnings(
      object.spec?.jobTemplate?.spec?.template,
      old?.spec?.jobTemplate?.spec?.template,
      templatePath,
    ),
  table: table<CronJob>(
    [
      text('Schedule', 'When it runs.'),
      text('Timezone', 'Where that time is told.'),
      boolean('Suspend', 'Whether it is held.'),
      integer('Active', 'Jobs that run now.'),
      text('Last Schedule', 'When it ran last.'),
      ageColumn,
      containersColumn,
      imagesColumn,
      selectorColumn,
    ],
    (object, nowMs) => [
      object.spec?.schedule ?? '',
      object.spec?.timeZone ?? '<none>',
      object.spec?.suspend == null ? '<unset>' : object.spec.suspend ? 'True' : 'False',
      object.status?.active?.length ?? 0,
      object.status?.lastScheduleTime ? age(object.status.lastScheduleTime, nowMs) : '<none>',
      ageOf(object, nowMs),
      ...containerCells(object.spec?.jobTemplate?.spec?.template?.spec?.containers),
      selectorCell(object.spec?.jobTemplate?.spec?.selector),
    ],
  ),
};
