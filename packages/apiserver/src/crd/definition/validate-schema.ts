/** The schema of one version (validateCustomResourceDefinitionValidation and …OpenAPISchema upstream). */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type {
  CustomResourceDefinitionSpec,
  CustomResourceValidation,
  JSONSchemaProps,
  ValidationRule,
} from '@cloudless/kube/types/apiextensions-v1';
import { checkRules } from '../../cel/index.ts';
import { itemListOf, itemsOf, rulesOf, schemaHas, schemaOrBool } from '../schema/structural.ts';
import { FieldPathError, findField } from './field-path.ts';
import type { HoistedSpec } from './hoisted.ts';
import type { Leniency } from './leniency.ts';
import { unsupportedKeyword, validateStructural } from './structural-rules.ts';
import { validateDefaults } from './validate-defaults.ts';
import { validateListMapKeys, validateListTypes } from './validate-lists.ts';

/** Every version needs a schema, in upstream's place for the error. */
export function schemaIsThere(
  spec: CustomResourceDefinitionSpec,
  hoisted: HoistedSpec,
  leniency: Leniency,
  path: FieldPath,
): FieldError[] {
  if (hoisted.validation?.openAPIV3Schema) return [];
  if (leniency.schemaless && spec.preserveUnknownFields) return [];
  return hoisted.versions.flatMap(({ schema, served }, i) => {
    if (schema?.openAPIV3Schema || (leniency.schemaless && !served)) return [];
    const at = path.child('versions').index(i).child('schema', 'openAPIV3Schema');
    return [fieldErrors.required(at, leniency.schemaless ? 'because otherwise all fields are pruned' : '')];
  });
}

/** What a root schema may say beside the status subresource: its status is validated by `properties.status` alone. */
const besideStatus: ReadonlyArray<readonly [string, string]> = [
  ['description', 'Description'],
  ['type', 'Type'],
  ['format', 'Format'],
  ['title', 'Title'],
  ['maximum', 'Maximum'],
  ['exclusiveMaximum', 'ExclusiveMaximum'],
  ['minimum', 'Minimum'],
  ['exclusiveMinimum', 'ExclusiveMinimum'],
  ['maxLength', 'MaxLength'],
  ['minLength', 'MinLength'],
  ['pattern', 'Pattern'],
  ['maxItems', 'MaxItems'],
  ['minItems', 'MinItems'],
  ['uniqueItems', 'UniqueItems'],
  ['multipleOf', 'MultipleOf'],
  ['required', 'Required'],
  ['items', 'Items'],
  ['properties', 'Properties'],
  ['externalDocs', 'ExternalDocs'],
  ['example', 'Example'],
  ['x-kubernetes-preserve-unknown-fields', 'XPreserveUnknownFields'],
  ['x-kubernetes-validations', 'XValidations'],
];
const allowedBesideStatus: ReadonlySet<string> = new Set(besideStatus.map(([name]) => name));

function validateRoot(schema: JSONSchemaProps, withStatus: boolean, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  if (withStatus) {
    if (schema.type && schema.type !== 'object') {
      const text =
        'only "object" is allowed as the type at the root of the schema if the status subresource is enabled';
      found.push(fieldErrors.invalid(path.child('openAPIV3Schema.type'), schema.type, text));
    } else if (Object.keys(schema).some((name) => !allowedBesideStatus.has(name) && isGiven(schema, name))) {
      const list = besideStatus.map(([, name]) => name).join(' ');
      const text = `only [${list}] fields are allowed at the root of the schema if the status subresource is enabled`;
      found.push(fieldErrors.invalid(path.child('openAPIV3Schema'), schema, text));
    }
  }
  if (schema.nullable) {
    const text = 'nullable cannot be true at the root';
    found.push(fieldErrors.forbidden(path.child('openAPIV3Schema.nullable'), text));
  }
  return found;
}

function isGiven(schema: JSONSchemaProps, name: string): boolean {
  const value = schema[name as keyof JSONSchemaProps];
  return value !== undefined && value !== false && value !== '' && !(Array.isArray(value) && !value.length);
}

