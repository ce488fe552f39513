import { randomUUID } from 'node:crypto';
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { LimitRange, LimitRangeItem } from '@cloudless/kube/types/core-v1';
import { Quantity } from '@cloudless/kube/quantity';
import type { Quantity as QuantityText } from '@cloudless/kube/types/meta-v1';
import type { Strategy } from '../../strategy.ts';
import { invalidEach } from '../../validation/fields.ts';
import { isQualifiedName } from '../../validation/names.ts';
import { compareQuantities, formatQuantity, roundResources } from '../../validation/quantities.ts';
import {
  isHugePages,
  isNative,
  validateContainerResourceName,
  validateResourceName,
} from '../pod/validate-resources.ts';
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
  const lower: QuantityText | undefined = item[low[0]]?.[resource];
  const upper: QuantityText | undefined = item[high[0]]?.[resource];
  if (lower === undefined || upper === undefined || compareQuantities(lower, upper) <= 0) return [];
  const text = `${low[1]} value ${formatQuantity(lower)} is greater than ${high[1]} value ${formatQuantity(upper)}`;
  return [fieldErrors.invalid(at.key(resource), formatQuantity(item[shown]?.[resource]), text)];
}

function validateClaimBounds({ type, min, max }: LimitRangeItem, path: FieldPath): FieldError[] {
  if (type !== 'PersistentVolumeClaim' || min?.['storage'] || max?.['storage']) return [];
  const text = 'either minimum or maximum storage value is required, but neither was provided';
  return [fieldErrors.required(path.child('limits'), text)];
}

function validateRatio(item: LimitRangeItem, resource: string, parent: FieldPath): FieldError[] {
  const ratio = item.maxLimitRequestRatio?.[resource];
  if (ratio === undefined) return [];
  const path = parent.child('maxLimitRequestRatio').key(resource);
  const shown = formatQuantity(ratio);
  const wrong: FieldError[] = [];
  if (compareQuantities(ratio, 1) < 0)
    wrong.push(fieldErrors.invalid(path, shown, `ratio ${shown} is less than 1`));
  const [min, max] = [item.min?.[resource], item.max?.[resource]].map((each) => Quantity.tryParse(each));
  const number = Quantity.tryParse(ratio);
  if (!min || !max || !number) return wrong;
  const limit = Number(max.milliValue()) / Number(min.milliValue());
  if (Number(number.milliValue()) / 1000 > limit) {
    const text = `ratio ${shown} is greater than max/min = ${limit.toFixed(6)}`;
    wrong.push(fieldErrors.invalid(path, shown, text));
  }
  return wrong;
}

/** What cannot be overcommitted is requested as it is limited. */
function validateOvercommit(item: LimitRangeItem, resource: string, path: FieldPath): FieldError[] {
  const limit = item.default?.[resource];
  const request = item.defaultRequest?.[resource];
  const mayDiffer = isNative(resource) && !isHugePages(resource);
  if (mayDiffer || limit === undefined || request === undefined) return [];
  if (compareQuantities(limit, request) === 0) return [];
  const text = `default value ${formatQuantity(limit)} must equal to defaultRequest value ${formatQuantity(request)} in ${resource}`;
  return [fieldErrors.invalid(path.child('defaultRequest').key(resource), formatQuantity(request), text)];
}

/** The item without what its type cannot have, and which is refused for that alone. */
function boundsOf(item: LimitRangeItem): LimitRangeItem {
  if (item.type !== 'Pod') return item;
  const { default: _limits, defaultRequest: _requests, ...bounds } = item;
  return bounds;
}

function validateItem(item: LimitRangeItem, path: FieldPath, isTwice: boolean): FieldError[] {
  const type = item.type ?? '';
  const bounds = boundsOf(item);
  const wrong = invalidEach(path.child('type'), type, isQualifiedName(type));
  if (
    wrong.length === 0 &&
    !type.includes('/') &&
    !['Pod', 'Container', 'PersistentVolumeClaim'].includes(type)
  ) {
    const text = 'must be a standard limit type or fully qualified';
    wrong.push(fieldErrors.invalid(path.child('type'), type, text));
  }
  if (isTwice) wrong.push(fieldErrors.duplicate(path.child('type'), type));
  const resources = new Set<string>();
  const nameRule =
    type === 'Pod' || type === 'Container' ? validateContainerResourceName : validateResourceName;
  for (const name of lists) {
    if (name === 'maxLimitRequestRatio') wrong.push(...validateClaimBounds(item, path));
    const names = Object.keys(item[name] ?? {});
    if (type === 'Pod' && (name === 'default' || name === 'defaultRequest')) {
      const text = "may not be specified when `type` is 'Pod'";
      if (names.length > 0) wrong.push(fieldErrors.forbidden(path.child(name), text));
      continue;
    }
    for (const resource of names) {
      resources.add(resource);
      wrong.push(...nameRule(resource, path.child(name).key(resource)));
    }
  }
  for (const resource of resources) {
    const requests = path.child('defaultRequest');
    const limits = path.child('default');
    wrong.push(
      ...order(bounds, resource, ['min', 'min'], ['max', 'max'], path.child('min'), 'min'),
      ...order(
        bounds,
        resource,
        ['min', 'min'],
        ['defaultRequest', 'default request'],
        requests,
        'defaultRequest',
      ),
      ...order(
        bounds,
        resource,
        ['defaultRequest', 'default request'],
        ['max', 'max'],
        requests,
        'defaultRequest',
      ),
      ...order(
        bounds,
        resource,
        ['defaultRequest', 'default request'],
        ['default', 'default limit'],
        requests,
        'defaultRequest',
      ),
      ...order(bounds, resource, ['min', 'min'], ['default', 'default'], limits, 'min'),
      ...order(bounds, resource, ['default', 'default'], ['max', 'max'], limits, 'max'),
    );
    wrong.push(...validateRatio(bounds, resource, path), ...validateOvercommit(bounds, resource, path));
  }
  return wrong;
}

function validate(range: LimitRange): FieldError[] {
  const seen = new Set<string>();
  return (range.spec?.limits ?? []).flatMap((item, i) => {
    const at = limitsPath.index(i);
    const wrong = validateItem(item, at, seen.has(item.type));
    seen.add(item.type);
    return wrong;
  });
}

/** Upstream: pkg/registry/core/limitrange. */
export const limitRange: Strategy<LimitRange> = {
  defaults: (object) => object.spec?.limits?.forEach(defaultItem),
  // The one kind that needs no name.
  prepareForCreate: (_context, object) => void (object.metadata.name ||= randomUUID()),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  table: createdAtTable,
};
