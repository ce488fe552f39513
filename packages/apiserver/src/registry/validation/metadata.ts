/**
 * Validation of `metadata`, shared by every kind (upstream: apimachinery/pkg/api/validation/objectmeta.go,
 * apimachinery/pkg/apis/meta/v1/validation/validation.go and core/validation.go's finalizer rule).
 */
import { isDeepStrictEqual } from 'node:util';
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Resource } from '@cloudless/kube/object';
import type {
  Condition,
  DeleteOptions,
  LabelSelector,
  LabelSelectorRequirement,
  ManagedFieldsEntry,
  ObjectMeta,
  OwnerReference,
} from '@cloudless/kube/types/meta-v1';
import {
  isDns1123Subdomain,
  isLabelValue,
  isQualifiedName,
  nameIsDnsLabel,
  nameIsDnsSubdomain,
  nameIsPathSegment,
  type NameRule,
  regexError,
} from './names.ts';
import { ipNameErrors } from './addresses.ts';

export const immutableText = 'field is immutable';
/** Keys and values of all annotations together, in bytes. */
export const maxAnnotationsBytes = 256 * 1024;

/** Rules written in declarations judge the name alone, not a prefix of it. */
const subdomainOncePrefixed: NameRule = (name, isPrefix) =>
  isPrefix ? nameIsPathSegment(name, true) : nameIsDnsSubdomain(name);

/** A DNS subdomain as generated validation upstream checks it (validate.LongName): lengths are in bytes. */
const longName: NameRule = (name) =>
  isDns1123Subdomain(name).map((text) => text.replace(/^(must be no more than \d+) characters$/, '$1 bytes'));

/** Names of kinds whose rule is not the DNS subdomain, by `group/Kind`. */
const nameRules: Readonly<Record<string, NameRule>> = {
  '/Event': nameIsPathSegment,
  '/Namespace': nameIsDnsLabel,
  '/ReplicationController': subdomainOncePrefixed,
  '/Service': nameIsDnsLabel,
  'apiregistration.k8s.io/APIService': nameIsPathSegment,
  'apps/StatefulSet': nameIsDnsLabel,
  'certificates.k8s.io/CertificateSigningRequest': nameIsPathSegment,
  'certificates.k8s.io/ClusterTrustBundle': (name, isPrefix) =>
    nameIsPathSegment(name.replaceAll(':', '-'), isPrefix),
  'events.k8s.io/Event': nameIsPathSegment,
  'networking.k8s.io/IPAddress': ipNameErrors,
  'policy/PodDisruptionBudget': nameIsPathSegment,
  'resource.k8s.io/DeviceClass': (name, isPrefix) =>
    isPrefix ? nameIsPathSegment(name, true) : longName(name),
  'rbac.authorization.k8s.io/ClusterRole': nameIsPathSegment,
  'rbac.authorization.k8s.io/ClusterRoleBinding': nameIsPathSegment,
  'rbac.authorization.k8s.io/Role': nameIsPathSegment,
  'rbac.authorization.k8s.io/RoleBinding': nameIsPathSegment,
};

/** The rule for names of a kind; a DNS subdomain unless upstream says otherwise. Custom resources included. */
export function nameRuleOf(resource: Pick<Resource, 'group' | 'kind'>): NameRule {
  return nameRules[`${resource.group}/${resource.kind}`] ?? nameIsDnsSubdomain;
}

const root = FieldPath.of('metadata');
const bytes = (text: string): number => Buffer.byteLength(text);

/** A label's key as a field error at `path`. */
export function validateLabelName(key: string, path: FieldPath): FieldError[] {
  return isQualifiedName(key).map((text) => fieldErrors.invalid(path, key, text));
}

export function validateLabels(labels: Record<string, string> | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  for (const key in labels) {
    const value = labels[key] as string;
    for (const text of isQualifiedName(key)) wrong.push(fieldErrors.invalid(path, key, text));
    for (const text of isLabelValue(value)) wrong.push(fieldErrors.invalid(path, value, text));
  }
  return wrong;
}

