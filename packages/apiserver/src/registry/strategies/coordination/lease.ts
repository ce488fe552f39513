import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Lease } from '@cloudless/kube/types/coordination-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');

function validate(lease: Lease): FieldError[] {
  const spec = lease.spec ?? {};
  const wrong: FieldError[] = [];
  if (spec.leaseDurationSeconds != null && spec.leaseDurationSeconds <= 0) {
    const at = specPath.child('leaseDurationSeconds');
    wrong.push(fieldErrors.invalid(at, spec.leaseDurationSeconds, 'must be greater than 0'));
  }
  if (spec.leaseTransitions != null && spec.leaseTransitions < 0) {
    const at = specPath.child('leaseTransitions');
    wrong.push(fieldErrors.invalid(at, spec.leaseTransitions, 'must be greater than or equal to 0'));
  }
  return wrong;
}

/** Fields of coordinated leader election, whose feature is off, unless the lease has them already. */
function dropCoordination(lease: Lease, old?: Lease): void {
  if (lease.spec?.strategy != null && old?.spec?.strategy == null) delete lease.spec.strategy;
  if (lease.spec?.preferredHolder != null && old?.spec?.preferredHolder == null)
    delete lease.spec.preferredHolder;
}

/** Upstream: pkg/apis/coordination/validation, pkg/registry/coordination/lease. */
export const lease: Strategy<Lease> = {
  prepareForCreate: (_context, object) => dropCoordination(object),
  prepareForUpdate: (_context, object, old) => dropCoordination(object, old),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  table: table<Lease>([text('Holder', 'Who holds it.'), ageColumn], (object, nowMs) => [
    object.spec?.holderIdentity ?? '',
    ageOf(object, nowMs),
  ]),
};
