/** APIService (upstream: kube-aggregator/pkg/apis/apiregistration, pkg/registry/apiservice). */
import { fieldErrors, FieldPath, goQuote, type FieldError } from '@cloudless/kube/field';
import type { APIService, APIServiceSpec, ServiceReference } from '@cloudless/kube/types/apiregistration-v1';
import { timestamp } from '../../metadata.ts';
import type { Strategy } from '../../strategy.ts';
import { invalidEach, required } from '../../validation/fields.ts';
import {
  isDns1035Label,
  isDns1123Subdomain,
  isPortNumber,
  nameIsPathSegment,
} from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const defaultPort = 443;
const maxGroupPriority = 20_000;
const maxVersionPriority = 1000;
const specPath = FieldPath.of('spec');
const metadataPath = FieldPath.of('metadata');
const conditionsPath = FieldPath.of('status', 'conditions');

/** Version and group make the name, and no prefix of it will do; what no name can be is refused before. */
function validateNames({ metadata, spec }: APIService): FieldError[] {
  const wanted = `${spec?.version ?? ''}.${spec?.group ?? ''}`;
  const why = `must be \`spec.version+"."+spec.group\`: ${goQuote(wanted)}`;
  return (['generateName', 'name'] as const).flatMap((field) => {
    const name = metadata[field] ?? '';
    if (name === '' || name === wanted || nameIsPathSegment(name).length > 0) return [];
    return [fieldErrors.invalid(metadataPath.child(field), name, why)];
  });
}

function validatePriority(value: number, max: number, field: string): FieldError[] {
  if (value > 0 && value <= max) return [];
  return [fieldErrors.invalid(specPath.child(field), value, `must be positive and less than ${max}`)];
}

const bytesIn = (base64: string): number => Buffer.from(base64, 'base64').length;

/** Kinds that this server serves itself. */
function validateLocal({ caBundle = '', insecureSkipTLSVerify }: Partial<APIServiceSpec>): FieldError[] {
  const wrong: FieldError[] = [];
  const bundleAt = specPath.child('caBundle');
  if (caBundle !== '') {
    const shown = `${bytesIn(caBundle)} bytes`;
    wrong.push(fieldErrors.invalid(bundleAt, shown, 'local APIServices may not have a caBundle'));
  }
  const skipAt = specPath.child('insecureSkipTLSVerify');
  if (insecureSkipTLSVerify)
    wrong.push(fieldErrors.invalid(skipAt, true, 'local APIServices may not have insecureSkipTLSVerify'));
  return wrong;
}

function validateRemote(spec: Partial<APIServiceSpec>, service: ServiceReference): FieldError[] {
  const at = specPath.child('service');
  const port = service.port ?? defaultPort;
  const portTexts = isPortNumber(port);
  const both = spec.insecureSkipTLSVerify && (spec.caBundle ?? '') !== '';
  return [
    ...required(service.namespace, at.child('namespace')),
    ...required(service.name, at.child('name')),
    ...(portTexts.length === 0
      ? []
      : [fieldErrors.invalid(at.child('port'), port, `port is not valid: ${portTexts.join(', ')}`)]),
    ...(both
      ? [
          fieldErrors.invalid(
            specPath.child('insecureSkipTLSVerify'),
            true,
            'may not be true if caBundle is present',
          ),
        ]
      : []),
  ];
}

function validateService(object: APIService): FieldError[] {
  const spec: Partial<APIServiceSpec> = object.spec ?? {};
  const { group = '', version = '', service } = spec;
  const groupAt = specPath.child('group');
  return [
    ...validateNames(object),
    ...(group === '' && version !== 'v1'
      ? [fieldErrors.required(groupAt, 'only v1 may have an empty group and it better be legacy kube')]
      : []),
    ...(group === '' ? [] : invalidEach(groupAt, group, isDns1123Subdomain(group))),
    ...invalidEach(specPath.child('version'), version, isDns1035Label(version)),
    ...validatePriority(spec.groupPriorityMinimum ?? 0, maxGroupPriority, 'groupPriorityMinimum'),
    ...validatePriority(spec.versionPriority ?? 0, maxVersionPriority, 'versionPriority'),
    ...(service ? validateRemote(spec, service) : validateLocal(spec)),
  ];
}

const validateStatus = ({ status }: APIService): FieldError[] =>
  (status?.conditions ?? []).flatMap((condition, i) => {
    const known = ['True', 'False', 'Unknown'];
    if (known.includes(condition.status)) return [];
    return [
      fieldErrors.notSupportedAsListed(conditionsPath.index(i).child('status'), condition.status, known),
    ];
  });

/** What is served here is there from the start. */
function makeAvailable(object: APIService, nowMs: number): void {
  if (object.spec?.service) return;
  const condition = {
    type: 'Available',
    status: 'True',
    lastTransitionTime: timestamp(nowMs),
    reason: 'Local',
    message: 'Local APIServices are always available',
  };
  object.status = { conditions: [condition] };
}

function availability({ status }: APIService): string {
  const available = status?.conditions?.find(({ type }) => type === 'Available');
  if (!available) return 'Unknown';
  const { status: verdict, reason } = available;
  return verdict === 'True' || !reason ? verdict : `${verdict} (${reason})`;
}

export const apiService: Strategy<APIService> = {
  defaults(object) {
    const service = object.spec?.service;
    if (service) service.port ??= defaultPort;
  },
  prepareForCreate: ({ nowMs }, object) => makeAvailable(object, nowMs),
  validate: (_context, object) => validateService(object),
  validateUpdate: (_context, object) => validateService(object),
  validateStatusUpdate: (_context, object) => validateStatus(object),
  table: table<APIService>(
    [
      text('Service', 'What serves the kinds, or Local.'),
      text('Available', 'Whether they can be asked for.'),
      ageColumn,
    ],
    (object, nowMs) => {
      const service = object.spec?.service;
      const where = service ? `${service.namespace ?? ''}/${service.name ?? ''}` : 'Local';
      return [where, availability(object), ageOf(object, nowMs)];
    },
  ),
};
