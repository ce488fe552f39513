import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { invalidEach } from '../../validation/fields.ts';
import { validateStandardFinalizer } from '../../validation/metadata.ts';
import { isQualifiedName } from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const finalizersPath = FieldPath.of('spec', 'finalizers');
const phasePath = FieldPath.of('status', 'Phase');

function validateFinalizers(namespace: Namespace, at: (i: number) => FieldPath): FieldError[] {
  return (namespace.spec?.finalizers ?? []).flatMap((name, i) => [
    ...invalidEach(at(i), name, isQualifiedName(name)),
    ...validateStandardFinalizer(name, at(i)),
  ]);
}

function validatePhase(namespace: Namespace): FieldError[] {
  const phase = namespace.status?.phase ?? '';
  if (namespace.metadata.deletionTimestamp) {
    if (phase === 'Terminating') return [];
    const why = "may only be 'Terminating' if `deletionTimestamp` is not empty";
    return [fieldErrors.invalid(phasePath, phase, why)];
  }
  if (phase === 'Active') return [];
  return [fieldErrors.invalid(phasePath, phase, "may only be 'Active' if `deletionTimestamp` is empty")];
}

/** Upstream: pkg/registry/core/namespace. The finalizer `kubernetes` makes its controller empty it first. */
export const namespace: Strategy<Namespace> = {
  defaults(object) {
    if (object.metadata.name) {
      (object.metadata.labels ??= {})['kubernetes.io/metadata.name'] = object.metadata.name;
    }
    (object.status ??= {}).phase ||= 'Active';
  },
  prepareForCreate(_context, object) {
    object.status = { phase: 'Active' };
    // A generated name is known only now.
    if (object.metadata.name) {
      (object.metadata.labels ??= {})['kubernetes.io/metadata.name'] = object.metadata.name;
    }
    const finalizers = ((object.spec ??= {}).finalizers ??= []);
    if (!finalizers.includes('kubernetes')) finalizers.push('kubernetes');
  },
  prepareForUpdate(context, object, old) {
    // Finalizers are for `/finalize` alone.
    if (context.subresource === '') {
      object.spec ??= {};
      if (old.spec?.finalizers) object.spec.finalizers = [...old.spec.finalizers];
      else delete object.spec.finalizers;
    }
  },
  validate: (_context, object) => validateFinalizers(object, () => finalizersPath),
  validateUpdate: (context, object) =>
    context.subresource === 'finalize' ? validateFinalizers(object, (i) => finalizersPath.index(i)) : [],
  validateStatusUpdate: (_context, object) => validatePhase(object),
  selectableFields: { 'status.phase': (object) => object.status?.phase ?? '' },
  table: table<Namespace>([text('Status', 'Whether it is in use or going.'), ageColumn], (object, nowMs) => [
    object.status?.phase ?? '',
    ageOf(object, nowMs),
  ]),
};
