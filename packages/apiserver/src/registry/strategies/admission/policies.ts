/** ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings (pkg/apis/admissionregistration/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  AuditAnnotation,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  Mutation,
  ParamKind,
  ParamRef,
  TypeChecking,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  Validation,
} from '@cloudless/kube/types/admissionregistration-v1';
import { equalJson } from '../../../storage/codec.ts';
import {
  dns1123Subdomain,
  invalidEach,
  oneOf,
  setOneOf,
  optionalOneOf,
  qualifiedName,
} from '../../validation/fields.ts';
import { validateConditions, validateLabelSelector } from '../../validation/metadata.ts';
import { isDns1035Label, isDns1123Subdomain, nameIsPathSegment } from '../../validation/names.ts';
import {
  type ExpressionRules,
  validateExpression,
  validateMatchConditions,
  validateVariables,
} from './expressions.ts';
import { validateMatchResources } from './rules.ts';

const maxAuditAnnotations = 20;
const maxValueExpressionBytes = 5 * 1024;
const failurePolicies = ['Fail', 'Ignore'];
const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
const mutatingOperations = ['*', 'CONNECT', 'CREATE', 'UPDATE'];
const spec = FieldPath.of('spec');

function validateParamKind({ apiVersion = '', kind = '' }: ParamKind, path: FieldPath): FieldError[] {
  const at = path.child('apiVersion');
  const wrong: FieldError[] = [];
  const parts = apiVersion.split('/');
  if (apiVersion === '') wrong.push(fieldErrors.required(at));
  else if (parts.length > 2)
    wrong.push(fieldErrors.invalid(at, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  else {
    const [group, version] = parts.length === 2 ? (parts as [string, string]) : ['', apiVersion];
    const why = group === '' ? [] : isDns1123Subdomain(group);
    if (why.length > 0) wrong.push(fieldErrors.invalid(at, group, why.join(',')));
    if (version === '') wrong.push(fieldErrors.invalid(at, apiVersion, 'version must be specified'));
    else if (isDns1035Label(version).length > 0)
      wrong.push(fieldErrors.invalid(at, version, isDns1035Label(version).join(',')));
  }
  if (kind === '') return [...wrong, fieldErrors.required(path.child('kind'))];
  const why = isDns1035Label(kind.toLowerCase());
  if (why.length > 0) {
    const text = `may have mixed case, but should otherwise match: ${why.join(',')}`;
    wrong.push(fieldErrors.invalid(path.child('kind'), kind, text));
  }
  return wrong;
}

function validateValidation(validation: Validation, rules: ExpressionRules, path: FieldPath): FieldError[] {
  const { message = '', messageExpression = '', reason } = validation;
  const expression = validation.expression ?? '';
  const wrong =
    expression.trim() === ''
      ? [fieldErrors.required(path.child('expression'), 'expression is not specified')]
      : validateExpression(expression, rules, path.child('expression'));
  const computed = path.child('messageExpression');
  if (messageExpression !== '' && messageExpression.trim() === '')
    wrong.push(fieldErrors.invalid(computed, messageExpression, 'must be non-empty if specified'));
  else if (messageExpression !== '') {
    const ofMessage: ExpressionRules = { ...rules, authorizer: false, types: ['string'] };
    wrong.push(...validateExpression(messageExpression, ofMessage, computed));
  }
  const at = path.child('message');
  if (message !== '' && message.trim() === '')
    wrong.push(fieldErrors.invalid(at, message, 'must be non-empty if specified'));
  else if (/[\n\r]/.test(message.trim()))
    wrong.push(fieldErrors.invalid(at, message, 'must not contain line breaks'));
  return [...wrong, ...optionalOneOf(reason, reasons, path.child('reason'))];
}

function validateAuditAnnotation(
  annotation: AuditAnnotation,
  policy: string,
  rules: ExpressionRules,
  path: FieldPath,
): FieldError[] {
  const key = annotation.key ?? '';
  const valueExpression = annotation.valueExpression ?? '';
  const at = path.child('key');
  const wrong =
    policy === ''
      ? [fieldErrors.invalid(at, key, 'requires metadata.name be non-empty')]
      : qualifiedName(`${policy}/${key}`, at);
  const value = path.child('valueExpression');
  const trimmed = valueExpression.trim();
  if (trimmed === '') return [...wrong, fieldErrors.required(value, 'valueExpression is not specified')];
  if (Buffer.byteLength(trimmed) > maxValueExpressionBytes) {
    const why = `must not exceed ${maxValueExpressionBytes} bytes in length`;
    return [...wrong, fieldErrors.required(value, why)];
  }
  const ofValue: ExpressionRules = { ...rules, types: ['string', 'null'] };
  return [...wrong, ...validateExpression(trimmed, ofValue, value, valueExpression)];
}

type AnyPolicy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy;

/** What both kinds of policy have in common; match conditions that have not changed are not judged again. */
function validateCommon({ spec: fields = {} }: AnyPolicy, old: AnyPolicy | undefined): FieldError[] {
  const { paramKind, matchConstraints, matchConditions, failurePolicy, variables } = fields;
  const params = paramKind !== undefined;
  const unchanged =
    old !== undefined &&
    equalJson(old.spec?.paramKind, paramKind) &&
    equalJson(old.spec?.matchConditions, matchConditions);
  const constraints = spec.child('matchConstraints');
  const wrong = setOneOf(failurePolicy, failurePolicies, spec.child('failurePolicy'));
  if (paramKind) wrong.push(...validateParamKind(paramKind, spec.child('paramKind')));
  if (!matchConstraints) wrong.push(fieldErrors.required(constraints));
  else {
    wrong.push(...validateMatchResources(matchConstraints, constraints));
    if ((matchConstraints.resourceRules ?? []).length === 0)
      wrong.push(fieldErrors.required(constraints.child('resourceRules')));
  }
  if (!unchanged)
    wrong.push(...validateMatchConditions(matchConditions, params, spec.child('matchConditions')));
  return [...wrong, ...validateVariables(variables, params, spec.child('variables'))];
}