/** All violations of a version's schema; `path` is that of its `schema` field. */
export function validateSchema(
  validation: CustomResourceValidation | undefined,
  withStatus: boolean,
  leniency: Leniency,
  path: FieldPath,
): FieldError[] {
  const schema = validation?.openAPIV3Schema;
  if (!schema) return [];
  const at = path.child('openAPIV3Schema');
  const found = validateRoot(schema, withStatus, path);
  const unsupported = leniency.unstructured ? undefined : unsupportedKeyword(schema);
  let structural = !leniency.unstructured && unsupported === undefined;
  if (structural) {
    const wrong = validateStructural(at, schema);
    if (wrong.length === 0) wrong.push(...validateDefaults(at, schema, leniency.unprunedDefaults));
    structural = wrong.length === 0;
    found.push(...wrong);
  }
  const context: Context = { leniency, insideMeta: false, noDefaults: undefined };
  const keywords = validateKeywords(schema, at, context, true);
  found.push(...keywords);
  // What the keywords' own errors say in better words.
  if (found.length === 0 && unsupported !== undefined) found.push(fieldErrors.invalid(at, '', unsupported));
  if (structural && keywords.length === 0 && schemaHas(schema, (each) => rulesOf(each).length > 0))
    found.push(...checkRules(schema, at, leniency.oldSchemas.get(leniency.version ?? '')));
  return found;
}

interface Context {
  readonly leniency: Leniency;
  /** Within apiVersion, kind or metadata of a resource. */
  readonly insideMeta: boolean;
  /** Why defaults are forbidden here. */
  readonly noDefaults: string | undefined;
}

const typeFields: ReadonlySet<string> = new Set(['metadata', 'kind', 'apiVersion']);
const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

function validateKeywords(
  schema: JSONSchemaProps,
  path: FieldPath,
  context: Context,
  isRoot: boolean,
): FieldError[] {
  const found = standardKeywords(schema, path, context);
  if (schema.uniqueItems) {
    const text = 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic';
    found.push(fieldErrors.forbidden(path.child('uniqueItems'), text));
  }
  found.push(...validateChildren(schema, path, context, isRoot));
  const preserves = 'x-kubernetes-preserve-unknown-fields';
  if (schema[preserves] === false)
    found.push(fieldErrors.invalid(path.child(preserves), false, 'must be true or undefined'));
  found.push(...validateListTypes(schema, path, context.leniency.nonAtomicSets));
  if (!context.leniency.looseListMapKeys) found.push(...validateListMapKeys(schema, path));
  for (const [i, rule] of rulesOf(schema).entries())
    found.push(...validateRuleFields(rule, schema, path.child('x-kubernetes-validations').index(i)));
  return found;
}

/** Keywords of OpenAPI that schemas of custom resources do without (specStandardValidatorV3). */
function standardKeywords(schema: JSONSchemaProps, path: FieldPath, context: Context): FieldError[] {
  const found: FieldError[] = [];
  const forbid = (name: string): void =>
    void found.push(fieldErrors.forbidden(path.child(name), `${name} is not supported`));
  const isSet = (value: object | undefined): boolean => Object.keys(value ?? {}).length > 0;
  const { type = '' } = schema;
  if (!context.leniency.invalidTypes && type !== '' && !types.includes(type))
    found.push(fieldErrors.notSupported(path.child('type'), type, types));
  if (schema.default !== undefined && context.noDefaults !== undefined)
    found.push(fieldErrors.forbidden(path.child('default'), `must not be set ${context.noDefaults}`));
  if (schema.id) forbid('id');
  if (schema.additionalItems !== undefined) forbid('additionalItems');
  if (isSet(schema.patternProperties)) forbid('patternProperties');
  if (isSet(schema.definitions)) forbid('definitions');
  if (schema.dependencies !== undefined) forbid('dependencies');
  if (schema.$ref !== undefined) forbid('$ref');
  if (type === 'null') {
    const text = 'type cannot be set to null, use nullable as an alternative';
    found.push(fieldErrors.forbidden(path.child('type'), text));
  }
  if (itemListOf(schema).length > 0) {
    const text = 'items must be a schema object and not an array';
    found.push(fieldErrors.forbidden(path.child('items'), text));
  }
  if (context.insideMeta && schema['x-kubernetes-embedded-resource']) {
    const at = path.child('x-kubernetes-embedded-resource');
    found.push(fieldErrors.forbidden(at, 'must not be used inside of resource meta'));
  }
  return found;
}

