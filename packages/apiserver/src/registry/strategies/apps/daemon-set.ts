import { fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { DaemonSet, DaemonSetSpec } from '@cloudless/kube/types/apps-v1';
import type { Strategy } from '../../strategy.ts';
import {
  immutable,
  intOrPercent,
  nonNegative,
  nonNegativeEach,
  notDecremented,
  notMoreThan100Percent,
  positiveIntOrPercent,
  selectorOf,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import {
  ageColumn,
  ageOf,
  containerCells,
  containersColumn,
  imagesColumn,
  integer,
  labelsCell,
  selectorCell,
  selectorColumn,
  table,
  text,
} from '../table/table.ts';
import { specPath, statusPath, templatePath, validateEndlessTemplate } from './template.ts';

function defaults(set: DaemonSet): void {
  const spec = (set.spec ??= {} as DaemonSetSpec);
  const strategy = (spec.updateStrategy ??= {});
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = (strategy.rollingUpdate ??= {});
    rolling.maxUnavailable ??= 1;
    rolling.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultPodTemplate((spec.template ??= {}));
  // Upstream's conversion always writes it, so that whoever wrote the object owns it.
  setTemplateGeneration(set, templateGeneration(set));
}

function validateStrategy(spec: DaemonSetSpec): FieldError[] {
  const path = specPath.child('updateStrategy');
  const strategy = spec.updateStrategy ?? {};
  if (strategy.type === 'OnDelete') return [];
  if (strategy.type !== 'RollingUpdate') {
    return [fieldErrors.notSupported(path, strategy, ['OnDelete', 'RollingUpdate'])];
  }
  const at = path.child('rollingUpdate');
  if (!strategy.rollingUpdate) return [fieldErrors.required(at)];
  const { maxUnavailable, maxSurge } = strategy.rollingUpdate;
  const wrong = [
    ...positiveIntOrPercent(maxUnavailable, at.child('maxUnavailable')),
    ...positiveIntOrPercent(maxSurge, at.child('maxSurge')),
    ...notMoreThan100Percent(maxUnavailable, at.child('maxUnavailable')),
    ...notMoreThan100Percent(maxSurge, at.child('maxSurge')),
  ];
  const hasUnavailable = intOrPercent(maxUnavailable) !== 0;
  const hasSurge = intOrPercent(maxSurge) !== 0;
  if (hasUnavailable && hasSurge) {
    const why = 'may not be set when maxUnavailable is non-zero';
    wrong.push(fieldErrors.invalid(at.child('maxSurge'), maxSurge, why));
  } else if (!hasUnavailable && !hasSurge) {
    wrong.push(fieldErrors.required(at.child('maxUnavailable'), 'cannot be 0 when maxSurge is 0'));
  }
  return wrong;
}

/** A selector that is not there selects nothing, and is complained of as that. */
function validateSelector({ selector, template }: DaemonSetSpec): FieldError[] {
  const path = specPath.child('selector');
  const wrong = validateLabelSelector(selector, path);
  const labels = template?.metadata?.labels;
  const found = selector ? selectorOf(selector) : undefined;
  if (!selector || found?.matches(labels) === false) {
    const why = '`selector` does not match template `labels`';
    wrong.push(fieldErrors.invalid(templatePath.child('metadata', 'labels'), labels, why));
  }
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  if (selector && Object.keys(matchLabels).length + matchExpressions.length === 0)
    wrong.push(fieldErrors.invalid(path, selector, 'empty selector is invalid for daemonset'));
  return wrong;
}

function validate(set: DaemonSet, old?: DaemonSet): FieldError[] {
  const spec = set.spec ?? ({} as DaemonSetSpec);
  return [
    ...validateSelector(spec),
    ...validateEndlessTemplate(spec.template, {}, 'DaemonSet', old?.spec?.template),
    ...nonNegative(spec.minReadySeconds, specPath.child('minReadySeconds')),
    ...validateStrategy(spec),
    ...nonNegative(spec.revisionHistoryLimit, specPath.child('revisionHistoryLimit')),
  ];
}

const counters = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
];

const templateGenerationAnnotation = 'deprecated.daemonset.template.generation';

const templateGeneration = (set: DaemonSet): number =>
  Number.parseInt(set.metadata.annotations?.[templateGenerationAnnotation] ?? '0', 10) || 0;

/** How often the template changed: a field of older versions, which apps/v1 shows as an annotation. */
function setTemplateGeneration(set: DaemonSet, generation: number): void {
  set.metadata.annotations = {
    ...set.metadata.annotations,
    [templateGenerationAnnotation]: String(generation),
  };
}

/** Upstream: pkg/apis/apps, pkg/registry/apps/daemonset. */
export const daemonSet: Strategy<DaemonSet> = {
  defaults,
  dropDisabledFields: (object) => dropDisabledPodFields(object.spec?.template?.spec),
  prepareForCreate: (_context, object) =>
    setTemplateGeneration(object, Math.max(templateGeneration(object), 1)),
  prepareForUpdate(_context, object, old) {
    const changed = !semanticallyEqual(object.spec?.template, old.spec?.template);
    setTemplateGeneration(object, templateGeneration(old) + (changed ? 1 : 0));
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...immutable(object.spec?.selector, old.spec?.selector, specPath.child('selector')),
    ...validate(object, old),
  ],
  validateStatusUpdate: (_context, { status }, old) => [
    ...nonNegativeEach(status, counters, statusPath),
    ...notDecremented(status?.collisionCount, old.status?.collisionCount, statusPath.child('collisionCount')),
  ],
  warnings: (_context, object, old) =>
    templateWarnings(object.spec?.template, old?.spec?.template, templatePath),
  table: table<DaemonSet>(
    [
      integer('Desired', 'Nodes that should run it.'),
      integer('Current', 'Nodes that run it.'),
      integer('Ready', 'Nodes where it is ready.'),
      integer('Up-to-date', 'Nodes that run the current template.'),
      integer('Available', 'Nodes where it is available.'),
      text('Node Selector', 'Labels of the nodes that run it.'),
      ageColumn,
      containersColumn,
      imagesColumn,
      selectorColumn,
    ],
    (object, nowMs) => [
      object.status?.desiredNumberScheduled ?? 0,
      object.status?.currentNumberScheduled ?? 0,
      object.status?.numberReady ?? 0,
      object.status?.updatedNumberScheduled ?? 0,
      object.status?.numberAvailable ?? 0,
      labelsCell(object.spec?.template?.spec?.nodeSelector),
      ageOf(object, nowMs),
      ...containerCells(object.spec?.template?.spec?.containers),
      selectorCell(object.spec?.selector),
    ],
  ),
};
