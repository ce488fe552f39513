/** One version of a custom kind behind the generic store (apiextensions-apiserver/pkg/registry/customresource). */
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import type {
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';
import type { Strategy } from '../../registry/strategy.ts';
import { isQualifiedName } from '../../registry/validation/names.ts';
import { equalJson } from '../../storage/codec.ts';
import { Correlation } from '../schema/correlate.ts';
import { validateUniqueLists } from '../schema/list-types.ts';
import { validateEmbedded } from '../schema/object-meta.ts';
import { applyDefaults } from '../schema/prune.ts';
import type { Structural } from '../schema/structural.ts';
import { validateAgainst } from '../schema/validate.ts';
import { columnsOf } from './columns.ts';
import type { RuleSet } from './rules.ts';
import { scaleMappingOf, validateScaleSpec, validateScaleStatus } from './scale.ts';
import { selectableFieldsOf } from './selectable-fields.ts';

type Custom = KubeObject & Record<string, unknown>;

const nowhere = FieldPath.of('');

export interface VersionParts {
  resource: Resource;
  version: CustomResourceDefinitionVersion;
  schema: JSONSchemaProps;
  structural: Structural;
  /** The x-kubernetes-validations of the schema, compiled when first asked for. */
  rules(): RuleSet | undefined;
}

/** The strategy of one version. */
export function strategyOf(parts: VersionParts): Strategy {
  const { version, schema, structural } = parts;
  const withStatus = version.subresources?.status !== undefined;
  const statusDefault = schema.properties?.['status']?.default !== undefined;
  const scale = version.subresources?.scale;
  const fields = version.selectableFields ?? [];
  return {
    prepareForCreate(_context, object) {
      if (withStatus) {
        delete (object as Custom)['status'];
        // Upstream stores none and sets it whenever the object is read.
        if (statusDefault) applyDefaults(object, structural);
      }
      object.metadata.generation = 1;
    },
    prepareForUpdate(context, object, old) {
      // A write to the status counts as none of the object's own changes.
      if (context.subresource === 'status' || equalJson(withoutMetadata(object), withoutMetadata(old)))
        return;
      object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    },
    validate: (_context, object) => validateCreate(parts, object as Custom),
    validateUpdate: (_context, object, old) => validateUpdate(parts, object as Custom, old as Custom),
    validateStatusUpdate: (_context, object, old) =>
      validateStatusUpdate(parts, object as Custom, old as Custom),
    warnings(context, object, old) {
      if (context.subresource === 'status') return [];
      const before = new Set(old?.metadata.finalizers);
      const added = new Set(object.metadata.finalizers?.filter((name) => !before.has(name)));
      return [...added].sort().flatMap(finalizerWarnings);
    },
    table: columnsOf(version),
    ...(fields.length === 0 ? {} : { selectableFields: selectableFieldsOf(fields) }),
    ...(scale ? { scale: scaleMappingOf(scale) } : {}),
  };
}

function withoutMetadata(object: KubeObject): object {
  const { metadata: _metadata, ...rest } = object;
  return rest;
}

function validateTypes({ resource }: VersionParts, object: Custom): FieldError[] {
  const found: FieldError[] = [];
  if (object.kind !== resource.kind)
    found.push(fieldErrors.invalid(FieldPath.of('kind'), object.kind, `must be ${resource.kind}`));
  const apiVersion = apiVersionOf(resource);
  if (object.apiVersion !== apiVersion)
    found.push(fieldErrors.invalid(FieldPath.of('apiVersion'), object.apiVersion, `must be ${apiVersion}`));
  return found;
}

function validateCreate(parts: VersionParts, object: Custom): FieldError[] {
  const types = validateTypes(parts, object);
  if (types.length > 0) return types;
  const { schema, structural, version } = parts;
  const found = [
    ...validateAgainst(object, schema),
    ...validateScaleSpec(object, version.subresources?.scale),
    ...validateScaleStatus(object, version.subresources?.scale),
    ...validateEmbedded(object, structural, nowhere),
    ...validateUniqueLists(object, structural, nowhere),
  ];
  return [...found, ...validateRules(parts, found, object, undefined)];
}

function validateUpdate(parts: VersionParts, object: Custom, old: Custom): FieldError[] {
  const types = validateTypes(parts, object);
  if (types.length > 0) return types;
  const { schema, structural, version } = parts;
  const found = [
    ...validateAgainst(object, schema, undefined, new Correlation(object, old, structural)),
    ...validateScaleSpec(object, version.subresources?.scale),
    ...validateScaleStatus(object, version.subresources?.scale),
    ...validateEmbedded(object, structural, nowhere),
  ];
  // Lists that were ambiguous before may stay so.
  if (validateUniqueLists(old, structural, nowhere).length === 0)
    found.push(...validateUniqueLists(object, structural, nowhere));
  return [...found, ...validateRules(parts, found, object, old)];
}

/** A status is judged by the schema of `status` alone. */
function validateStatusUpdate(parts: VersionParts, object: Custom, old: Custom): FieldError[] {
  const types = validateTypes(parts, object);
  if (types.length > 0) return types;
  const { schema, structural, version } = parts;
  const found: FieldError[] = [];
  const of = schema.properties?.['status'];
  if (of && Object.hasOwn(object, 'status')) {
    const correlation = new Correlation(object, old, structural).key('status');
    found.push(...validateAgainst(object['status'], of, FieldPath.of('status'), correlation));
  }
  found.push(...validateScaleStatus(object, version.subresources?.scale));
  const lists = validateUniqueLists(object, structural, nowhere);
  if (lists.length > 0 && validateUniqueLists(old, structural, nowhere).length === 0) found.push(...lists);
  return [...found, ...validateRules(parts, found, object, old)];
}

/** Errors after which rules would only stumble. */
const blocking: ReadonlySet<string> = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);
const rulesSkipped = fieldErrors.invalid(
  FieldPath.of('<nil>'),
  null,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
);

function validateRules(
  parts: VersionParts,
  found: readonly FieldError[],
  object: Custom,
  old: Custom | undefined,
): FieldError[] {
  const rules = parts.rules();
  if (!rules) return [];
  if (found.some(({ reason }) => blocking.has(reason))) return [rulesSkipped];
  return rules.validate(object, old);
}

const standardFinalizers: ReadonlySet<string> = new Set(['orphan', 'foregroundDeletion', 'kubernetes']);

function finalizerWarnings(name: string): string[] {
  const head = `metadata.finalizers: ${JSON.stringify(name)}: `;
  const found = isQualifiedName(name).map((text) => head + text);
  if (name.includes('/') || standardFinalizers.has(name)) return found;
  const path = name.includes('.') ? ' including a path (/)' : '';
  return [
    ...found,
    `${head}prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
  ];
}