export function validateAnnotations(
  annotations: Record<string, string> | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  let size = 0;
  for (const key in annotations) {
    size += bytes(key) + bytes(annotations[key] as string);
    for (const text of isQualifiedName(key.toLowerCase())) wrong.push(fieldErrors.invalid(path, key, text));
  }
  if (size > maxAnnotationsBytes) wrong.push(fieldErrors.tooLong(path, maxAnnotationsBytes));
  return wrong;
}

function validateOwnerReference(reference: OwnerReference, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const [first = '', second] = (reference.apiVersion ?? '').split('/');
  if ((second ?? first) === '') {
    wrong.push(
      fieldErrors.invalid(path.child('apiVersion'), reference.apiVersion ?? '', 'version must not be empty'),
    );
  }
  for (const name of ['kind', 'name', 'uid'] as const) {
    if (!reference[name]) wrong.push(fieldErrors.invalid(path.child(name), '', 'must not be empty'));
  }
  if (reference.apiVersion === 'v1' && reference.kind === 'Event') {
    wrong.push(fieldErrors.invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'));
  }
  return wrong;
}

export function validateOwnerReferences(
  references: OwnerReference[] | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  let first = '';
  for (const reference of references ?? []) {
    wrong.push(...validateOwnerReference(reference, path));
    if (reference.controller !== true) continue;
    const controller = `${reference.kind}/${reference.name}`;
    if (first === '') first = controller;
    else {
      const text = `Only one reference can have Controller set to true. Found "true" in references for ${first} and ${controller}`;
      wrong.push(fieldErrors.invalid(path, references, text));
    }
  }
  return wrong;
}

const standardFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

/** Finalizers without a domain prefix must be upstream's three. */
export function validateStandardFinalizer(name: string, path: FieldPath): FieldError[] {
  if (name.includes('/') || standardFinalizers.has(name)) return [];
  return [
    fieldErrors.invalid(path, name, 'name is neither a standard finalizer name nor is it fully qualified'),
  ];
}

/** Groups and kinds that are judged by the rules of apimachinery only, without those of core/validation. */
const withAnyFinalizer: ReadonlySet<string> = new Set([
  '/Event',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'coordination.k8s.io',
  'events.k8s.io/Event',
  'node.k8s.io',
  'policy/PodDisruptionBudget',
]);

/** The servers of definitions and custom resources, the aggregator and some kinds take finalizers of any name. */
export const takesAnyFinalizer = (resource: Pick<Resource, 'group' | 'kind'>, isCustom: boolean): boolean =>
  isCustom ||
  withAnyFinalizer.has(resource.group) ||
  withAnyFinalizer.has(`${resource.group}/${resource.kind}`);

const validateStandardFinalizers = (finalizers: string[] | undefined, path: FieldPath): FieldError[] =>
  (finalizers ?? []).flatMap((name, i) => validateStandardFinalizer(name, path.index(i)));

export function validateFinalizers(finalizers: string[] | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name of finalizers ?? []) {
    for (const text of isQualifiedName(name)) wrong.push(fieldErrors.invalid(path, name, text));
  }
  if (finalizers?.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    const text = 'finalizer orphan and foregroundDeletion cannot be both set';
    wrong.push(fieldErrors.invalid(path, finalizers, text));
  }
  return wrong;
}

export function validateFieldManager(manager: string, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (bytes(manager) > 128) wrong.push(fieldErrors.tooLong(path, 128));
  let at = 0;
  for (const character of manager) {
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(character) || (character !== ' ' && /\p{Zs}/u.test(character))) {
      const code = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
      wrong.push(fieldErrors.invalid(path, manager, `invalid character U+${code} (at position ${at})`));
    }
    at += bytes(character);
  }
  return wrong;
}