function validateChildren(
  schema: JSONSchemaProps,
  path: FieldPath,
  context: Context,
  isRoot: boolean,
): FieldError[] {
  const found: FieldError[] = [];
  const into = (child: JSONSchemaProps, at: FieldPath, inner: Context = context): void =>
    void found.push(...validateKeywords(child, at, inner, false));
  const properties = schema.properties ?? {};
  const additional = schemaOrBool(schema.additionalProperties);
  if (additional) {
    const at = path.child('additionalProperties');
    if (Object.keys(properties).length > 0 && (!additional.allows || additional.schema))
      found.push(fieldErrors.forbidden(at, 'additionalProperties and properties are mutual exclusive'));
    const reason = 'inside additionalProperties applying to object metadata';
    if (additional.schema)
      into(additional.schema, at, context.insideMeta ? { ...context, noDefaults: reason } : context);
  }
  for (const name of Object.keys(properties)) {
    let inner = context;
    if ((isRoot || schema['x-kubernetes-embedded-resource']) && typeFields.has(name)) {
      const noDefaults = isRoot ? `in top-level ${name}` : context.noDefaults;
      inner = { ...context, insideMeta: true, noDefaults };
    }
    into(properties[name] as JSONSchemaProps, path.child('properties').key(name), inner);
  }
  if (schema.not) into(schema.not, path.child('not'));
  for (const keyword of ['allOf', 'oneOf', 'anyOf'] as const)
    for (const [i, each] of (schema[keyword] ?? []).entries()) into(each, path.child(keyword).index(i));
  for (const name of Object.keys(schema.definitions ?? {}))
    into(schema.definitions?.[name] as JSONSchemaProps, path.child('definitions').key(name));
  const items = itemsOf(schema);
  if (items) into(items, path.child('items'));
  for (const [i, each] of itemListOf(schema).entries()) into(each, path.child('items').index(i));
  return found;
}

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
const breaksLine = (text: string): boolean => /[\n\r]/.test(text);

/** The fields of a rule around its expression. */
function validateRuleFields(rule: ValidationRule, schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  const { message = '', messageExpression = '', fieldPath = '' } = rule;
  const expression = (rule.rule ?? '').trim();
  const text = message.trim();
  if (expression === '') found.push(fieldErrors.required(path.child('rule'), 'rule is not specified'));
  else if (message !== '' && text === '')
    found.push(fieldErrors.invalid(path.child('message'), message, 'must be non-empty if specified'));
  else if (breaksLine(text))
    found.push(fieldErrors.invalid(path.child('message'), message, 'must not contain line breaks'));
  else if (breaksLine(expression) && text === '') {
    const why = 'message must be specified if rule contains line breaks';
    found.push(fieldErrors.required(path.child('message'), why));
  }
  if (messageExpression !== '' && messageExpression.trim() === '') {
    const why = 'messageExpression must be non-empty if specified';
    found.push(fieldErrors.required(path.child('messageExpression'), why));
  }
  if (rule.reason !== undefined && !reasons.includes(rule.reason))
    found.push(fieldErrors.notSupported(path.child('reason'), rule.reason, reasons));
  if (fieldPath === '') return found;
  const at = path.child('fieldPath');
  if (fieldPath.trim() === '')
    found.push(fieldErrors.invalid(at, fieldPath, 'must be non-empty if specified'));
  if (breaksLine(fieldPath)) found.push(fieldErrors.invalid(at, fieldPath, 'must not contain line breaks'));
  try {
    findField(fieldPath, schema);
  } catch (error) {
    if (!(error instanceof FieldPathError)) throw error;
    found.push(fieldErrors.invalid(at, fieldPath, 'must be a valid path'));
  }
  return found;
}
