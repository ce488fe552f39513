/** What an update may keep although a new definition would be refused for it (upstream: validationOptions). */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';
import { equalJson } from '../../storage/codec.ts';
import { prune } from '../schema/prune.ts';
import { itemsOf, schemaHas, structuralOf } from '../schema/structural.ts';
import { cloneJson } from '../../storage/codec.ts';
import { isTrue } from './facts.ts';
import { FieldPath } from '@cloudless/kube/field';
import { unsupportedKeyword, validateStructural } from './structural-rules.ts';
import { caBundleError } from './ca-bundle.ts';
import { validateListMapKeys } from './validate-lists.ts';
import { maxSelectableFields } from './validate-version.ts';

export interface Leniency {
  /** Schemas need not be structural. */
  readonly unstructured: boolean;
  /** Only served versions need a schema. */
  readonly schemaless: boolean;
  readonly invalidTypes: boolean;
  readonly unprunedDefaults: boolean;
  readonly nonAtomicSets: boolean;
  readonly looseListMapKeys: boolean;
  readonly unrecognizedReviewVersions: boolean;
  readonly invalidCaBundle: boolean;
  /** Versions that keep more selectable fields than are allowed. */
  readonly manySelectableFields: ReadonlySet<string>;
  /** Schemas of the stored definition by version, for CEL's own leniency. */
  readonly oldSchemas: ReadonlyMap<string, JSONSchemaProps>;
  /** The version whose schema is looked at. */
  readonly version?: string;
}

/** For new definitions. A definition that is not established may bring its CA later. */
export const creationLeniency: Leniency = {
  unstructured: false,
  schemaless: false,
  invalidTypes: false,
  unprunedDefaults: false,
  nonAtomicSets: false,
  looseListMapKeys: false,
  unrecognizedReviewVersions: false,
  invalidCaBundle: true,
  manySelectableFields: new Set(),
  oldSchemas: new Map(),
};

const validTypes = ['string', 'number', 'integer', 'boolean', 'array', 'object'];

const schemasOf = (spec: CustomResourceDefinitionSpec): JSONSchemaProps[] =>
  spec.versions.flatMap(({ schema }) => schema?.openAPIV3Schema ?? []);

const isStructural = (schema: JSONSchemaProps): boolean =>
  unsupportedKeyword(schema) === undefined && validateStructural(FieldPath.of(''), schema).length === 0;

/** A set whose items are not atomic, as old servers took them. */
export function isNonAtomicSet(schema: JSONSchemaProps): boolean {
  const items = schema['x-kubernetes-list-type'] === 'set' ? itemsOf(schema) : undefined;
  if (items?.type === 'array') return (items['x-kubernetes-list-type'] ?? 'atomic') !== 'atomic';
  return items?.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic';
}

function hasUnprunedDefault(root: JSONSchemaProps): boolean {
  if (!schemaHas(root, (each) => each.default !== undefined) || !isStructural(root)) return false;
  return schemaHas(root, (each) => {
    if (each.default === undefined) return false;
    const pruned = cloneJson(each.default);
    prune(pruned, structuralOf(each));
    return !equalJson(pruned, each.default);
  });
}

/** For updates of `old`: tightened rules do not apply to what already broke them. */
export function updateLeniency(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
): Leniency {
  const schemas = schemasOf(old.spec);
  const any = (test: (schema: JSONSchemaProps) => boolean): boolean =>
    schemas.some((schema) => schemaHas(schema, test));
  const webhook = old.spec.conversion?.webhook;
  const reviewVersions = webhook?.conversionReviewVersions ?? [];
  const caBundle = webhook?.clientConfig?.caBundle;
  const many = new Set<string>();
  for (const { name, selectableFields = [] } of definition.spec.versions) {
    const before = old.spec.versions.find((version) => version.name === name)?.selectableFields ?? [];
    if (before.length > maxSelectableFields && equalJson(before, selectableFields)) many.add(name);
  }
  return {
    unstructured: !schemas.every(isStructural),
    schemaless: !old.spec.versions.every(({ schema }) => schema?.openAPIV3Schema),
    invalidTypes: any(({ type }) => Boolean(type) && !validTypes.includes(type as string)),
    unprunedDefaults: schemas.some(hasUnprunedDefault),
    nonAtomicSets: any(isNonAtomicSet),
    looseListMapKeys: any((schema) => validateListMapKeys(schema, FieldPath.of('')).length > 0),
    unrecognizedReviewVersions:
      reviewVersions.length > 0 && !reviewVersions.some((name) => name === 'v1' || name === 'v1beta1'),
    invalidCaBundle:
      !isTrue(old, 'Established') || (Boolean(caBundle) && caBundleError(caBundle as string) !== undefined),
    manySelectableFields: many,
    oldSchemas: new Map(
      old.spec.versions.flatMap(({ name, schema }) =>
        schema?.openAPIV3Schema ? [[name, schema.openAPIV3Schema] as const] : [],
      ),
    ),
  };
}