/** All that is wrong with a ValidatingAdmissionPolicy; `old` of an update. */
export function validatePolicy(
  policy: ValidatingAdmissionPolicy,
  old?: ValidatingAdmissionPolicy,
): FieldError[] {
  const { validations = [], auditAnnotations = [], paramKind, variables = [] } = policy.spec ?? {};
  const wrong = validateCommon(policy, old);
  if (validations.length === 0 && auditAnnotations.length === 0) {
    const why = 'validations or auditAnnotations must contain at least one item';
    return [
      ...wrong,
      fieldErrors.required(spec.child('validations'), why),
      fieldErrors.required(spec.child('auditAnnotations'), why),
    ];
  }
  const rules: ExpressionRules = {
    params: paramKind !== undefined,
    authorizer: true,
    types: ['bool'],
    variables: variables.length > 0 ? variables : undefined,
  };
  for (const [i, validation] of validations.entries())
    wrong.push(...validateValidation(validation, rules, spec.child('validations').index(i)));
  const annotations = spec.child('auditAnnotations');
  if (auditAnnotations.length > maxAuditAnnotations) {
    const why = `must not have more than ${maxAuditAnnotations} auditAnnotations`;
    wrong.push(fieldErrors.invalid(annotations, auditAnnotations, why));
  }
  const keys = new Set<string>();
  for (const [i, annotation] of auditAnnotations.entries()) {
    const at = annotations.index(i);
    wrong.push(...validateAuditAnnotation(annotation, policy.metadata.name ?? '', rules, at));
    if (keys.has(annotation.key)) wrong.push(fieldErrors.duplicate(at.child('key'), annotation.key));
    keys.add(annotation.key);
  }
  return wrong;
}

function validateTypeChecking(typeChecking: TypeChecking | undefined, path: FieldPath): FieldError[] {
  return (typeChecking?.expressionWarnings ?? []).flatMap(({ warning, fieldRef }, i) => {
    const at = path.child('expressionWarnings').index(i);
    return [
      ...(warning ? [] : [fieldErrors.required(at.child('warning'))]),
      ...(fieldRef?.trim() ? [] : [fieldErrors.required(at.child('fieldRef'))]),
    ];
  });
}

export function validatePolicyStatus({ status }: ValidatingAdmissionPolicy): FieldError[] {
  const path = FieldPath.of('status');
  return [
    ...validateTypeChecking(status?.typeChecking, path.child('typeChecking')),
    ...validateConditions(status?.conditions, path.child('conditions')),
  ];
}

function validateParamRef(ref: ParamRef | undefined, path: FieldPath): FieldError[] {
  if (!ref) return [];
  const { name, selector, parameterNotFoundAction } = ref;
  const both = 'name and selector are mutually exclusive';
  const wrong: FieldError[] = [];
  if (name) {
    wrong.push(...invalidEach(path.child('name'), name, nameIsPathSegment(name)));
    if (selector) wrong.push(fieldErrors.forbidden(path.child('name'), both));
  }
  if (selector) {
    wrong.push(...validateLabelSelector(selector, path.child('selector')));
    if (name) wrong.push(fieldErrors.forbidden(path.child('selector'), both));
  }
  if (!name && !selector) wrong.push(fieldErrors.required(path, 'one of name or selector must be specified'));
  const at = path.child('parameterNotFoundAction');
  const actions = ['Deny', 'Allow'];
  if (!parameterNotFoundAction) wrong.push(fieldErrors.required(at));
  else if (!actions.includes(parameterNotFoundAction))
    wrong.push(fieldErrors.notSupportedAsListed(at, parameterNotFoundAction, actions));
  return wrong;
}