export function validateManagedFields(
  entries: ManagedFieldsEntry[] | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  entries?.forEach((entry, i) => {
    const at = path.index(i);
    if (entry.operation !== 'Apply' && entry.operation !== 'Update') {
      wrong.push(
        fieldErrors.invalid(at.child('operation'), entry.operation ?? '', 'must be `Apply` or `Update`'),
      );
    }
    if (entry.fieldsType !== undefined && entry.fieldsType !== '' && entry.fieldsType !== 'FieldsV1') {
      wrong.push(fieldErrors.invalid(at.child('fieldsType'), entry.fieldsType, 'must be `FieldsV1`'));
    }
    wrong.push(...validateFieldManager(entry.manager ?? '', at.child('manager')));
    if (bytes(entry.subresource ?? '') > 256) wrong.push(fieldErrors.tooLong(at.child('subresource'), 256));
  });
  return wrong;
}

/** What a create of any kind must satisfy; name and namespace are already final. */
export function validateObjectMeta(
  metadata: ObjectMeta,
  rules: { namespaced: boolean; nameRule: NameRule; anyFinalizer?: boolean },
  path: FieldPath = root,
): FieldError[] {
  const wrong: FieldError[] = [];
  if (metadata.generateName) {
    for (const text of rules.nameRule(metadata.generateName, true)) {
      wrong.push(fieldErrors.invalid(path.child('generateName'), metadata.generateName, text));
    }
  }
  if (!metadata.name) {
    wrong.push(fieldErrors.required(path.child('name'), 'name or generateName is required'));
  } else {
    for (const text of rules.nameRule(metadata.name)) {
      wrong.push(fieldErrors.invalid(path.child('name'), metadata.name, text));
    }
  }
  wrong.push(...validateNamespaceField(metadata.namespace ?? '', rules.namespaced, path.child('namespace')));
  if (metadata.generation !== undefined && metadata.generation < 0) {
    const text = 'must be greater than or equal to 0';
    wrong.push(fieldErrors.invalid(path.child('generation'), metadata.generation, text));
  }
  wrong.push(
    ...validateLabels(metadata.labels, path.child('labels')),
    ...validateAnnotations(metadata.annotations, path.child('annotations')),
    ...validateOwnerReferences(metadata.ownerReferences, path.child('ownerReferences')),
    ...validateFinalizers(metadata.finalizers, path.child('finalizers')),
    ...(rules.anyFinalizer ? [] : validateStandardFinalizers(metadata.finalizers, path.child('finalizers'))),
    ...validateManagedFields(metadata.managedFields, path.child('managedFields')),
  );
  return wrong;
}

function validateNamespaceField(namespace: string, namespaced: boolean, path: FieldPath): FieldError[] {
  if (!namespaced) return namespace === '' ? [] : [fieldErrors.forbidden(path, 'not allowed on this type')];
  if (namespace === '') return [fieldErrors.required(path)];
  return nameIsDnsLabel(namespace).map((text) => fieldErrors.invalid(path, namespace, text));
}

/** One immutable field; `undefined` and `null` are alike. */
export function validateImmutable(now: unknown, before: unknown, path: FieldPath): FieldError[] {
  if (isDeepStrictEqual(now ?? undefined, before ?? undefined)) return [];
  return [fieldErrors.invalid(path, now, immutableText)];
}

/**
 * What an update of any kind must satisfy (rest.BeforeUpdate, ValidateObjectMetaUpdate). `rules.prefix` is what the
 * kind wants of `generateName`; any path segment will do without it.
 */
