/** Taints of devices, conditions that bind them, and DeviceTaintRule (upstream: pkg/apis/resource/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  DeviceTaint,
  DeviceTaintRule,
  DeviceTaintSelector,
} from '@cloudless/kube/types/resource-v1beta2';
import type { Strategy } from '../../strategy.ts';
import { dns1123Label, invalidEach } from '../../validation/fields.ts';
import { timestamp } from '../../metadata.ts';
import { validateConditions, validateLabelName } from '../../validation/metadata.ts';
import { isLabelValue } from '../../validation/names.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { age } from '../table/age.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateItems, validatePoolName } from './names.ts';

export const taintEffects = ['NoExecute', 'NoSchedule', 'None'];
const maxBindingConditions = 4;
const maxRuleConditions = 8;
const specPath = FieldPath.of('spec');
const noTaint: DeviceTaint = { key: '', effect: '' };

/** When a taint began, for one that does not say. */
export function defaultTaint(taint: DeviceTaint | undefined, nowMs: number): void {
  if (taint) taint.timeAdded ??= timestamp(nowMs);
}

/** An effect that was there before is left alone. */
export function validateTaint(
  taint: DeviceTaint,
  old: DeviceTaint | undefined,
  path: FieldPath,
): FieldError[] {
  const { key, value = '', effect } = taint;
  const wrong = [
    ...validateLabelName(key, path.child('key')),
    ...invalidEach(path.child('value'), value, value === '' ? [] : isLabelValue(value)),
  ];
  if (old?.effect === effect) return wrong;
  const at = path.child('effect');
  if (effect === '') wrong.push(fieldErrors.required(at));
  else if (!taintEffects.includes(effect)) wrong.push(fieldErrors.notSupported(at, effect, taintEffects));
  return wrong;
}

/** Conditions that must hold, and those of which none may, before a pod is bound with a device. */
export function validateBinding(
  {
    bindingConditions,
    bindingFailureConditions,
  }: {
    bindingConditions?: string[];
    bindingFailureConditions?: string[];
  },
  path: FieldPath,
): FieldError[] {
  const at = path.child('bindingConditions');
  const failuresAt = path.child('bindingFailureConditions');
  const conditions = bindingConditions ?? [];
  const failures = bindingFailureConditions ?? [];
  const wrong = [
    ...validateItems(conditions, at, maxBindingConditions, validateLabelName),
    ...validateItems(failures, failuresAt, maxBindingConditions, validateLabelName),
  ];
  for (const [i, name] of conditions.entries())
    if (conditions.indexOf(name) < i) wrong.push(fieldErrors.duplicate(at.index(i), name));
  for (const [i, name] of failures.entries()) {
    if (failures.indexOf(name) < i) wrong.push(fieldErrors.duplicate(failuresAt.index(i), name));
    const why = 'bindingFailureConditions must not overlap with bindingConditions';
    if (conditions.includes(name)) wrong.push(fieldErrors.invalid(failuresAt.index(i), name, why));
  }
  if (conditions.length === 0 && failures.length > 0) {
    const why = 'bindingConditions are required to use bindingFailureConditions';
    wrong.push(fieldErrors.invalid(at, bindingConditions ?? null, why));
  }
  if (failures.length === 0 && conditions.length > 0) {
    const why = 'bindingFailureConditions are required to use bindingConditions';
    wrong.push(fieldErrors.invalid(failuresAt, bindingFailureConditions ?? null, why));
  }
  return wrong;
}

function validateTaintSelector(selector: DeviceTaintSelector | undefined, path: FieldPath): FieldError[] {
  const { driver, pool, device } = selector ?? {};
  return [
    ...(driver == null ? [] : validateCsiDriverName(driver, path.child('driver'))),
    ...(pool == null ? [] : validatePoolName(pool, path.child('pool'))),
    ...(device == null ? [] : dns1123Label(device, path.child('device'))),
  ];
}

const validateRule = ({ spec }: DeviceTaintRule, old?: DeviceTaintRule): FieldError[] => [
  ...validateTaintSelector(spec?.deviceSelector, specPath.child('deviceSelector')),
  ...validateTaint(spec?.taint ?? noTaint, old && (old.spec?.taint ?? noTaint), specPath.child('taint')),
];

function validateRuleStatus({ status }: DeviceTaintRule): FieldError[] {
  const at = FieldPath.of('status', 'conditions');
  const count = status?.conditions?.length ?? 0;
  const wrong = validateConditions(status?.conditions, at);
  return count > maxRuleConditions ? [...wrong, fieldErrors.tooMany(at, count, maxRuleConditions)] : wrong;
}

export const deviceTaintRule: Strategy<DeviceTaintRule> = {
  prepareForCreate: ({ nowMs }, object) => defaultTaint(object.spec?.taint, nowMs),
  prepareForUpdate({ nowMs }, object, old) {
    const taint = object.spec?.taint;
    // A new effect begins now (devicetaintrule/strategy.go).
    if (
      taint?.timeAdded &&
      taint.timeAdded === old.spec?.taint?.timeAdded &&
      taint.effect !== old.spec.taint.effect
    )
      delete taint.timeAdded;
    defaultTaint(taint, nowMs);
  },
  validate: (_context, object) => validateRule(object),
  validateUpdate: (_context, object, old) => validateRule(object, old),
  validateStatusUpdate: (_context, object) => validateRuleStatus(object),
  table: table<DeviceTaintRule>(
    [
      text('Key', 'The taint.'),
      text('Value', 'More about it.'),
      text('Effect', 'What it does to pods.'),
      text('TimeAdded', 'Since when it does.'),
      ageColumn,
    ],
    (object, nowMs) => {
      const { key, value = '', effect, timeAdded } = object.spec?.taint ?? noTaint;
      return [key, value, effect, timeAdded ? age(timeAdded, nowMs) : '', ageOf(object, nowMs)];
    },
  ),
};
