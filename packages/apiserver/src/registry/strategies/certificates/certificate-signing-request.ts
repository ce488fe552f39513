import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { Strategy, StrategyContext } from '../../strategy.ts';
import { optionalOneOf } from '../../validation/fields.ts';
import { humanDuration } from '../table/age.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { fillTimes, keepDecisions, validateConditions, validateTransition } from './conditions.ts';
import { validateSignerName } from './signer-name.ts';

const specPath = FieldPath.of('spec');
const usages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];

const timestamp = (nowMs: number): string => `${new Date(nowMs).toISOString().slice(0, 19)}Z`;

/** Who asks is what authentication found, whatever the body says. */
function prepareForCreate(context: StrategyContext, request: CertificateSigningRequest): void {
  const { user } = context;
  const spec = (request.spec ??= {} as CertificateSigningRequest['spec']);
  spec.username = user.name;
  if (user.uid === undefined) delete spec.uid;
  else spec.uid = user.uid;
  spec.groups = [...user.groups];
  if (user.extra)
    spec.extra = Object.fromEntries(Object.entries(user.extra).map(([key, list]) => [key, [...list]]));
  else delete spec.extra;
  request.status = {};
}

/** `/approval` decides, `/status` issues. */
function prepareForUpdate(
  context: StrategyContext,
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
): void {
  request.spec = structuredClone(old.spec);
  const now = timestamp(context.nowMs);
  if (context.subresource === 'approval') {
    const { conditions } = request.status ?? {};
    request.status = { ...structuredClone(old.status ?? {}), ...(conditions ? { conditions } : {}) };
    if (!conditions) delete request.status.conditions;
    fillTimes(request, old, now);
  }
  if (context.subresource !== 'status') return;
  keepDecisions(request, old);
  fillTimes(request, old, now);
}

function isPemRequest(base64: string): boolean {
  const pem = Buffer.from(base64, 'base64').toString('latin1');
  return /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----/.test(
    pem,
  );
}

function validate(request: CertificateSigningRequest, old?: CertificateSigningRequest): FieldError[] {
  const spec = request.spec ?? ({} as CertificateSigningRequest['spec']);
  const wrong: FieldError[] = [];
  const path = specPath.child('request');
  if (!isPemRequest(spec.request ?? '')) {
    wrong.push(fieldErrors.invalid(path, spec.request, 'PEM block type must be CERTIFICATE REQUEST'));
  }
  const list = spec.usages ?? [];
  if (list.length === 0) wrong.push(fieldErrors.required(specPath.child('usages')));
  for (const [i, usage] of list.entries()) {
    wrong.push(...optionalOneOf(usage, usages, specPath.child('usages').index(i)));
    if (list.indexOf(usage) < i) wrong.push(fieldErrors.duplicate(specPath.child('usages').index(i), usage));
  }
  const legacy = 'kubernetes.io/legacy-unknown';
  if (spec.signerName === legacy && old?.spec?.signerName !== legacy) {
    const why = 'the legacy signerName is not allowed via this API version';
    wrong.push(fieldErrors.invalid(specPath.child('signerName'), spec.signerName, why));
  } else wrong.push(...validateSignerName(spec.signerName ?? '', specPath.child('signerName')));
  if (spec.expirationSeconds != null && spec.expirationSeconds < 600) {
    const why = 'may not specify a duration less than 600 seconds (10 minutes)';
    wrong.push(fieldErrors.invalid(specPath.child('expirationSeconds'), spec.expirationSeconds, why));
  }
  return wrong;
}

function validateUpdate(
  { subresource }: StrategyContext,
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
): FieldError[] {
  const wrong = [
    ...validate(request, old),
    ...validateConditions(request, old),
    ...validateTransition(request, old, subresource),
  ];
  const { certificate } = request.status ?? {};
  if (!certificate || old.status?.certificate) return wrong;
  const pem = Buffer.from(certificate, 'base64').toString('latin1');
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return wrong;
  const path = FieldPath.of('status', 'certificate');
  const why = 'must contain at least one CERTIFICATE PEM block';
  return [...wrong, fieldErrors.invalid(path, '<certificate data>', why)];
}

function conditionCell(request: CertificateSigningRequest): string {
  const has = (type: string): boolean =>
    request.status?.conditions?.some((condition) => condition.type === type) ?? false;
  const decision = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  return `${decision}${has('Failed') ? ',Failed' : ''}${request.status?.certificate ? ',Issued' : ''}`;
}

/** Upstream: pkg/apis/certificates, pkg/registry/certificates/certificates. */
export const certificateSigningRequest: Strategy<CertificateSigningRequest> = {
  prepareForCreate,
  prepareForUpdate,
  validate: (_context, object) => [...validate(object), ...validateConditions(object)],
  validateUpdate,
  validateStatusUpdate: validateUpdate,
  selectableFields: { 'spec.signerName': (object) => object.spec?.signerName ?? '' },
  table: table<CertificateSigningRequest>(
    [
      ageColumn,
      text('SignerName', 'Who shall sign.'),
      text('Requestor', 'Who asks.'),
      text('RequestedDuration', 'For how long.'),
      text('Condition', 'What became of it.'),
    ],
    (object, nowMs) => [
      ageOf(object, nowMs),
      object.spec?.signerName || '<none>',
      object.spec?.username ?? '',
      object.spec?.expirationSeconds == null ? '<none>' : humanDuration(object.spec.expirationSeconds * 1000),
      conditionCell(object),
    ],
  ),
};