export function validateObjectMetaUpdate(
  now: ObjectMeta,
  before: ObjectMeta,
  rules: { prefix?: NameRule | undefined; anyFinalizer?: boolean },
  path: FieldPath = root,
): FieldError[] {
  const wrong: FieldError[] = [];
  const generateName = now.generateName ?? '';
  const texts = new Set(
    [nameIsPathSegment, ...(rules.prefix ? [rules.prefix] : [])].flatMap((rule) =>
      generateName === '' ? [] : rule(generateName, true),
    ),
  );
  for (const text of texts) wrong.push(fieldErrors.invalid(path.child('generateName'), generateName, text));
  wrong.push(
    ...validateLabels(now.labels, path.child('labels')),
    ...validateAnnotations(now.annotations, path.child('annotations')),
    ...validateOwnerReferences(now.ownerReferences, path.child('ownerReferences')),
    ...validateFinalizers(now.finalizers, path.child('finalizers')),
    ...validateManagedFields(now.managedFields, path.child('managedFields')),
  );
  if (before.deletionTimestamp) {
    const extra = (now.finalizers ?? []).filter((name) => !before.finalizers?.includes(name)).sort();
    if (extra.length > 0) {
      const list = extra.map((name) => JSON.stringify(name)).join(', ');
      const text = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`;
      wrong.push(fieldErrors.forbidden(path.child('finalizers'), text));
    }
  }
  if (!now.resourceVersion) {
    wrong.push(fieldErrors.invalid(path.child('resourceVersion'), '', 'must be specified for an update'));
  }
  if ((now.generation ?? 0) < (before.generation ?? 0)) {
    wrong.push(fieldErrors.invalid(path.child('generation'), now.generation ?? 0, 'must not be decremented'));
  }
  const fixed = [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ] as const;
  for (const name of fixed) wrong.push(...validateImmutable(now[name], before[name], path.child(name)));
  if (rules.anyFinalizer) return wrong;
  return [...wrong, ...validateStandardFinalizers(now.finalizers, path.child('finalizers'))];
}

function validateRequirement(
  requirement: LabelSelectorRequirement,
  path: FieldPath,
  allowInvalidValues: boolean,
): FieldError[] {
  const wrong: FieldError[] = [];
  const count = requirement.values?.length ?? 0;
  switch (requirement.operator) {
    case 'In':
    case 'NotIn':
      if (count === 0) {
        const text = "must be specified when `operator` is 'In' or 'NotIn'";
        wrong.push(fieldErrors.required(path.child('values'), text));
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (count > 0) {
        const text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
        wrong.push(fieldErrors.forbidden(path.child('values'), text));
      }
      break;
    default:
      wrong.push(
        fieldErrors.invalid(
          path.child('operator'),
          requirement.operator ?? '',
          'not a valid selector operator',
        ),
      );
  }
  wrong.push(...validateLabelName(requirement.key ?? '', path.child('key')));
  if (allowInvalidValues) return wrong;
  requirement.values?.forEach((value, i) => {
    for (const text of isLabelValue(value)) {
      wrong.push(fieldErrors.invalid(path.child('values').index(i), value, text));
    }
  });
  return wrong;
}

/** `allowInvalidValues` for objects stored before values were checked. */
export function validateLabelSelector(
  selector: LabelSelector | undefined,
  path: FieldPath,
  allowInvalidValues = false,
): FieldError[] {
  if (!selector) return [];
  const wrong = validateLabels(selector.matchLabels, path.child('matchLabels'));
  selector.matchExpressions?.forEach((requirement, i) => {
    wrong.push(
      ...validateRequirement(requirement, path.child('matchExpressions').index(i), allowInvalidValues),
    );
  });
  return wrong;
}

const conditionReason = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const conditionReasonPattern = new RegExp(`^${conditionReason}$`);

/** `metav1.Condition` lists (upstream: ValidateConditions). */
export function validateConditions(conditions: Condition[] | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  conditions?.forEach((condition, i) => {
    const at = path.index(i);
    if (seen.has(condition.type)) wrong.push(fieldErrors.duplicate(at.child('type'), condition.type));
    seen.add(condition.type);
    wrong.push(...validateLabelName(condition.type ?? '', at.child('type')));
    if (!['True', 'False', 'Unknown'].includes(condition.status)) {
      wrong.push(
        fieldErrors.notSupported(at.child('status'), condition.status ?? '', ['False', 'True', 'Unknown']),
      );
    }
    if ((condition.observedGeneration ?? 0) < 0) {
      const text = 'must be greater than or equal to zero';
      wrong.push(fieldErrors.invalid(at.child('observedGeneration'), condition.observedGeneration, text));
    }
    if (!condition.lastTransitionTime) wrong.push(fieldErrors.required(at.child('lastTransitionTime')));
    wrong.push(...validateConditionReason(condition.reason ?? '', at.child('reason')));
    if (bytes(condition.message ?? '') > 32768) wrong.push(fieldErrors.tooLong(at.child('message'), 32768));
  });
  return wrong;
}

function validateConditionReason(reason: string, path: FieldPath): FieldError[] {
  if (reason === '') return [fieldErrors.required(path)];
  const wrong: FieldError[] = [];
  if (!conditionReasonPattern.test(reason)) {
    const text = regexError(
      "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
      conditionReason,
      'my_name',
      'MY_NAME',
      'MyName',
      'ReasonA,ReasonB',
      'ReasonA:ReasonB',
    );
    wrong.push(fieldErrors.invalid(path, reason, text));
  }
  if (bytes(reason) > 1024) wrong.push(fieldErrors.tooLong(path, 1024));
  return wrong;
}

function validateDryRun(dryRun: readonly string[] | undefined): FieldError[] {
  if (!dryRun || dryRun.every((value) => value === 'All')) return [];
  return [fieldErrors.notSupported(FieldPath.of('dryRun'), dryRun, ['All'])];
}

export function validateDeleteOptions(options: DeleteOptions): FieldError[] {
  const wrong: FieldError[] = [];
  const policy = options.propagationPolicy;
  if (options.orphanDependents !== undefined && policy !== undefined) {
    const text = 'orphanDependents and deletionPropagation cannot be both set';
    wrong.push(fieldErrors.invalid(FieldPath.of('propagationPolicy'), policy, text));
  }
  if (policy !== undefined && !['Foreground', 'Background', 'Orphan'].includes(policy)) {
    const known = ['Foreground', 'Background', 'Orphan', 'nil'];
    const text = `supported values: ${known.map((value) => JSON.stringify(value)).join(', ')}`;
    const error = fieldErrors.notSupported(FieldPath.of('propagationPolicy'), policy, []);
    wrong.push({ ...error, message: `${error.message}: ${text}` });
  }
  wrong.push(...validateDryRun(options.dryRun));
  return wrong;
}

/** Query options of create, update and patch. `patchType` is absent for create and update. */
export function validateWriteOptions(options: {
  dryRun?: readonly string[] | undefined;
  fieldManager?: string | undefined;
  fieldValidation?: string | undefined;
  force?: boolean | undefined;
  patchType?: 'json' | 'merge' | 'strategic' | 'apply' | undefined;
}): FieldError[] {
  const wrong: FieldError[] = [];
  if (options.patchType === 'apply') {
    if (!options.fieldManager) {
      wrong.push(fieldErrors.required(FieldPath.of('fieldManager'), 'is required for apply patch'));
    }
  } else if (options.force !== undefined) {
    wrong.push(fieldErrors.forbidden(FieldPath.of('force'), 'may not be specified for non-apply patch'));
  }
  wrong.push(
    ...validateFieldManager(options.fieldManager ?? '', FieldPath.of('fieldManager')),
    ...validateDryRun(options.dryRun),
  );
  const validation = options.fieldValidation ?? '';
  if (!['', 'Ignore', 'Warn', 'Strict'].includes(validation)) {
    const known = ['', 'Ignore', 'Strict', 'Warn'];
    wrong.push(fieldErrors.notSupported(FieldPath.of('fieldValidation'), validation, known));
  }
  return wrong;
}