function validateActions(actions: readonly string[], path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, action] of actions.entries()) {
    wrong.push(...setOneOf(action, ['Audit', 'Deny', 'Warn'], path.index(i)));
    if (seen.has(action)) wrong.push(fieldErrors.duplicate(path.index(i), action));
    seen.add(action);
  }
  if (seen.has('Deny') && seen.has('Warn')) {
    const why =
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)';
    wrong.push(fieldErrors.invalid(path, actions, why));
  }
  if (seen.size === 0) wrong.push(fieldErrors.required(path, 'at least one validation action is required'));
  return wrong;
}

function validateAnyBinding(
  binding: ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding,
): FieldError[] {
  const { policyName, paramRef, matchResources } = binding.spec ?? {};
  const at = spec.child('policyName');
  return [
    ...(policyName ? dns1123Subdomain(policyName, at) : [fieldErrors.required(at)]),
    ...validateParamRef(paramRef, spec.child('paramRef')),
    ...validateMatchResources(matchResources, spec.child('matchResources')),
  ];
}

export const validateBinding = (binding: ValidatingAdmissionPolicyBinding): FieldError[] => [
  ...validateAnyBinding(binding),
  ...validateActions(binding.spec?.validationActions ?? [], spec.child('validationActions')),
];

function validateMutation(mutation: Mutation, rules: ExpressionRules, path: FieldPath): FieldError[] {
  const { patchType, jsonPatch, applyConfiguration } = mutation;
  const types = ['ApplyConfiguration', 'JSONPatch'];
  if (!patchType || !types.includes(patchType)) return oneOf(patchType, types, path.child('patchType'));
  const isPatch = patchType === 'JSONPatch';
  const wanted = isPatch ? 'jsonPatch' : 'applyConfiguration';
  const other = isPatch ? 'applyConfiguration' : 'jsonPatch';
  const [given, unwanted] = isPatch ? [jsonPatch, applyConfiguration] : [applyConfiguration, jsonPatch];
  const wrong: FieldError[] = [];
  const at = path.child(wanted);
  if (!given) wrong.push(fieldErrors.required(at, `must be specified when patchType is ${patchType}`));
  else {
    const expression = given.expression?.trim() ?? '';
    const evaluating: ExpressionRules = { ...rules, types: [isPatch ? 'list(JSONPatch)' : 'Object'] };
    wrong.push(
      ...(expression === ''
        ? [fieldErrors.required(at.child('expression'))]
        : validateExpression(expression, evaluating, at.child('expression'))),
    );
  }
  if (unwanted)
    wrong.push(
      fieldErrors.invalid(
        path.child(other),
        `{${other}}`,
        `must not be specified when patchType is ${patchType}`,
      ),
    );
  return wrong;
}

function validateMutatingOperations(
  match: { resourceRules?: Array<{ operations?: string[] }> } | undefined,
  path: FieldPath,
): FieldError[] {
  const at = path.child('resourceRules', 'operations');
  return (match?.resourceRules ?? [])
    .flatMap(({ operations = [] }) => operations)
    .filter((operation) => !mutatingOperations.includes(operation))
    .map((operation) => fieldErrors.notSupported(at, operation, mutatingOperations));
}

/** All that is wrong with a MutatingAdmissionPolicy. */
export function validateMutatingPolicy(
  policy: MutatingAdmissionPolicy,
  old?: MutatingAdmissionPolicy,
): FieldError[] {
  const {
    mutations = [],
    reinvocationPolicy,
    matchConstraints,
    paramKind,
    variables = [],
  } = policy.spec ?? {};
  const rules: ExpressionRules = { params: paramKind !== undefined, authorizer: true, types: [], variables };
  const path = spec.child('mutations');
  return [
    ...validateCommon(policy, old),
    ...validateMutatingOperations(matchConstraints, spec.child('matchConstraints')),
    ...(mutations.length === 0
      ? [fieldErrors.required(path, 'mutations must contain at least one item')]
      : []),
    ...mutations.flatMap((mutation, i) => validateMutation(mutation, rules, path.index(i))),
    ...oneOf(reinvocationPolicy, ['IfNeeded', 'Never'], spec.child('reinvocationPolicy')),
  ];
}

export const validateMutatingBinding = (binding: MutatingAdmissionPolicyBinding): FieldError[] => [
  ...validateAnyBinding(binding),
  ...validateMutatingOperations(binding.spec?.matchResources, spec.child('matchResources')),
];
