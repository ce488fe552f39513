/** Webhook configurations (pkg/apis/admissionregistration/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { MutatingWebhook, ValidatingWebhook } from '@cloudless/kube/types/admissionregistration-v1';
import { equalJson } from '../../../storage/codec.ts';
import { invalidEach, optionalOneOf } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { isDns1035Label, isDns1123Subdomain } from '../../validation/names.ts';
import { validateMatchConditions } from './expressions.ts';
import { validateRule } from './rules.ts';
import { validateClientConfig } from './webhook-client-config.ts';

export type Webhook = MutatingWebhook | ValidatingWebhook;

/** What older objects may keep (upstream: validationOptions). */
interface Leniency {
  readonly ignoreMatchConditions: boolean;
  readonly requireNoSideEffects: boolean;
  readonly requireKnownReviewVersion: boolean;
  readonly requireUniqueNames: boolean;
  readonly allowInvalidSelectorValues: boolean;
}

const strict: Leniency = {
  ignoreMatchConditions: false,
  requireNoSideEffects: true,
  requireKnownReviewVersion: true,
  requireUniqueNames: true,
  allowInvalidSelectorValues: false,
};
const noSideEffects = ['None', 'NoneOnDryRun'];
const sideEffects = ['None', 'NoneOnDryRun', 'Some', 'Unknown'];
const reviewVersions = ['v1', 'v1beta1'];
const isKnown = (version: string): boolean => reviewVersions.includes(version);

function leniencyFor(old: readonly Webhook[], now: readonly Webhook[]): Leniency {
  const names = old.map(({ name }) => name);
  const selectors = old.flatMap((each) => [each.namespaceSelector, each.objectSelector]);
  return {
    ignoreMatchConditions:
      old.length === now.length &&
      old.every((each, i) => equalJson(each.matchConditions, now[i]?.matchConditions)),
    requireNoSideEffects: old.every((each) => noSideEffects.includes(each.sideEffects)),
    requireKnownReviewVersion: old.every(
      ({ admissionReviewVersions: versions }) => (versions ?? []).length === 0 || versions.some(isKnown),
    ),
    requireUniqueNames: new Set(names).size === names.length,
    allowInvalidSelectorValues: selectors.some(
      (selector) => validateLabelSelector(selector, FieldPath.of('')).length > 0,
    ),
  };
}

function validateName(name: string, path: FieldPath): FieldError[] {
  if (name === '') return [fieldErrors.required(path)];
  const wrong = isDns1123Subdomain(name);
  if (wrong.length > 0) return [fieldErrors.invalid(path, name, wrong.join(','))];
  const why = 'should be a domain with at least three segments separated by dots';
  return name.split('.').length < 3 ? [fieldErrors.invalid(path, name, why)] : [];
}

function validateReviewVersions(
  versions: readonly string[],
  requireKnown: boolean,
  path: FieldPath,
): FieldError[] {
  const known = reviewVersions.join(', ');
  if (versions.length === 0) return [fieldErrors.required(path, `must specify one of ${known}`)];
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, version] of versions.entries()) {
    if (seen.has(version)) wrong.push(fieldErrors.invalid(path.index(i), version, 'duplicate version'));
    else wrong.push(...invalidEach(path.index(i), version, isDns1035Label(version)));
    seen.add(version);
  }
  if (requireKnown && !versions.some(isKnown))
    wrong.push(fieldErrors.invalid(path, versions, `must include at least one of ${known}`));
  return wrong;
}

function validateWebhook(webhook: Webhook, leniency: Leniency, path: FieldPath): FieldError[] {
  const { timeoutSeconds: seconds = 10, sideEffects: effects } = webhook;
  const allowed = leniency.requireNoSideEffects ? noSideEffects : sideEffects;
  const wrong = validateName(webhook.name ?? '', path.child('name'));
  for (const [i, rule] of (webhook.rules ?? []).entries())
    wrong.push(...validateRule(rule, path.child('rules').index(i)));
  wrong.push(
    ...optionalOneOf(webhook.failurePolicy, ['Fail', 'Ignore'], path.child('failurePolicy')),
    ...optionalOneOf(webhook.matchPolicy, ['Equivalent', 'Exact'], path.child('matchPolicy')),
  );
  const at = path.child('sideEffects');
  if (effects == null) wrong.push(fieldErrors.required(at, `must specify one of ${allowed.join(', ')}`));
  else if (!allowed.includes(effects)) wrong.push(fieldErrors.notSupported(at, effects, allowed));
  if (seconds < 1 || seconds > 30) {
    const why = 'the timeout value must be between 1 and 30 seconds';
    wrong.push(fieldErrors.invalid(path.child('timeoutSeconds'), seconds, why));
  }
  for (const field of ['namespaceSelector', 'objectSelector'] as const)
    wrong.push(
      ...validateLabelSelector(webhook[field], path.child(field), leniency.allowInvalidSelectorValues),
    );
  if ('reinvocationPolicy' in webhook)
    wrong.push(
      ...optionalOneOf(webhook.reinvocationPolicy, ['IfNeeded', 'Never'], path.child('reinvocationPolicy')),
    );
  wrong.push(...validateClientConfig(webhook.clientConfig, path.child('clientConfig')));
  if (!leniency.ignoreMatchConditions)
    wrong.push(...validateMatchConditions(webhook.matchConditions, false, path.child('matchConditions')));
  return wrong;
}

/** All that is wrong with the webhooks of a configuration; `old` of an update, which may keep some of it. */
export function validateWebhooks(now: readonly Webhook[] = [], old?: readonly Webhook[]): FieldError[] {
  const leniency = old ? leniencyFor(old, now) : strict;
  const seen = new Set<string>();
  return now.flatMap((webhook, i) => {
    const at = FieldPath.of('webhooks').index(i);
    const wrong = validateWebhook(webhook, leniency, at);
    const versions = webhook.admissionReviewVersions ?? [];
    const { requireKnownReviewVersion } = leniency;
    wrong.push(
      ...validateReviewVersions(versions, requireKnownReviewVersion, at.child('admissionReviewVersions')),
    );
    if (leniency.requireUniqueNames && webhook.name) {
      if (seen.has(webhook.name)) wrong.push(fieldErrors.duplicate(at.child('name'), webhook.name));
      seen.add(webhook.name);
    }
    return wrong;
  });
}
