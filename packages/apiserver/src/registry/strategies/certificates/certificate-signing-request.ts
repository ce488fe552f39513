import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '@cloudless/kube/types/certificates-v1';
import type { Strategy, StrategyContext } from '../../strategy.ts';
import { immutable, optionalOneOf } from '../../validation/fields.ts';
import { humanDuration } from '../table/age.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateSignerName } from './signer-name.ts';

const specPath = FieldPath.of('spec');
const conditionsPath = FieldPath.of('status', 'conditions');
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

const isDecision = (condition: CertificateSigningRequestCondition): boolean =>
  condition.type === 'Approved' || condition.type === 'Denied';

/** `/approval` decides, `/status` issues; neither does the other's work. */
function prepareForUpdate(
  context: StrategyContext,
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
): void {
  request.spec = structuredClone(old.spec);
  if (context.subresource === '') return;
  const before = structuredClone(old.status ?? {});
  const sent = request.status?.conditions ?? [];
  const now = timestamp(context.nowMs);
  if (context.subresource === 'approval') {
    const others = (before.conditions ?? []).filter((condition) => !isDecision(condition));
    request.status = { ...before, conditions: [...others, ...sent.filter(isDecision)] };
  } else {
    const decisions = (before.conditions ?? []).filter(isDecision);
    const rest = sent.filter((condition) => !isDecision(condition));
    request.status = { ...request.status, conditions: [...decisions, ...rest] };
  }
  for (const condition of request.status?.conditions ?? []) {
    const same = before.conditions?.find((one) => one.type === condition.type);
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??= same?.status === condition.status ? same?.lastTransitionTime : now;
    condition.lastTransitionTime ??= now;
  }
  if (request.status?.conditions?.length === 0) delete request.status.conditions;
}

function isPemRequest(base64: string): boolean {
  const pem = Buffer.from(base64, 'base64').toString('latin1');
  return /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----/.test(
    pem,
  );
}

function validate(request: CertificateSigningRequest): FieldError[] {
  const spec = request.spec ?? ({} as CertificateSigningRequest['spec']);
  const wrong: FieldError[] = [];
  const path = specPath.child('request');
  if (!isPemRequest(spec.request ?? '')) {
    wrong.push(fieldErrors.invalid(path, spec.request ?? '', 'PEM block type must be CERTIFICATE REQUEST'));
  }
  const list = spec.usages ?? [];
  if (list.length === 0) wrong.push(fieldErrors.required(specPath.child('usages')));
  for (const [i, usage] of list.entries()) {
    wrong.push(...optionalOneOf(usage, usages, specPath.child('usages').index(i)));
    if (list.indexOf(usage) < i) wrong.push(fieldErrors.duplicate(specPath.child('usages').index(i), usage));
  }
  if (spec.signerName === 'kubernetes.io/legacy-unknown') {
    const why = 'the legacy signerName is not allowed via this API version';
    wrong.push(fieldErrors.invalid(specPath.child('signerName'), spec.signerName, why));
  } else wrong.push(...validateSignerName(spec.signerName ?? '', specPath.child('signerName')));
  if (spec.expirationSeconds != null && spec.expirationSeconds < 600) {
    const why = 'may not specify a duration less than 600 seconds (10 minutes)';
    wrong.push(fieldErrors.invalid(specPath.child('expirationSeconds'), spec.expirationSeconds, why));
  }
  return wrong;
}

function validateConditions(request: CertificateSigningRequest): FieldError[] {
  const conditions = request.status?.conditions ?? [];
  const types = conditions.map((condition) => condition.type);
  const wrong: FieldError[] = [];
  for (const [i, condition] of conditions.entries()) {
    const at = conditionsPath.index(i);
    if (!condition.type) wrong.push(fieldErrors.required(at.child('type')));
    if (types.indexOf(condition.type) < i)
      wrong.push(fieldErrors.duplicate(at.child('type'), condition.type));
    const fixed = ['Approved', 'Denied', 'Failed'].includes(condition.type);
    wrong.push(
      ...optionalOneOf(
        condition.status ?? '',
        fixed ? ['True'] : ['False', 'True', 'Unknown'],
        at.child('status'),
      ),
    );
  }
  if (types.includes('Approved') && types.includes('Denied')) {
    const why = 'Approved and Denied conditions are mutually exclusive';
    wrong.push(fieldErrors.invalid(conditionsPath, 'Denied', why));
  }
  return wrong;
}

function validateStatus(request: CertificateSigningRequest, old: CertificateSigningRequest): FieldError[] {
  const wrong = validateConditions(request);
  const path = FieldPath.of('status', 'certificate');
  const before = old.status?.certificate;
  const now = request.status?.certificate;
  if (before && now !== before) wrong.push(...immutable(now, before, path));
  if (now && !before) {
    const pem = Buffer.from(now, 'base64').toString('latin1');
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
      wrong.push(
        fieldErrors.invalid(path, '<certificate data>', 'must contain at least one CERTIFICATE PEM block'),
      );
    }
  }
  return wrong;
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
  validate: (_context, object) => validate(object),
  validateUpdate(context, object) {
    if (context.subresource === 'approval') return validateConditions(object);
    return validate(object);
  },
  validateStatusUpdate: (_context, object, old) => validateStatus(object, old),
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
