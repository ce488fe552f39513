import type { FlowControl } from './flow-control.ts';
import { type SchemaState, type Waits, waitBoundsSeconds } from './flow.ts';
import type { PriorityLevel } from './priority-level.ts';

type Sample = readonly [labels: string, value: number];

const prefix = 'apiserver_flowcontrol_';

const levelGauges: ReadonlyArray<
  readonly [name: string, help: string, of: (level: PriorityLevel) => number]
> = [
  ['nominal_limit_seats', 'Seats that the shares of a level give it.', ({ limits }) => limits.nominal],
  ['lower_limit_seats', 'Seats that a level keeps, whatever it lends.', ({ limits }) => limits.lower],
  ['upper_limit_seats', 'Seats that a level may have with what it borrows.', ({ limits }) => limits.upper],
  ['current_limit_seats', 'Seats that a level may use now.', ({ limit }) => limit],
  ['demand_seats_smoothed', 'Seats that a level has asked for, smoothed.', (level) => level.smoothedDemand],
];

const schemaGauges: ReadonlyArray<
  readonly [name: string, help: string, of: (schema: SchemaState) => number]
> = [
  ['current_inqueue_requests', 'Requests that wait for a seat.', ({ waiting }) => waiting],
  [
    'current_executing_requests',
    'Requests with a seat; watches at their start only.',
    (one) => one.executing,
  ],
];

function histogram(lines: string[], name: string, labels: string, waits: Waits): void {
  let below = 0;
  for (const [i, bound] of waitBoundsSeconds.entries()) {
    below += waits.buckets[i] as number;
    lines.push(`${name}_bucket{${labels},le="${bound}"} ${below}`);
  }
  lines.push(
    `${name}_bucket{${labels},le="+Inf"} ${waits.count}`,
    `${name}_sum{${labels}} ${waits.sumSeconds}`,
    `${name}_count{${labels}} ${waits.count}`,
  );
}

/** The main metrics of priority and fairness, in Prometheus text under upstream's names (flowcontrol/metrics). */
export function flowControlMetrics(control: FlowControl): string {
  const lines: string[] = [];
  const family = (name: string, type: string, help: string, samples: Iterable<Sample>): void => {
    lines.push(`# HELP ${prefix}${name} ${help}`, `# TYPE ${prefix}${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`${prefix}${name}${labels} ${value}`);
  };
  const levels = [...control.levels.values()];
  const schemas = [...control.schemas.values()];
  const ofLevel = ({ name }: PriorityLevel): string => `{priority_level="${name}"}`;
  const ofSchema = ({ name, level }: SchemaState): string =>
    `flow_schema="${name}",priority_level="${level.name}"`;
  for (const [name, help, of] of levelGauges)
    family(
      name,
      'gauge',
      help,
      levels.map((level) => [ofLevel(level), of(level)]),
    );
  family(
    'current_executing_seats',
    'gauge',
    'Seats in use.',
    levels.map((level) => [ofLevel(level), level.seatsInUse]),
  );
  for (const [name, help, of] of schemaGauges)
    family(
      name,
      'gauge',
      help,
      schemas.map((schema) => [`{${ofSchema(schema)}}`, of(schema)]),
    );
  family('seat_fair_frac', 'gauge', 'Share of its wanted seats that each level can get.', [
    ['', control.fairFraction],
  ]);
  family(
    'dispatched_requests_total',
    'counter',
    'Requests that got a seat.',
    schemas.map((schema) => [`{${ofSchema(schema)}}`, schema.dispatched]),
  );
  family(
    'rejected_requests_total',
    'counter',
    'Requests that got none.',
    schemas.flatMap((schema) =>
      [...schema.rejected].map(([reason, count]): Sample => [
        `{${ofSchema(schema)},reason="${reason}"}`,
        count,
      ]),
    ),
  );
  const waits = `${prefix}request_wait_duration_seconds`;
  lines.push(`# HELP ${waits} Time that a request waited for its seat.`, `# TYPE ${waits} histogram`);
  for (const schema of schemas) {
    if (schema.waits.count > 0) histogram(lines, waits, `execute="true",${ofSchema(schema)}`, schema.waits);
    if (schema.refusedWaits.count > 0)
      histogram(lines, waits, `execute="false",${ofSchema(schema)}`, schema.refusedWaits);
  }
  return `${lines.join('\n')}\n`;
}

const columns = [
  'PriorityLevelName',
  'ActiveQueues',
  'IsIdle',
  'IsQuiescing',
  'WaitingRequests',
  'ExecutingRequests',
  'DispatchedRequests',
  'RejectedRequests',
  'TimedoutRequests',
  'CancelledRequests',
];

/** The table at `/debug/api_priority_and_fairness/dump_priority_levels`. */
export function dumpPriorityLevels(control: FlowControl): string {
  const rows = [...control.levels.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((level) => [
      level.name,
      level.activeQueues,
      level.isIdle,
      level.quiescing,
      level.waiting,
      level.executing,
      level.counts.dispatched,
      level.counts.rejected,
      level.counts['time-out'],
      level.counts.cancelled,
    ]);
  const table = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, i) => Math.max(...table.map((row) => (row[i] as string).length)) + 2);
  return table
    .map(
      (row) =>
        `${row
          .map((cell, i) => `${cell},`.padEnd(widths[i] as number))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}
