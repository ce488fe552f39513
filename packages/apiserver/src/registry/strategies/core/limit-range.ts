import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { LimitRange, LimitRangeItem } from '@cloudless/kube/types/core-v1';
import type { Quantity } from '@cloudless/kube/types/meta-v1';
import type { Strategy } from '../../strategy.ts';
import { invalidEach } from '../../validation/fields.ts';
import { isQualifiedName } from '../../validation/names.ts';
import { compareQuantities, formatQuantity, roundResources } from '../../validation/quantities.ts';
import { validateResourceName } from '../pod/validate-resources.ts';
import { createdAtTable } from '../table/table.ts';

const limitsPath = FieldPath.of('spec', 'limits');
const lists = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;

/** Limits default to the maximum, requests to the limits, then to the minimum (upstream: SetDefaults_LimitRangeItem). */
function defaultItem(item: LimitRangeItem): void {
  for (const name of lists) roundResources(item[name]);
  if (item.type !== 'Container') return;
  item.default = { ...item.max, ...item.default };
  item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
}

/** One bound against another, with upstream's text. */
function order(
  item: LimitRangeItem,
  resource: string,
  low: [(typeof lists)[number], string],
  high: [(typeof lists)[number], string],
  at: FieldPath,
  shown: (typeof lists)[number],
): FieldError[] {
  const lower: Quantity | undefined = item[low[0]]?.[resource];
  const upper: Quantity | undefined = item[high[0]]?.[resource];
  if (lower === undefined || upper === undefined || compareQuantities(lower, upper) <= 0) return [];
  const text = `${low[1]} value ${formatQuantity(lower)} is greater than ${high[1]} value ${formatQuantity(upper)}`;
  return [fieldErrors.invalid(at.key(resource), formatQuantity(item[shown]?.[resource]), text)];
}

function validateItem(item: LimitRangeItem, path: FieldPath): FieldError[] {
  const type = item.type ?? '';
  const wrong = invalidEach(path.child('type'), type, isQualifiedName(type));
  if (
    wrong.length === 0 &&
    !type.includes('/') &&
    !['Pod', 'Container', 'PersistentVolumeClaim'].includes(type)
  ) {
    const text = 'must be a standard limit type or fully qualified';
    wrong.push(fieldErrors.invalid(path.child('type'), type, text));
  }
  const resources = new Set<string>();
  for (const name of lists) {
    const isRefused = type === 'Pod' && (name === 'default' || name === 'defaultRequest');
    for (const resource of Object.keys(item[name] ?? {})) {
      resources.add(resource);
      if (!isRefused) wrong.push(...validateResourceName(resource, path.child(name).key(resource)));
    }
    if (isRefused && Object.keys(item[name] ?? {}).length > 0) {
      wrong.push(fieldErrors.forbidden(path.child(name), "may not be specified when `type` is 'Pod'"));
    }
  }
  if (type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage']) {
    const text = 'either minimum or maximum storage value is required, but neither was provided';
    wrong.push(fieldErrors.required(path.child('limits'), text));
  }
  for (const resource of resources) {
    const requests = path.child('defaultRequest');
    const limits = path.child('default');
    wrong.push(
      ...order(item, resource, ['min', 'min'], ['max', 'max'], path.child('min'), 'min'),
      ...order(
        item,
        resource,
        ['min', 'min'],
        ['defaultRequest', 'default request'],
        requests,
        'defaultRequest',
      ),
      ...order(
        item,
        resource,
        ['defaultRequest', 'default request'],
        ['max', 'max'],
        requests,
        'defaultRequest',
      ),
      ...order(
        item,
        resource,
        ['defaultRequest', 'default request'],
        ['default', 'default limit'],
        requests,
        'defaultRequest',
      ),
      ...order(item, resource, ['min', 'min'], ['default', 'default'], limits, 'min'),
      ...order(item, resource, ['default', 'default'], ['max', 'max'], limits, 'max'),
    );
    const ratio = item.maxLimitRequestRatio?.[resource];
    if (ratio !== undefined && compareQuantities(ratio, 1) < 0) {
      const text = `ratio ${formatQuantity(ratio)} is less than 1`;
      wrong.push(
        fieldErrors.invalid(path.child('maxLimitRequestRatio').key(resource), formatQuantity(ratio), text),
      );
    }
  }
  return wrong;
}

function validate(range: LimitRange): FieldError[] {
  const seen = new Set<string>();
  return (range.spec?.limits ?? []).flatMap((item, i) => {
    const at = limitsPath.index(i);
    const wrong = validateItem(item, at);
    if (seen.has(item.type)) wrong.push(fieldErrors.duplicate(at.child('type'), item.type));
    seen.add(item.type);
    return wrong;
  });
}

/** Upstream: pkg/registry/core/limitrange. */
export const limitRange: Strategy<LimitRange> = {
  defaults: (object) => object.spec?.limits?.forEach(defaultItem),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  table: createdAtTable,
};
