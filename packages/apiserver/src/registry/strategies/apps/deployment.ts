import { fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { Deployment, DeploymentStrategy, RollingUpdateDeployment } from '@cloudless/kube/types/apps-v1';
import type { Strategy } from '../../strategy.ts';
import {
  immutable,
  intOrPercent,
  nonNegative,
  nonNegativeEach,
  noneExceeds,
  notDecremented,
  notMoreThan100Percent,
  positiveIntOrPercent,
  selectorOf,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import {
  ageColumn,
  ageOf,
  containerCells,
  containersColumn,
  imagesColumn,
  selectorColumn,
  table,
  text,
} from '../table/table.ts';
import {
  specPath,
  statusPath,
  templatePath,
  validateEndlessTemplate,
  validateRequiredSelector,
} from './template.ts';

function defaults(deployment: Deployment): void {
  const spec = (deployment.spec ??= {} as NonNullable<Deployment['spec']>);
  spec.replicas ??= 1;
  const strategy: DeploymentStrategy = (spec.strategy ??= {});
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = (strategy.rollingUpdate ??= {});
    rolling.maxUnavailable ??= '25%';
    rolling.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  defaultPodTemplate((spec.template ??= {}));
}

function validateRollingUpdate(rolling: RollingUpdateDeployment): FieldError[] {
  const path = specPath.child('strategy', 'rollingUpdate');
  const unavailable = path.child('maxUnavailable');
  const wrong = [
    ...positiveIntOrPercent(rolling.maxUnavailable, unavailable),
    ...positiveIntOrPercent(rolling.maxSurge, path.child('maxSurge')),
  ];
  if (intOrPercent(rolling.maxUnavailable) === 0 && intOrPercent(rolling.maxSurge) === 0) {
    wrong.push(fieldErrors.invalid(unavailable, rolling.maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  }
  return [...wrong, ...notMoreThan100Percent(rolling.maxUnavailable, unavailable)];
}

function validateStrategy(strategy: DeploymentStrategy): FieldError[] {
  const path = specPath.child('strategy');
  if (strategy.type === 'Recreate') {
    if (!strategy.rollingUpdate) return [];
    const text = "may not be specified when strategy `type` is 'Recreate'";
    return [fieldErrors.forbidden(path.child('rollingUpdate'), text)];
  }
  if (strategy.type !== 'RollingUpdate') {
    return [fieldErrors.notSupported(path, strategy, ['Recreate', 'RollingUpdate'])];
  }
  return validateRollingUpdate(strategy.rollingUpdate ?? {});
}

function validate(deployment: Deployment, old?: Deployment): FieldError[] {
  const spec = deployment.spec ?? ({} as NonNullable<Deployment['spec']>);
  const wrong = [
    ...nonNegative(spec.replicas, specPath.child('replicas')),
    ...validateRequiredSelector(spec.selector, 'deployment'),
  ];
  if (selectorOf(spec.selector))
    wrong.push(...validateEndlessTemplate(spec.template, spec.selector, 'ReplicaSet', old?.spec?.template));
  else wrong.push(fieldErrors.invalid(specPath.child('selector'), spec.selector, 'invalid label selector'));
  wrong.push(
    ...validateStrategy(spec.strategy ?? {}),
    ...nonNegative(spec.minReadySeconds, specPath.child('minReadySeconds')),
    ...nonNegative(spec.revisionHistoryLimit, specPath.child('revisionHistoryLimit')),
  );
  const deadline = spec.progressDeadlineSeconds;
  if (deadline != null) {
    const path = specPath.child('progressDeadlineSeconds');
    wrong.push(...nonNegative(deadline, path));
    if (deadline <= (spec.minReadySeconds ?? 0)) {
      wrong.push(fieldErrors.invalid(path, deadline, 'must be greater than minReadySeconds'));
    }
  }
  return wrong;
}

function validateStatusUpdate(deployment: Deployment, old: Deployment): FieldError[] {
  const status = deployment.status;
  const replicas = [
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
  ];
  const subsets = ['updatedReplicas', 'readyReplicas', 'availableReplicas'];
  return [
    ...nonNegativeEach(status, ['observedGeneration', ...replicas, 'collisionCount'], statusPath),
    ...noneExceeds(status, subsets, 'replicas', 'cannot be greater than status.replicas', statusPath),
    ...noneExceeds(
      status,
      ['availableReplicas'],
      'readyReplicas',
      'cannot be greater than readyReplicas',
      statusPath,
    ),
    ...notDecremented(status?.collisionCount, old.status?.collisionCount, statusPath.child('collisionCount')),
  ];
}

/** Upstream: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation, pkg/registry/apps/deployment. */
export const deployment: Strategy<Deployment> = {
  defaults,
  dropDisabledFields: (object) => dropDisabledPodFields(object.spec?.template?.spec),
  /** Annotations are copied to replica sets: a change of them is one that the controller has to observe. */
  prepareForUpdate({ subresource }, object, old) {
    if (subresource === 'status') return;
    const [now, before] = [object.metadata, old.metadata];
    if (semanticallyEqual(now.annotations ?? {}, before.annotations ?? {})) return;
    now.generation = (before.generation ?? 0) + 1;
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...validate(object, old),
    ...immutable(object.spec?.selector, old.spec?.selector, specPath.child('selector')),
  ],
  validateStatusUpdate: (_context, object, old) => validateStatusUpdate(object, old),
  warnings: (_context, object, old) =>
    templateWarnings(object.spec?.template, old?.spec?.template, templatePath),
  table: table<Deployment>(
    [
      text('Ready', 'Pods that are ready, of those wanted.'),
      text('Up-to-date', 'Pods of the current template.'),
      text('Available', 'Pods ready for at least minReadySeconds.'),
      ageColumn,
      containersColumn,
      imagesColumn,
      selectorColumn,
    ],
    (object, nowMs) => [
      `${object.status?.readyReplicas ?? 0}/${object.spec?.replicas ?? 0}`,
      object.status?.updatedReplicas ?? 0,
      object.status?.availableReplicas ?? 0,
      ageOf(object, nowMs),
      ...containerCells(object.spec?.template?.spec?.containers),
      selectorOf(object.spec?.selector)?.toString() ?? '<invalid>',
    ],
  ),
};
