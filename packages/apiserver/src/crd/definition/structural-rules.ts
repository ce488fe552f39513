/** What makes a schema structural (apiextensions-apiserver/pkg/apiserver/schema: convert, validation, complete). */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { equalJson } from '../../storage/codec.ts';
import { patternError } from '../schema/regex.ts';
import { itemsOf, rulesOf, schemaOrBool } from '../schema/structural.ts';

type Level = 'root' | 'item' | 'field';
type Named = Readonly<Record<string, JSONSchemaProps>>;

const preserves = 'x-kubernetes-preserve-unknown-fields';
const intOrString = 'x-kubernetes-int-or-string';
const embeds = 'x-kubernetes-embedded-resource';

const isSet = (value: object | undefined): boolean => value !== undefined && Object.keys(value).length > 0;

/** Upstream's words for the first keyword that no structural schema can have; undefined for none. */
export function unsupportedKeyword(schema: JSONSchemaProps): string | undefined {
  const text = (name: string): string => `OpenAPIV3Schema '${name}' is not supported`;
  if (schema.id) return text('id');
  if (schema.$schema) return text('schema');
  if (schema.$ref) return text('$ref');
  if (isSet(schema.patternProperties)) return text('patternProperties');
  if (isSet(schema.dependencies)) return text('dependencies');
  if (schema.additionalItems !== undefined) return text('additionalItems');
  if (isSet(schema.definitions)) return text('definitions');
  if (schema[preserves] === false) return `internal error: '${preserves}' must be true or undefined`;
  if (Array.isArray(schema.items) && schema.items.length > 0)
    return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  for (const child of structuralChildren(schema)) {
    const found = unsupportedKeyword(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

function* structuralChildren(schema: JSONSchemaProps): Generator<JSONSchemaProps> {
  if (schema.not) yield schema.not;
  yield* schema.allOf ?? [];
  yield* schema.anyOf ?? [];
  yield* schema.oneOf ?? [];
  const items = itemsOf(schema);
  if (items) yield items;
  for (const name in schema.properties) yield schema.properties[name] as JSONSchemaProps;
  const additional = schemaOrBool(schema.additionalProperties)?.schema;
  if (additional) yield additional;
}

/** Violations in upstream's order, which is that of their texts. The schema has no {@link unsupportedKeyword}. */
export function validateStructural(path: FieldPath, schema: JSONSchemaProps): FieldError[] {
  const found = [...invariants(schema, 'root', path), ...completeness(schema, schema, path, path)];
  const text = ({ field, message }: FieldError): string => `${field}: ${message}`;
  return found.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

const integerOrString = [{ type: 'integer' }, { type: 'string' }];
const isIntOrStringAnyOf = (schema: JSONSchemaProps | undefined): boolean =>
  equalJson(schema?.anyOf, integerOrString);

function invariants(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  const items = itemsOf(schema);
  if (schema.type === 'array' && !items)
    found.push(fieldErrors.required(path.child('items'), 'must be specified'));
  if (items) found.push(...invariants(items, 'item', path.child('items')));
  const properties: Named = schema.properties ?? {};
  for (const name of Object.keys(properties))
    found.push(
      ...invariants(properties[name] as JSONSchemaProps, 'field', path.child('properties').key(name)),
    );
  const additional = schemaOrBool(schema.additionalProperties);
  const additionalPath = path.child('additionalProperties');
  if (additional && level === 'root')
    found.push(fieldErrors.forbidden(additionalPath, 'must not be used at the root'));
  if (additional?.schema) found.push(...invariants(additional.schema, 'field', additionalPath));
  found.push(
    ...extensions(schema, path),
    ...valueValidation(
      schema,
      { anyOf: isIntOrStringAnyOf(schema), firstAllOf: isIntOrStringAnyOf(schema.allOf?.[0]) },
      path,
    ),
    ...types(schema, level, path),
    ...resourceFields(schema, level, path),
  );
  if (schema[embeds] && !schema[preserves] && Object.keys(properties).length === 0) {
    const text = `must not be empty if ${embeds} is true without ${preserves}`;
    found.push(fieldErrors.required(path.child('properties'), text));
  }
  return found;
}

function extensions(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  if (!schema[intOrString]) return [];
  const text = `must be false if ${intOrString} is true`;
  return [preserves, embeds]
    .filter((name) => schema[name as typeof preserves])
    .map((name) => fieldErrors.invalid(path.child(name), true, text));
}

function types(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const { type = '' } = schema;
  const at = path.child('type');
  const found: FieldError[] = [];
  if (schema[embeds] && type !== 'object') {
    const text = `must be object if ${embeds} is true`;
    found.push(type === '' ? fieldErrors.required(at, text) : fieldErrors.invalid(at, type, text));
  } else if (type === '' && !schema[intOrString] && !schema[preserves]) {
    const texts: Readonly<Record<Level, string>> = {
      root: 'must not be empty at the root',
      item: 'must not be empty for specified array items',
      field: 'must not be empty for specified object fields',
    };
    found.push(fieldErrors.required(at, texts[level]));
  }
  if (schema[embeds] && schema.additionalProperties !== undefined) {
    const text = `must not be used if ${embeds} is set`;
    found.push(fieldErrors.forbidden(path.child('additionalProperties'), text));
  }
  if (level === 'root' && type !== '' && type !== 'object')
    found.push(fieldErrors.invalid(at, type, 'must be object at the root'));
  return found;
}

/** apiVersion, kind and metadata are those of every resource: a schema restricts no more than names. */
function resourceFields(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const isResource = level === 'root' || schema[embeds] === true;
  const properties: Named = schema.properties ?? {};
  const at = (name: string): FieldPath => path.child('properties').key(name);
  const found: FieldError[] = [];
  for (const name of ['kind', 'apiVersion']) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (property && isResource && property.type !== 'string')
      found.push(fieldErrors.invalid(at(name).child('type'), property.type ?? '', 'must be string'));
  }
  const metadata = Object.hasOwn(properties, 'metadata') ? properties['metadata'] : undefined;
  if (!metadata) return found;
  if (isResource && metadata.type !== 'object')
    found.push(fieldErrors.invalid(at('metadata').child('type'), metadata.type ?? '', 'must be object'));
  if (level === 'root' && !restrictsNamesOnly(metadata)) {
    const text =
      'must not specify anything other than name and generateName, but metadata is implicitly specified';
    found.push(fieldErrors.forbidden(at('metadata'), text));
  }
  return found;
}

function restrictsNamesOnly(metadata: JSONSchemaProps): boolean {
  const { type: _type, default: _default, properties = {}, ...rest } = metadata;
  const names = Object.keys(properties);
  return Object.keys(rest).length === 0 && names.every((name) => name === 'name' || name === 'generateName');
}

/** `skip`: the patterns by which an int-or-string may name its types. */
function valueValidation(
  schema: JSONSchemaProps,
  skip: { anyOf: boolean; firstAllOf: boolean },
  path: FieldPath,
): FieldError[] {
  const found: FieldError[] = [];
  if (!skip.anyOf) {
    for (const [i, each] of (schema.anyOf ?? []).entries())
      found.push(...nested(each, false, path.child('anyOf').index(i)));
  }
  for (const [i, each] of (schema.allOf ?? []).entries())
    found.push(...nested(each, skip.firstAllOf && i === 0, path.child('allOf').index(i)));
  for (const [i, each] of (schema.oneOf ?? []).entries())
    found.push(...nested(each, false, path.child('oneOf').index(i)));
  if (schema.not) found.push(...nested(schema.not, false, path.child('not')));
  const broken = schema.pattern ? patternError(schema.pattern) : undefined;
  if (broken !== undefined) {
    const text = `must be a valid regular expression, but isn't: ${broken}`;
    found.push(fieldErrors.invalid(path.child('pattern'), schema.pattern, text));
  }
  return found;
}

/** Keywords that shape a value and so stand only outside of allOf, anyOf, oneOf and not. */
const shaping: ReadonlyArray<readonly [keyof JSONSchemaProps, string]> = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  [preserves, 'must be false to be structural'],
  [embeds, 'must be false to be structural'],
  [intOrString, 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
];

function nested(schema: JSONSchemaProps, skipAnyOf: boolean, path: FieldPath): FieldError[] {
  const found = valueValidation(schema, { anyOf: skipAnyOf, firstAllOf: false }, path);
  const items = itemsOf(schema);
  if (items) found.push(...nested(items, false, path.child('items')));
  const properties: Named = schema.properties ?? {};
  for (const name of Object.keys(properties))
    found.push(...nested(properties[name] as JSONSchemaProps, false, path.child('properties').key(name)));
  for (const [name, text] of shaping) {
    const value = schema[name];
    const given = Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null;
    if (given && value !== false && value !== '') found.push(fieldErrors.forbidden(path.child(name), text));
  }
  if (rulesOf(schema).length > 0) {
    const at = path.child('x-kubernetes-validations');
    found.push(fieldErrors.forbidden(at, 'must be empty to be structural'));
  }
  if (Object.hasOwn(properties, 'metadata')) {
    const at = path.child('properties').key('metadata');
    found.push(fieldErrors.forbidden(at, 'must not be specified in a nested context'));
  }
  return found;
}

/** What stands in a combination must stand outside of it, too. */
function completeness(
  value: JSONSchemaProps,
  schema: JSONSchemaProps | undefined,
  schemaPath: FieldPath,
  path: FieldPath,
): FieldError[] {
  if (!schema) return [fieldErrors.required(schemaPath, `because it is defined in ${path.toString()}`)];
  const found: FieldError[] = [];
  const each = (name: 'allOf' | 'anyOf' | 'oneOf'): void => {
    for (const [i, one] of (value[name] ?? []).entries())
      found.push(...nestedCompleteness(one, schema, schemaPath, path.child(name).index(i)));
  };
  if (value.not) found.push(...nestedCompleteness(value.not, schema, schemaPath, path.child('not')));
  each('allOf');
  each('anyOf');
  each('oneOf');
  return found;
}

function nestedCompleteness(
  value: JSONSchemaProps,
  schema: JSONSchemaProps | undefined,
  schemaPath: FieldPath,
  path: FieldPath,
): FieldError[] {
  if (!schema) return [fieldErrors.required(schemaPath, `because it is defined in ${path.toString()}`)];
  const found = completeness(value, schema, schemaPath, path);
  const items = itemsOf(value);
  if (items)
    found.push(...nestedCompleteness(items, itemsOf(schema), schemaPath.child('items'), path.child('items')));
  for (const name of Object.keys(value.properties ?? {})) {
    const at = path.child('properties').key(name);
    const schemaAt = schemaPath.child('properties').key(name);
    const property = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    if (property) {
      const inner = value.properties?.[name] as JSONSchemaProps;
      found.push(...nestedCompleteness(inner, property, schemaAt, at));
    } else found.push(fieldErrors.required(schemaAt, `because it is defined in ${at.toString()}`));
  }
  return found;
}
