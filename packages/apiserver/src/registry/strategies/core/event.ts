import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Event } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import {
  immutable,
  invalidEach,
  qualifiedName,
  required,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateStandardFinalizer } from '../../validation/metadata.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import { age } from '../table/age.ts';
import { text, wideText } from '../table/table.ts';

const namespacePath = FieldPath.of('involvedObject', 'namespace');
const mismatch = 'does not match event.namespace';

function tooLong(value: string | undefined, max: number, field: string): FieldError[] {
  if (Buffer.byteLength(value ?? '') <= max) return [];
  return [fieldErrors.invalid(FieldPath.of(field), '', `can have at most ${max} characters`)];
}

/** Events of the newer API carry `eventTime`, and must then say who reports what was done. */
function validateNewer(event: Event, group: string): FieldError[] {
  const reporter = FieldPath.of(group === '' ? 'reportingComponent' : 'reportingController');
  return [
    ...required(event.reportingComponent, reporter),
    ...qualifiedName(event.reportingComponent ?? '', reporter),
    ...required(event.reportingInstance, FieldPath.of('reportingInstance')),
    ...tooLong(event.reportingInstance, 128, 'reportingInstance'),
    ...required(event.action, FieldPath.of('action')),
    ...tooLong(event.action, 128, 'action'),
    ...required(event.reason, FieldPath.of('reason')),
    ...tooLong(event.reason, 128, 'reason'),
    ...tooLong(event.message, 1024, 'message'),
  ];
}

function validateLegacy(event: Event, group: string): FieldError[] {
  const own = event.metadata.namespace ?? '';
  const about = event.involvedObject?.namespace ?? '';
  const wrong: FieldError[] = [];
  if (!event.eventTime) {
    const fits = about === '' ? own === '' || own === 'default' : own === about;
    if (!fits) wrong.push(fieldErrors.invalid(namespacePath, about, mismatch));
    return wrong;
  }
  if (about === '' && own !== 'default' && own !== 'kube-system') {
    wrong.push(fieldErrors.invalid(namespacePath, about, mismatch));
  }
  return [...wrong, ...validateNewer(event, group)];
}

function validateSeries({ series }: Event): FieldError[] {
  if (!series) return [];
  const wrong: FieldError[] = [];
  if ((series.count ?? 0) < 2)
    wrong.push(fieldErrors.invalid(FieldPath.of('series', 'count'), '', 'should be at least 2'));
  if (!series.lastObservedTime) wrong.push(fieldErrors.required(FieldPath.of('series', 'lastObservedTime')));
  return wrong;
}

const finalizersPath = FieldPath.of('metadata', 'finalizers');
const validateFinalizers = ({ metadata }: Event): FieldError[] =>
  (metadata.finalizers ?? []).flatMap((name, i) => validateStandardFinalizer(name, finalizersPath.index(i)));

/** What events.k8s.io wants of metadata beyond what the older API does. */
function validateMetadata(event: Event): FieldError[] {
  const { generateName, name = '' } = event.metadata;
  const at = FieldPath.of('metadata');
  return [
    ...(generateName
      ? invalidEach(at.child('generateName'), generateName, nameIsDnsSubdomain(generateName, true))
      : []),
    ...(name === '' ? [] : invalidEach(at.child('name'), name, nameIsDnsSubdomain(name))),
    ...validateFinalizers(event),
  ];
}

/** events.k8s.io leaves the fields of the older API alone. */
function validateCreate(event: Event, group: string): FieldError[] {
  const wrong = validateLegacy(event, group);
  if (group === '') return wrong;
  wrong.push(...validateMetadata(event), ...validateSeries(event));
  if (!event.eventTime) wrong.push(fieldErrors.required(FieldPath.of('eventTime')));
  const type = event.type ?? '';
  if (type !== 'Normal' && type !== 'Warning')
    wrong.push(fieldErrors.invalid(FieldPath.of('type'), '', `has invalid value: ${type}`));
  const set = {
    firstTimestamp: event.firstTimestamp,
    lastTimestamp: event.lastTimestamp,
    count: event.count,
    source: event.source?.component || event.source?.host,
  };
  for (const [name, value] of Object.entries(set))
    if (value) wrong.push(fieldErrors.invalid(FieldPath.of(name), '', 'needs to be unset'));
  return wrong;
}

