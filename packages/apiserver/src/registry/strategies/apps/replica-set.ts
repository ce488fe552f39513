import { fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, nonNegative, selectorOf } from '../../validation/fields.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import { selectorCell } from '../table/table.ts';
import { replicasField, replicasTable, validateCounters } from './replicas.ts';
import { specPath, templatePath, validateEndlessTemplate, validateRequiredSelector } from './template.ts';

function defaults(set: ReplicaSet): void {
  const spec = (set.spec ??= {} as NonNullable<ReplicaSet['spec']>);
  spec.replicas ??= 1;
  defaultPodTemplate((spec.template ??= {}));
}

function validate(set: ReplicaSet, old?: ReplicaSet): FieldError[] {
  const spec = set.spec ?? ({} as NonNullable<ReplicaSet['spec']>);
  const wrong = [
    ...nonNegative(spec.replicas, specPath.child('replicas')),
    ...nonNegative(spec.minReadySeconds, specPath.child('minReadySeconds')),
    // Upstream's text says deployment here too.
    ...validateRequiredSelector(spec.selector, 'deployment'),
  ];
  if (selectorOf(spec.selector))
    wrong.push(...validateEndlessTemplate(spec.template, spec.selector, 'ReplicaSet', old?.spec?.template));
  else wrong.push(fieldErrors.invalid(specPath.child('selector'), spec.selector, 'invalid label selector'));
  return wrong;
}

/** Upstream: pkg/apis/apps, pkg/registry/apps/replicaset. */
export const replicaSet: Strategy<ReplicaSet> = {
  defaults,
  dropDisabledFields: (object) => dropDisabledPodFields(object.spec?.template?.spec),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...validate(object, old),
    ...immutable(object.spec?.selector, old.spec?.selector, specPath.child('selector')),
  ],
  validateStatusUpdate: (_context, { status }) => validateCounters(status),
  warnings: (_context, object, old) =>
    templateWarnings(object.spec?.template, old?.spec?.template, templatePath),
  selectableFields: replicasField,
  table: replicasTable((object) => selectorCell(object.spec?.selector)),
};
