/**
 * Whether the rules of a CustomResourceDefinition's schema can be accepted: their form, that they compile, that their
 * estimated costs fit (apiextensions-apiserver/pkg/apis/apiextensions/validation).
 */
import { isDeepStrictEqual } from 'node:util';
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps, ValidationRule } from '@cloudless/kube/types/apiextensions-v1';
import { maxRequestBytes, typeOfSchema } from '../schema/declare.ts';
import { itemsOf, valuesOf } from '../schema/structure.ts';
import type { CelType } from '../types.ts';
import { type CompiledRule, compileRule, trimmed } from './compile.ts';
import { hasRules } from './presence.ts';
import { normalizedFieldPath } from './field-path.ts';

/** Of one rule, times how often it may apply; of all rules of a schema. */
export const staticCostLimits: { readonly rule: number; readonly schema: number } = {
  rule: 10_000_000,
  schema: 100_000_000,
};

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];

/** How a schema is reached. */
interface Place {
  readonly path: FieldPath;
  readonly root: boolean;
  /** How many values there are at most; undefined: only the size of a request bounds them. */
  readonly cardinality: number | undefined;
  /** The schema within which an old value cannot be told. */
  readonly uncorrelatable: FieldPath | undefined;
  /** Rules here cannot be compiled: under not, anyOf and the like. */
  readonly noType: boolean;
}

/** What all rules of a schema found. */
interface Findings {
  readonly errors: FieldError[];
  readonly suppressRuleCost: boolean;
  total: number;
  expensive: Array<{ path: FieldPath; cost: number }>;
}

/**
 * All errors of x-kubernetes-validations in a structural schema, in upstream's words; `path` is the schema's
 * (`spec.versions[0].schema.openAPIV3Schema`). With `old`, the schema before an update: where both are the same, a
 * rule that is too expensive stays. Call it for schemas that are otherwise valid; as upstream does, a schema with a
 * malformed rule in or below it is not compiled.
 */
export function checkRules(schema: JSONSchemaProps, path: FieldPath, old?: JSONSchemaProps): FieldError[] {
  const findings: Findings = {
    errors: [],
    suppressRuleCost: old !== undefined && isDeepStrictEqual(old, schema),
    total: 0,
    expensive: [],
  };
  const place = { path, root: true, cardinality: 1, uncorrelatable: undefined, noType: false };
  if (hasRules(schema)) checkSchema(schema, place, findings);
  if (findings.total > staticCostLimits.schema) {
    for (const { path: where } of findings.expensive)
      findings.errors.push(
        fieldErrors.forbidden(
          where,
          'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
        ),
      );
    const name = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema';
    findings.errors.push(
      fieldErrors.forbidden(path, costText(name, findings.total, staticCostLimits.schema)),
    );
  }
  return findings.errors;
}

/** Checks what is below a schema, then its own rules. Whether all rules in it are well formed. */
function checkSchema(schema: JSONSchemaProps, place: Place, findings: Findings): boolean {
  let wellFormed = true;
  for (const [child, where] of childrenOf(schema, place))
    if (!checkSchema(child, where, findings)) wellFormed = false;
  const rules = schema['x-kubernetes-validations'] ?? [];
  const at = place.path.child('x-kubernetes-validations');
  for (const [i, rule] of rules.entries())
    if (!checkForm(rule, schema, at.index(i), findings.errors)) wellFormed = false;
  if (wellFormed && !place.noType && rules.length > 0) checkCompiled(schema, rules, place, findings);
  return wellFormed;
}

/** How often values below a schema may occur, times how often it does itself. */
function cardinalityBelow(schema: JSONSchemaProps, { cardinality }: Place): number | undefined {
  if (cardinality === undefined) return undefined;
  const bound =
    schema.type === 'array'
      ? schema.maxItems
      : schema.type === 'object' && schema.additionalProperties !== undefined
        ? schema.maxProperties
        : 1;
  return bound === undefined ? undefined : cardinality * Math.max(0, bound);
}

function* childrenOf(schema: JSONSchemaProps, place: Place): Generator<[JSONSchemaProps, Place]> {
  const { path } = place;
  const inner = { ...place, root: false, cardinality: cardinalityBelow(schema, place) };
  const values = valuesOf(schema);
  if (values !== undefined && hasRules(values))
    yield [values, { ...inner, path: path.child('additionalProperties') }];
  const granular = [undefined, 'granular', 'atomic'].includes(schema['x-kubernetes-map-type']);
  for (const [name, property] of Object.entries(schema.properties ?? {}).filter(([, property]) =>
    hasRules(property),
  ))
    yield [
      property,
      {
        ...inner,
        path: path.child('properties').key(name),
        uncorrelatable: place.uncorrelatable ?? (granular ? undefined : path),
      },
    ];
  yield* alternativesOf(schema, { ...inner, noType: true });
  const items = itemsOf(schema);
  if (items !== undefined && hasRules(items)) {
    const keyed = schema['x-kubernetes-list-type'] === 'map';
    const uncorrelatable = place.uncorrelatable ?? (keyed ? undefined : path);
    yield [items, { ...inner, path: path.child('items'), uncorrelatable }];
  }
}

function* alternativesOf(schema: JSONSchemaProps, place: Place): Generator<[JSONSchemaProps, Place]> {
  const { path } = place;
  if (schema.not !== undefined && hasRules(schema.not))
    yield [schema.not, { ...place, path: path.child('not') }];
  for (const name of ['allOf', 'oneOf', 'anyOf'] as const)
    for (const [i, part] of (schema[name] ?? []).entries())
      if (hasRules(part)) yield [part, { ...place, path: path.child(name).index(i) }];
}