const fixed = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'type',
  'eventTime',
  'action',
  'related',
  'reportingComponent',
  'reportingInstance',
] as const;
const texts: ReadonlySet<string> = new Set([
  'reason',
  'message',
  'type',
  'action',
  'reportingComponent',
  'reportingInstance',
]);

/** Through events.k8s.io only the series of an event changes. */
function validateUpdate(event: Event, old: Event, group: string): FieldError[] {
  const wrong = validateLegacy(event, group);
  if (group === '') return wrong;
  wrong.push(...validateFinalizers(event));
  if (!semanticallyEqual(event.series, old.series)) wrong.push(...validateSeries(event));
  for (const name of fixed) {
    const zero = texts.has(name) ? '' : name === 'count' ? 0 : undefined;
    const shown = name === 'reportingComponent' ? 'reportingController' : name;
    wrong.push(...immutable(event[name] ?? zero, old[name] ?? zero, FieldPath.of(shown)));
  }
  return wrong;
}

const involved =
  (name: keyof NonNullable<Event['involvedObject']>) =>
  (event: Event): string =>
    event.involvedObject?.[name] ?? '';

function source(event: Event): string {
  const component = event.source?.component || event.reportingComponent || '';
  const instance = event.source?.host || event.reportingInstance || '';
  return instance === '' ? component : `${component}, ${instance}`;
}

function cells(event: Event, nowMs: number): unknown[] {
  const first = age(event.firstTimestamp || event.eventTime, nowMs);
  let last = event.lastTimestamp ? age(event.lastTimestamp, nowMs) : first;
  let count = event.count || 1;
  if (event.series) {
    last = age(event.series.lastObservedTime, nowMs);
    count = event.series.count ?? 0;
  }
  const { kind = '', name = '', fieldPath = '' } = event.involvedObject ?? {};
  return [
    last,
    event.type ?? '',
    event.reason ?? '',
    name === '' ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
    fieldPath,
    source(event),
    (event.message ?? '').trim(),
    first,
    count,
    event.metadata.name ?? '',
  ];
}

/**
 * Events of both APIs: stored as core/v1, which `events.k8s.io/v1` is a view of (upstream: pkg/registry/core/event).
 */
export const event: Strategy<Event> = {
  validate: ({ group }, object) => validateCreate(object, group),
  validateUpdate: ({ group }, object, old) => validateUpdate(object, old, group),
  selectableFields: {
    'involvedObject.kind': involved('kind'),
    'involvedObject.namespace': involved('namespace'),
    'involvedObject.name': involved('name'),
    'involvedObject.uid': involved('uid'),
    'involvedObject.apiVersion': involved('apiVersion'),
    'involvedObject.resourceVersion': involved('resourceVersion'),
    'involvedObject.fieldPath': involved('fieldPath'),
    reason: (object) => object.reason ?? '',
    reportingComponent: (object) => object.reportingComponent ?? '',
    source: (object) => object.source?.component || object.reportingComponent || '',
    type: (object) => object.type ?? '',
  },
  table: {
    columns: [
      text('Last Seen', 'When it happened last.'),
      text('Type', 'Normal or Warning.'),
      text('Reason', 'Why, in one word.'),
      text('Object', 'What it is about.'),
      wideText('Subobject', 'Which part of the object.'),
      wideText('Source', 'Who reports it.'),
      text('Message', 'What happened.'),
      wideText('First Seen', 'When it happened first.'),
      wideText('Count', 'How often it happened.'),
      { ...wideText('Name', 'Name of the event.'), format: 'name' },
    ],
    cells,
  },
};
