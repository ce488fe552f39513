/** Defaults must be what the schema would let through (apiextensions-apiserver/pkg/apiserver/schema/defaulting). */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { compileRules } from '../../cel/index.ts';
import { cloneJson, equalJson } from '../../storage/codec.ts';
import { CoerceError, coerceEmbedded, validateEmbedded } from '../schema/object-meta.ts';
import { prune } from '../schema/prune.ts';
import { itemsOf, rulesOf, structuralOf } from '../schema/structural.ts';
import { validateAgainst } from '../schema/validate.ts';
import { FieldPath as Path } from '@cloudless/kube/field';

/** The resource around a default within apiVersion, kind or metadata: those are judged as a whole. */
interface Surrounding {
  readonly root: JSONSchemaProps;
  wrap(value: unknown): unknown;
}

const typeFields: ReadonlySet<string> = new Set(['metadata', 'kind', 'apiVersion']);

const resourceAround = (root: JSONSchemaProps): Surrounding => ({
  root,
  wrap: (value) => ({ apiVersion: 'validation/v1', kind: 'Validation', ...(value as object) }),
});
const within = (outer: Surrounding, wrap: (value: unknown) => unknown): Surrounding => ({
  root: outer.root,
  wrap: (value) => outer.wrap(wrap(value)),
});

/** Violations of all defaults in a structural schema. */
export const validateDefaults = (
  path: FieldPath,
  schema: JSONSchemaProps,
  unprunedAllowed: boolean,
): FieldError[] => walk(path, schema, resourceAround(schema), false, true, unprunedAllowed);

function walk(
  path: FieldPath,
  schema: JSONSchemaProps,
  around: Surrounding,
  insideMeta: boolean,
  isRoot: boolean,
  unprunedAllowed: boolean,
): FieldError[] {
  const isResource = isRoot || schema['x-kubernetes-embedded-resource'] === true;
  const surrounding = isResource ? resourceAround(schema) : around;
  const inMeta = insideMeta && !isResource;
  const found: FieldError[] = [];
  if (schema.default !== undefined && schema.default !== null) {
    const at = path.child('default');
    found.push(
      ...(inMeta
        ? validateInMeta(at, schema, surrounding)
        : validateDefault(at, schema, isResource, unprunedAllowed)),
    );
  }
  const items = itemsOf(schema);
  if (items) {
    const inner = within(surrounding, (value) => [value]);
    found.push(...walk(path.child('items'), items, inner, inMeta, false, unprunedAllowed));
  }
  for (const name of Object.keys(schema.properties ?? {})) {
    const property = schema.properties?.[name] as JSONSchemaProps;
    const inner = within(surrounding, (value) => ({ [name]: value }));
    const meta = inMeta || (isResource && typeFields.has(name));
    const at = path.child('properties').key(name);
    found.push(...walk(at, property, inner, meta, false, unprunedAllowed));
  }
  return found;
}

function validateInMeta(path: FieldPath, schema: JSONSchemaProps, around: Surrounding): FieldError[] {
  const object = around.wrap(cloneJson(schema.default));
  const structural = structuralOf(around.root, true);
  const invalid = (why: string): FieldError[] => [
    fieldErrors.invalid(path, schema.default, `must result in valid metadata: ${why}`),
  ];
  try {
    coerceEmbedded(object, structural, Path.of(''), 'refuse');
  } catch (error) {
    if (!(error instanceof CoerceError)) throw error;
    return invalid(error.message);
  }
  const wrong = validateEmbedded(object, structural, Path.of(''));
  if (wrong.length > 0) return invalid(wrong.map(({ field, message }) => `${field}: ${message}`).join(', '));
  return [...validateAgainst(schema.default, schema, path), ...brokenRules(path, schema)];
}

function validateDefault(
  path: FieldPath,
  schema: JSONSchemaProps,
  isResource: boolean,
  unprunedAllowed: boolean,
): FieldError[] {
  const structural = structuralOf(schema, isResource);
  const found: FieldError[] = [];
  const value = cloneJson(schema.default);
  prune(value, structural);
  if (!unprunedAllowed && !equalJson(value, schema.default))
    found.push(fieldErrors.invalid(path, schema.default, 'must not have unknown fields'));
  try {
    coerceEmbedded(cloneJson(schema.default), structural, path, 'refuse');
  } catch (error) {
    if (!(error instanceof CoerceError)) throw error;
    return [...found, error.cause];
  }
  const embedded = validateEmbedded(schema.default, structural, path);
  if (embedded.length > 0) return [...found, ...embedded];
  const wrong = validateAgainst(schema.default, schema, path);
  return [...found, ...(wrong.length > 0 ? wrong : brokenRules(path, schema))];
}

/** Rules see the default as a new value, and as one that has not changed. */
function brokenRules(path: FieldPath, schema: JSONSchemaProps): FieldError[] {
  if (rulesOf(schema).length === 0) return [];
  const rules = compileRules(schema);
  const value = schema.default as KubeObject;
  return (rules?.validate(value, undefined) ?? []).map((error) => {
    const inside = error.field === '<nil>' ? '' : error.field;
    return { ...error, field: path.child(inside).toString() };
  });
}
