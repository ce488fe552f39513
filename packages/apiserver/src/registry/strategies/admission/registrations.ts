/** Kinds of admissionregistration.k8s.io (upstream: pkg/apis/admissionregistration/v1/defaults.go). */
import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhookConfiguration,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Strategy } from '../../strategy.ts';
import {
  validateBinding,
  validateMutatingBinding,
  validateMutatingPolicy,
  validatePolicy,
  validatePolicyStatus,
} from './policies.ts';
import { validateWebhooks, type Webhook } from './webhooks.ts';
import { ageColumn, ageOf, integer, selectorCell, table, text } from '../table/table.ts';

function defaultRules(rules: ReadonlyArray<{ scope?: string }> | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= '*';
}

function defaultWebhook(webhook: Webhook): void {
  webhook.failurePolicy ??= 'Fail';
  webhook.matchPolicy ??= 'Equivalent';
  webhook.namespaceSelector ??= {};
  webhook.objectSelector ??= {};
  webhook.timeoutSeconds ??= 10;
  if (webhook.clientConfig?.service) webhook.clientConfig.service.port ??= 443;
  defaultRules(webhook.rules);
}

function defaultMatch(match: MatchResources | undefined): void {
  if (!match) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  defaultRules(match.resourceRules);
  defaultRules(match.excludeResourceRules);
}

const webhooksTable = table<MutatingWebhookConfiguration | ValidatingWebhookConfiguration>(
  [integer('Webhooks', 'Number of webhooks.'), ageColumn],
  (object, nowMs) => [object.webhooks?.length ?? 0, ageOf(object, nowMs)],
);

export const validatingWebhookConfiguration: Strategy<ValidatingWebhookConfiguration> = {
  defaults: (object) => object.webhooks?.forEach(defaultWebhook),
  validate: (_context, object) => validateWebhooks(object.webhooks),
  validateUpdate: (_context, object, old) => validateWebhooks(object.webhooks, old.webhooks ?? []),
  table: webhooksTable,
};

export const mutatingWebhookConfiguration: Strategy<MutatingWebhookConfiguration> = {
  defaults(object) {
    for (const webhook of object.webhooks ?? []) {
      defaultWebhook(webhook);
      webhook.reinvocationPolicy ??= 'Never';
    }
  },
  validate: (_context, object) => validateWebhooks(object.webhooks),
  validateUpdate: (_context, object, old) => validateWebhooks(object.webhooks, old.webhooks ?? []),
  table: webhooksTable,
};

const paramKindCell = (kind: { apiVersion?: string; kind?: string } | undefined): string =>
  kind ? `${kind.apiVersion}/${kind.kind}` : '<unset>';

function paramRefCell(ref: ParamRef | undefined): string {
  if (!ref) return '<unset>';
  if (ref.name) return `${ref.namespace || '*'}/${ref.name}`;
  return ref.selector ? selectorCell(ref.selector) : '<unset>';
}

const policyColumns = (what: string): Parameters<typeof table>[0] => [
  integer(what, 'Number of rules.'),
  text('ParamKind', 'Kind of the parameters.'),
  ageColumn,
];
const bindingTable = table<ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding>(
  [text('PolicyName', 'The policy that is bound.'), text('ParamRef', 'Its parameters.'), ageColumn],
  (object, nowMs) => [
    object.spec?.policyName ?? '',
    paramRefCell(object.spec?.paramRef),
    ageOf(object, nowMs),
  ],
);

export const validatingAdmissionPolicy: Strategy<ValidatingAdmissionPolicy> = {
  validate: (_context, object) => validatePolicy(object),
  validateUpdate: (_context, object, old) => validatePolicy(object, old),
  validateStatusUpdate: (_context, object) => validatePolicyStatus(object),
  defaults(object) {
    const spec = (object.spec ??= {});
    spec.failurePolicy ??= 'Fail';
    defaultMatch(spec.matchConstraints);
  },
  table: table<ValidatingAdmissionPolicy>(policyColumns('Validations'), (object, nowMs) => [
    object.spec?.validations?.length ?? 0,
    paramKindCell(object.spec?.paramKind),
    ageOf(object, nowMs),
  ]),
};

export const mutatingAdmissionPolicy: Strategy<MutatingAdmissionPolicy> = {
  validate: (_context, object) => validateMutatingPolicy(object),
  validateUpdate: (_context, object, old) => validateMutatingPolicy(object, old),
  defaults(object) {
    const spec = (object.spec ??= {});
    spec.failurePolicy ??= 'Fail';
    defaultMatch(spec.matchConstraints);
  },
  table: table<MutatingAdmissionPolicy>(policyColumns('Mutations'), (object, nowMs) => [
    object.spec?.mutations?.length ?? 0,
    paramKindCell(object.spec?.paramKind),
    ageOf(object, nowMs),
  ]),
};

export const validatingAdmissionPolicyBinding: Strategy<ValidatingAdmissionPolicyBinding> = {
  validate: (_context, object) => validateBinding(object),
  validateUpdate: (_context, object) => validateBinding(object),
  defaults: (object) => defaultMatch(object.spec?.matchResources),
  table: bindingTable,
};

export const mutatingAdmissionPolicyBinding: Strategy<MutatingAdmissionPolicyBinding> = {
  validate: (_context, object) => validateMutatingBinding(object),
  validateUpdate: (_context, object) => validateMutatingBinding(object),
  defaults: (object) => defaultMatch(object.spec?.matchResources),
  table: bindingTable,
};
