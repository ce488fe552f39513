import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Lease } from '@cloudless/kube/types/coordination-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');
const strategies = ['OldestEmulationVersion'];

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
  if (spec.strategy != null && !strategies.includes(spec.strategy) && !spec.strategy.includes('/')) {
    wrong.push(fieldErrors.notSupported(specPath.child('strategy'), spec.strategy, strategies));
  }
  if (spec.preferredHolder && !spec.strategy) {
    const at = specPath.child('preferredHolder');
    const why = 'may only be specified when `strategy` is defined';
    wrong.push(fieldErrors.forbidden(at, why));
  }
  return wrong;
}

/** Upstream: pkg/apis/coordination/validation, pkg/registry/coordination/lease. */
export const lease: Strategy<Lease> = {
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  table: table<Lease>([text('Holder', 'Who holds it.'), ageColumn], (object, nowMs) => [
    object.spec?.holderIdentity ?? '',
    ageOf(object, nowMs),
  ]),
};
