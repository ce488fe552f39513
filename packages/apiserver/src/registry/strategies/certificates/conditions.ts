/** Conditions of CertificateSigningRequests (pkg/registry/certificates/certificates/strategy.go, pkg/apis/certificates/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '@cloudless/kube/types/certificates-v1';
import { oneOf } from '../../validation/fields.ts';

type Condition = CertificateSigningRequestCondition;

const path = FieldPath.of('status', 'conditions');
const decisions = ['Approved', 'Denied'];
const lasting = [...decisions, 'Failed'];

const conditionsOf = ({ status }: CertificateSigningRequest): Condition[] => status?.conditions ?? [];
const ofType = (request: CertificateSigningRequest, type: string): Condition[] =>
  conditionsOf(request).filter((condition) => condition.type === type);

/** Takes over the decisions there are, one for one; those that were added or removed are left to be refused. */
export function keepDecisions(request: CertificateSigningRequest, old: CertificateSigningRequest): void {
  const conditions = request.status?.conditions;
  if (!conditions) return;
  for (const type of decisions) {
    const before = ofType(old, type);
    const places = conditions.flatMap((condition, i) => (condition.type === type ? [i] : []));
    if (before.length !== places.length) continue;
    for (const [i, place] of places.entries()) conditions[place] = { ...(before[i] as Condition) };
  }
}

/** Sets the times that were left out; a condition that goes on keeps the time of its beginning. */
export function fillTimes(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  now: string,
): void {
  for (const condition of conditionsOf(request)) {
    const same = ofType(old, condition.type).find(
      ({ status, lastTransitionTime }) => status === condition.status && lastTransitionTime,
    );
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??= same?.lastTransitionTime ?? now;
  }
}

export function validateConditions(
  request: CertificateSigningRequest,
  old?: CertificateSigningRequest,
): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  const mayBeBoth = old !== undefined && decisions.every((type) => ofType(old, type).length > 0);
  for (const [i, { type, status }] of conditionsOf(request).entries()) {
    const at = path.index(i);
    if (!type) wrong.push(fieldErrors.required(at.child('type')));
    const allowed = lasting.includes(type) ? ['True'] : ['False', 'True', 'Unknown'];
    wrong.push(...oneOf(status, allowed, at.child('status')));
    const other = decisions.find((decision) => decision !== type);
    if (decisions.includes(type) && other && seen.has(other) && !mayBeBoth) {
      const why = 'Approved and Denied conditions are mutually exclusive';
      wrong.push(fieldErrors.invalid(path, type, why));
    }
    if (seen.has(type)) wrong.push(fieldErrors.duplicate(at.child('type'), type));
    seen.add(type);
  }
  return wrong;
}

/** What an update may not do: take back a decision, or, but for `/approval`, make one; set what only `/status` sets. */
export function validateTransition(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  subresource: string,
): FieldError[] {
  const wrong: FieldError[] = [];
  const grown = (type: string): number => ofType(request, type).length - ofType(old, type).length;
  for (const type of lasting)
    if (grown(type) < 0)
      wrong.push(fieldErrors.forbidden(path, `updates may not remove a condition of type "${type}"`));
  if (subresource !== 'approval')
    for (const type of decisions)
      if (grown(type) > 0)
        wrong.push(fieldErrors.forbidden(path, `updates may not add a condition of type "${type}"`));
  const before = old.status?.certificate ?? '';
  if ((request.status?.certificate ?? '') === before) return wrong;
  const at = FieldPath.of('status', 'certificate');
  if (subresource !== 'status')
    wrong.push(fieldErrors.forbidden(at, 'updates may not set certificate content'));
  else if (before !== '')
    wrong.push(fieldErrors.forbidden(at, 'updates may not modify existing certificate content'));
  return wrong;
}
