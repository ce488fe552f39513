/** One version of a definition: columns, subresources, selectable fields, deprecation. */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  JSONSchemaProps,
  SelectableField,
} from '@cloudless/kube/types/apiextensions-v1';
import { FieldPathError, findField } from './field-path.ts';
import type { Leniency } from './leniency.ts';
import { validateSchema } from './validate-schema.ts';

export const maxSelectableFields = 8;
const maxDeprecationWarningBytes = 256;
const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];
const columnFormats = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];

export function validateVersion(
  version: CustomResourceDefinitionVersion,
  path: FieldPath,
  withStatus: boolean,
  leniency: Leniency,
): FieldError[] {
  const { name } = version;
  return [
    ...validateDeprecation(version, path.child('deprecationWarning')),
    ...validateSchema(version.schema, withStatus, { ...leniency, version: name }, path.child('schema')),
    ...validateSubresources(version.subresources, path.child('subresources')),
    ...(version.additionalPrinterColumns ?? []).flatMap((column, i) =>
      validateColumn(column, path.child('additionalPrinterColumns').index(i)),
    ),
    ...validateSelectableFields(
      version.selectableFields ?? [],
      version.schema?.openAPIV3Schema,
      path.child('selectableFields'),
      leniency.manySelectableFields.has(name),
      'may only be set when `version.schema.openAPIV3Schema` is not included',
    ),
  ];
}

function validateDeprecation(version: CustomResourceDefinitionVersion, path: FieldPath): FieldError[] {
  const { deprecated, deprecationWarning: text } = version;
  if (text === undefined) return [];
  const wrong = (why: string): FieldError => fieldErrors.invalid(path, text, why);
  if (!deprecated) return [wrong('can only be set for deprecated versions')];
  const found: FieldError[] = [];
  if (Buffer.byteLength(text) > maxDeprecationWarningBytes)
    found.push(wrong(`must be <= ${maxDeprecationWarningBytes} characters long`));
  if (text === '') found.push(wrong('must not be an empty string'));
  const strange = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(text);
  if (strange) {
    const index = Buffer.byteLength(text.slice(0, strange.index));
    const what = `must only contain printable UTF-8 characters; non-printable character found at index ${index}`;
    found.push(wrong(what));
  }
  return found;
}

export function validateColumn(column: CustomResourceColumnDefinition, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  if (!column.name) found.push(fieldErrors.required(path.child('name')));
  const types = `must be one of ${columnTypes.join(',')}`;
  if (!column.type) found.push(fieldErrors.required(path.child('type'), types));
  else if (!columnTypes.includes(column.type))
    found.push(fieldErrors.invalid(path.child('type'), column.type, types));
  if (column.format && !columnFormats.includes(column.format)) {
    const text = `must be one of ${columnFormats.join(',')}`;
    found.push(fieldErrors.invalid(path.child('format'), column.format, text));
  }
  const at = path.child('JSONPath');
  return [...found, ...(column.jsonPath ? simplePath(column.jsonPath, at) : [fieldErrors.required(at)])];
}

function simplePath(text: string, path: FieldPath): FieldError[] {
  if (text.startsWith('.')) return [];
  return [fieldErrors.invalid(path, text, 'must be a simple json path starting with .')];
}

export function validateSubresources(
  subresources: CustomResourceSubresources | undefined,
  path: FieldPath,
): FieldError[] {
  const scale = subresources?.scale;
  if (!scale) return [];
  const below = (
    name: string,
    text: string | undefined,
    roots: readonly string[],
    why: string,
  ): FieldError[] => {
    const at = path.child(`scale.${name}`);
    if (!text) return [fieldErrors.required(at)];
    const wrong = simplePath(text, at);
    if (wrong.length > 0 || roots.some((root) => text.startsWith(root))) return wrong;
    return [fieldErrors.invalid(at, text, why)];
  };
  const { specReplicasPath, statusReplicasPath, labelSelectorPath } = scale;
  const either = 'should be a json path under either .spec or .status';
  return [
    ...below('specReplicasPath', specReplicasPath, ['.spec.'], 'should be a json path under .spec'),
    ...below('statusReplicasPath', statusReplicasPath, ['.status.'], 'should be a json path under .status'),
    ...(labelSelectorPath
      ? below('labelSelectorPath', labelSelectorPath, ['.spec.', '.status.'], either)
      : []),
  ];
}

const selectableTypes: ReadonlySet<string> = new Set(['string', 'boolean', 'integer']);

export function validateSelectableFields(
  fields: readonly SelectableField[],
  schema: JSONSchemaProps | undefined,
  path: FieldPath,
  mayBeMany: boolean,
  schemaless: string,
): FieldError[] {
  if (fields.length === 0) return [];
  if (!schema) return [fieldErrors.invalid(path, '', schemaless)];
  const found: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, { jsonPath }] of fields.entries()) {
    const at = path.index(i).child('jsonPath');
    if (!jsonPath) {
      found.push(fieldErrors.required(at));
      continue;
    }
    const wrong = (why: string): void => void found.push(fieldErrors.invalid(at, jsonPath, why));
    try {
      const field = findField(jsonPath, schema, { arrayNotation: false });
      if (field.names[0] === 'metadata') wrong('must not point to fields in metadata');
      if (!selectableTypes.has(field.schema.type ?? ''))
        wrong(
          'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        );
      const name = JSON.stringify(field.names);
      if (seen.has(name)) found.push(fieldErrors.duplicate(at, jsonPath));
      seen.add(name);
    } catch (error) {
      if (!(error instanceof FieldPathError)) throw error;
      wrong(`is an invalid path: ${error.message}`);
    }
  }
  if (seen.size > maxSelectableFields && !mayBeMany)
    found.push(fieldErrors.tooMany(path, seen.size, maxSelectableFields));
  return found;
}