const hasNewlines = (text: string): boolean => text.includes('\n');

/** What of a rule can be judged without compiling it. */
function checkForm(
  rule: ValidationRule,
  schema: JSONSchemaProps,
  path: FieldPath,
  errors: FieldError[],
): boolean {
  const before = errors.length;
  const message = trimmed(rule.message);
  if (trimmed(rule.rule) === '')
    errors.push(fieldErrors.required(path.child('rule'), 'rule is not specified'));
  else if (rule.message && message === '')
    errors.push(fieldErrors.invalid(path.child('message'), rule.message, 'must be non-empty if specified'));
  else if (hasNewlines(message))
    errors.push(fieldErrors.invalid(path.child('message'), rule.message, 'must not contain line breaks'));
  else if (hasNewlines(trimmed(rule.rule)) && message === '')
    errors.push(
      fieldErrors.required(path.child('message'), 'message must be specified if rule contains line breaks'),
    );
  if (rule.messageExpression && trimmed(rule.messageExpression) === '')
    errors.push(
      fieldErrors.required(
        path.child('messageExpression'),
        'messageExpression must be non-empty if specified',
      ),
    );
  if (rule.reason !== undefined && !reasons.includes(rule.reason))
    errors.push(fieldErrors.notSupported(path.child('reason'), rule.reason, reasons));
  checkFieldPath(rule.fieldPath ?? '', schema, path.child('fieldPath'), errors);
  return errors.length === before;
}

function checkFieldPath(
  fieldPath: string,
  schema: JSONSchemaProps,
  path: FieldPath,
  errors: FieldError[],
): void {
  if (fieldPath === '') return;
  const invalid = (detail: string): void => {
    errors.push(fieldErrors.invalid(path, fieldPath, detail));
  };
  if (fieldPath.trim() === '') invalid('must be non-empty if specified');
  if (hasNewlines(fieldPath)) invalid('must not contain line breaks');
  if (normalizedFieldPath(fieldPath, schema) === undefined) invalid('must be a valid path');
}

function checkCompiled(
  schema: JSONSchemaProps,
  rules: readonly ValidationRule[],
  place: Place,
  findings: Findings,
): void {
  const at = place.path.child('x-kubernetes-validations');
  const resourceRoot = place.root || (schema['x-kubernetes-embedded-resource'] ?? false);
  const self = typeOfSchema(schema, { resourceRoot, name: 'selfType' });
  if (self === undefined) {
    const why =
      'internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations';
    findings.errors.push(fieldErrors.internal(at, why));
    return;
  }
  for (const [i, rule] of rules.entries())
    checkOne(compileRule(rule, schema, self), at.index(i), self, place, findings);
}

/** How often a value of a type may occur in a request that holds nothing else. */
const occurrences = (self: CelType): number =>
  Math.floor(maxRequestBytes / ((self.minSerializedSize ?? 1) + 1));

function observe(findings: Findings, path: FieldPath, cost: number): void {
  findings.total += cost;
  if (cost < staticCostLimits.schema / 100) return;
  findings.expensive.push({ path, cost });
  findings.expensive = findings.expensive.sort((a, b) => b.cost - a.cost).slice(0, 4);
}

function checkOne(
  compiled: CompiledRule,
  path: FieldPath,
  self: CelType,
  place: Place,
  findings: Findings,
): void {
  const { rule, program, message } = compiled;
  const { errors } = findings;
  const estimated = program?.estimateCost().max ?? 0;
  const cost = estimated === 0 ? 0 : estimated * (place.cardinality ?? occurrences(self));
  checkCost(path.child('rule'), 'estimated rule cost', cost, findings);
  if (compiled.error !== undefined) errors.push(invalidRule(path.child('rule'), rule, compiled.error));
  if (compiled.messageError !== undefined)
    errors.push(invalidRule(path.child('messageExpression'), rule, compiled.messageError));
  if (message !== undefined)
    checkCost(
      path.child('messageExpression'),
      'estimated messageExpression cost',
      message.estimateCost().max,
      findings,
    );
  if (!compiled.usesOldSelf) {
    if (rule.optionalOldSelf !== undefined)
      errors.push(
        fieldErrors.invalid(
          path.child('optionalOldSelf'),
          rule.optionalOldSelf,
          'may not be set if oldSelf is not used in rule',
        ),
      );
  } else if (place.uncorrelatable !== undefined)
    errors.push(
      fieldErrors.invalid(
        path.child('rule'),
        rule.rule,
        `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.uncorrelatable.toString()}`,
      ),
    );
}

function checkCost(path: FieldPath, name: string, cost: number, findings: Findings): void {
  if (!findings.suppressRuleCost && cost > staticCostLimits.rule)
    findings.errors.push(fieldErrors.forbidden(path, costText(name, cost, staticCostLimits.rule)));
  observe(findings, path, cost);
}

function costText(name: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const shown =
    factor > 100 ? 'more than 100x' : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${name} exceeds budget by factor of ${shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

/** Go's JSON of the rule, which escapes what HTML would read. */
function invalidRule(path: FieldPath, rule: ValidationRule, detail: string): FieldError {
  const shown = JSON.stringify({
    Rule: rule.rule,
    Message: rule.message ?? '',
    MessageExpression: rule.messageExpression ?? '',
    Reason: rule.reason ?? null,
    FieldPath: rule.fieldPath ?? '',
    OptionalOldSelf: rule.optionalOldSelf ?? null,
  }).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return {
    reason: 'FieldValueInvalid',
    field: path.toString(),
    message: `Invalid value: ${shown}: ${detail}`,
  };
}
