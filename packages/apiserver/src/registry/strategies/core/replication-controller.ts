import { fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { ReplicationController } from '@cloudless/kube/types/core-v1';
import { selectorFromSet } from '@cloudless/kube/selector/selector';
import type { Strategy } from '../../strategy.ts';
import { nonNegative } from '../../validation/fields.ts';
import { replicasField, replicasTable, validateCounters } from '../apps/replicas.ts';
import { specPath, templatePath, validateEndlessTemplate } from '../apps/template.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import { labelsCell } from '../table/table.ts';

function defaults(controller: ReplicationController): void {
  const spec = (controller.spec ??= {});
  const labels = spec.template?.metadata?.labels;
  if (labels) {
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
    if (Object.keys(controller.metadata.labels ?? {}).length === 0)
      controller.metadata.labels = { ...labels };
  }
  spec.replicas ??= 1;
  defaultPodTemplate(spec.template);
}

function validate(controller: ReplicationController, old?: ReplicationController): FieldError[] {
  const spec = controller.spec ?? {};
  const wrong = nonNegative(spec.minReadySeconds, specPath.child('minReadySeconds'));
  if (Object.keys(spec.selector ?? {}).length === 0)
    wrong.push(fieldErrors.required(specPath.child('selector')));
  if (spec.replicas == null) wrong.push(fieldErrors.required(specPath.child('replicas')));
  else wrong.push(...nonNegative(spec.replicas, specPath.child('replicas')));
  const labels = spec.template?.metadata?.labels;
  if (spec.template && !selectorFromSet(spec.selector).matches(labels)) {
    const at = templatePath.child('metadata', 'labels');
    wrong.push(fieldErrors.invalid(at, labels, '`selector` does not match template `labels`'));
  }
  const before = old?.spec?.template;
  return [...wrong, ...validateEndlessTemplate(spec.template, {}, 'ReplicationController', before)];
}

/** Upstream: pkg/registry/core/replicationcontroller. */
export const replicationController: Strategy<ReplicationController> = {
  defaults,
  dropDisabledFields: (object) => dropDisabledPodFields(object.spec?.template?.spec),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validate(object, old),
  validateStatusUpdate: (_context, { status }) => validateCounters(status),
  warnings: (_context, object, old) =>
    templateWarnings(object.spec?.template, old?.spec?.template, templatePath),
  selectableFields: replicasField,
  table: replicasTable((object) => labelsCell(object.spec?.selector)),
};
