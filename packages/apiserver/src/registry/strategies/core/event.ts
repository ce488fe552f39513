import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Event } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { qualifiedName, required } from '../../validation/fields.ts';
import { age } from '../table/age.ts';
import { text, wideText } from '../table/table.ts';

const namespacePath = FieldPath.of('involvedObject', 'namespace');
const mismatch = 'does not match event.namespace';

function tooLong(value: string | undefined, max: number, field: string): FieldError[] {
  if (Buffer.byteLength(value ?? '') <= max) return [];
  return [fieldErrors.invalid(FieldPath.of(field), '', `can have at most ${max} characters`)];
}

/** Events of the newer API carry `eventTime`, and must then say who reports what was done. */
function validateNewer(event: Event): FieldError[] {
  const reporter = FieldPath.of('reportingComponent');
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

function validate(event: Event): FieldError[] {
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
  return [...wrong, ...validateNewer(event)];
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
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
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
