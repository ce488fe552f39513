/** Kinds of admissionregistration.k8s.io (upstream: pkg/apis/admissionregistration/v1/defaults.go). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Strategy } from '../../strategy.ts';
import { dns1123Subdomain, optionalOneOf, required } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { ageColumn, ageOf, integer, selectorCell, table, text } from '../table/table.ts';

type Webhook = MutatingWebhook | ValidatingWebhook;

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

function validateWebhook(webhook: Webhook, path: FieldPath): FieldError[] {
  const name = webhook.name ?? '';
  const at = path.child('name');
  const wrong = name === '' ? [fieldErrors.required(at)] : dns1123Subdomain(name, at);
  if (wrong.length === 0 && name.split('.').length < 3) {
    const why = 'should be a domain with at least three segments separated by dots';
    wrong.push(fieldErrors.invalid(at, name, why));
  }
  const client = webhook.clientConfig ?? {};
  if (Boolean(client.url) === Boolean(client.service)) {
    const why = 'exactly one of url or service is required';
    wrong.push(fieldErrors.required(path.child('clientConfig'), why));
  }
  if (client.url && !client.url.startsWith('https://')) {
    const why = "'https' is the only allowed URL scheme";
    wrong.push(fieldErrors.invalid(path.child('clientConfig', 'url'), client.url, why));
  }
  const seconds = webhook.timeoutSeconds ?? 10;
  if (seconds < 1 || seconds > 30) {
    const why = `the timeout value must be between 1 and 30 seconds`;
    wrong.push(fieldErrors.invalid(path.child('timeoutSeconds'), seconds, why));
  }
  const versions = webhook.admissionReviewVersions ?? [];
  const versionsPath = path.child('admissionReviewVersions');
  wrong.push(...required(versions, versionsPath, 'must specify one of v1, v1beta1'));
  if (versions.length > 0 && !versions.some((version) => version === 'v1' || version === 'v1beta1')) {
    const why = 'must include at least one of v1, v1beta1';
    wrong.push(fieldErrors.invalid(versionsPath, versions, why));
  }
  return [
    ...wrong,
    ...optionalOneOf(webhook.failurePolicy, ['Fail', 'Ignore'], path.child('failurePolicy')),
    ...optionalOneOf(webhook.matchPolicy, ['Equivalent', 'Exact'], path.child('matchPolicy')),
    ...optionalOneOf(webhook.sideEffects ?? '', ['None', 'NoneOnDryRun'], path.child('sideEffects')),
    ...validateLabelSelector(webhook.namespaceSelector, path.child('namespaceSelector')),
    ...validateLabelSelector(webhook.objectSelector, path.child('objectSelector')),
  ];
}

function validateWebhooks(webhooks: readonly Webhook[] | undefined): FieldError[] {
  const seen = new Set<string>();
  return (webhooks ?? []).flatMap((webhook, i) => {
    const at = FieldPath.of('webhooks').index(i);
    const wrong = validateWebhook(webhook, at);
    if (seen.has(webhook.name)) wrong.push(fieldErrors.duplicate(at.child('name'), webhook.name));
    seen.add(webhook.name);
    return wrong;
  });
}

const webhooksTable = table<MutatingWebhookConfiguration | ValidatingWebhookConfiguration>(
  [integer('Webhooks', 'Number of webhooks.'), ageColumn],
  (object, nowMs) => [object.webhooks?.length ?? 0, ageOf(object, nowMs)],
);

export const validatingWebhookConfiguration: Strategy<ValidatingWebhookConfiguration> = {
  defaults: (object) => object.webhooks?.forEach(defaultWebhook),
  validate: (_context, object) => validateWebhooks(object.webhooks),
  validateUpdate: (_context, object) => validateWebhooks(object.webhooks),
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
  validateUpdate: (_context, object) => validateWebhooks(object.webhooks),
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
  defaults: (object) => defaultMatch(object.spec?.matchResources),
  table: bindingTable,
};

export const mutatingAdmissionPolicyBinding: Strategy<MutatingAdmissionPolicyBinding> = {
  defaults: (object) => defaultMatch(object.spec?.matchResources),
  table: bindingTable,
};
