/** Validation of CustomResourceDefinitions (apiextensions-apiserver/pkg/apis/apiextensions/validation). */
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
} from '@cloudless/kube/types/apiextensions-v1';
import { validateImmutable } from '../../registry/validation/metadata.ts';
import { isDns1035Label, isDns1123Subdomain } from '../../registry/validation/names.ts';
import { isSupportedFormat } from '../schema/formats.ts';
import { rulesOf, schemaHas } from '../schema/structural.ts';
import { approvalOf } from './approval.ts';
import { approvalAnnotation, isProtectedGroup, isTrue } from './facts.ts';
import { hoist, type HoistedSpec } from './hoisted.ts';
import { creationLeniency, type Leniency, updateLeniency } from './leniency.ts';
import { validateConversion } from './validate-conversion.ts';
import { validateNames } from './validate-names.ts';
import { schemaIsThere, validateSchema } from './validate-schema.ts';
import {
  validateColumn,
  validateSelectableFields,
  validateSubresources,
  validateVersion,
} from './validate-version.ts';

export { noteStructural } from './schema-problems.ts';

const specPath = FieldPath.of('spec');

/** All violations of a new definition but those of its metadata. */
export function validateDefinition(definition: CustomResourceDefinition): FieldError[] {
  const { metadata, spec } = definition;
  const found: FieldError[] = [];
  // That there is no name is said with the metadata.
  if (metadata.name && metadata.name !== `${spec.names?.plural ?? ''}.${spec.group ?? ''}`) {
    const text = 'must be spec.names.plural+"."+spec.group';
    found.push(fieldErrors.invalid(FieldPath.of('metadata', 'name'), metadata.name, text));
  }
  return [
    ...found,
    ...validateSpec(spec, creationLeniency),
    ...validateStatus(definition),
    ...validateApproval(definition, undefined),
    ...validateKeepsUnknown(definition, undefined),
  ];
}

/** All violations of an update; what an older server accepted may stay as it is. */
export function validateDefinitionUpdate(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
): FieldError[] {
  const { spec } = definition;
  const found = validateSpec(spec, updateLeniency(definition, old));
  const immutable = (name: 'scope' | 'group'): void =>
    void found.push(...validateImmutable(spec[name], old.spec[name], specPath.child(name)));
  const immutableName = (name: 'kind' | 'plural'): void =>
    void found.push(
      ...validateImmutable(spec.names[name], old.spec.names[name], specPath.child('names', name)),
    );
  if (isTrue(old, 'Established')) {
    immutable('scope');
    immutableName('kind');
  }
  immutable('group');
  immutableName('plural');
  return [
    ...found,
    ...validateStatus(definition),
    ...validateApproval(definition, old),
    ...validateKeepsUnknown(definition, old),
  ];
}

export const validateDefinitionStatus = ({ status }: CustomResourceDefinition): FieldError[] =>
  validateNames(status?.acceptedNames, FieldPath.of('status', 'acceptedNames'));

function validateStatus(definition: CustomResourceDefinition): FieldError[] {
  const stored = definition.status?.storedVersions ?? [];
  const path = FieldPath.of('status', 'storedVersions');
  const found = validateDefinitionStatus(definition);
  if (stored.length === 0)
    return [...found, fieldErrors.invalid(path, null, 'must have at least one stored version')];
  const { versions } = definition.spec;
  const left = new Set(stored);
  for (const { name, storage } of versions) {
    // Once for each version, as upstream: a second one of the same name is not stored.
    if (!left.delete(name) && storage)
      found.push(fieldErrors.invalid(path, stored, `must have the storage version ${name}`));
  }
  for (const [i, name] of stored.entries()) {
    if (versions.some((version) => version.name === name)) continue;
    const text = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`;
    found.push(fieldErrors.invalid(path.index(i), name, text));
  }
  return found;
}

function validateApproval(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): FieldError[] {
  if (!isProtectedGroup(definition.spec.group)) return [];
  const { approval, text } = approvalOf(definition);
  if (old && approvalOf(old).approval === approval) return [];
  const path = FieldPath.of('metadata', 'annotations').key(approvalAnnotation);
  if (approval === 'missing') return [fieldErrors.required(path, text)];
  if (approval !== 'invalid') return [];
  return [fieldErrors.invalid(path, definition.metadata.annotations?.[approvalAnnotation], text)];
}

function validateKeepsUnknown(
  { spec }: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): FieldError[] {
  if (old?.spec.preserveUnknownFields || !spec.preserveUnknownFields) return [];
  const text =
    'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead';
  return [fieldErrors.invalid(specPath.child('preserveUnknownFields'), true, text)];
}

function validateGroup(group: string): FieldError[] {
  const path = specPath.child('group');
  if (group === '') return [fieldErrors.required(path)];
  const wrong = isDns1123Subdomain(group);
  if (wrong.length > 0) return [fieldErrors.invalid(path, group, wrong.join(','))];
  if (group.includes('.')) return [];
  return [fieldErrors.invalid(path, group, 'should be a domain with at least one dot')];
}

function validateScope(scope: string): FieldError[] {
  const path = specPath.child('scope');
  if (scope === '') return [fieldErrors.required(path)];
  const scopes = ['Cluster', 'Namespaced'];
  return scopes.includes(scope) ? [] : [fieldErrors.notSupported(path, scope, scopes)];
}

/** Keywords of Kubernetes that make no sense unless the schema is structural. */
const hasExtensions = (spec: CustomResourceDefinitionSpec): boolean =>
  spec.versions.some(({ schema }) =>
    schemaHas(
      schema?.openAPIV3Schema,
      (each) =>
        each.default !== undefined ||
        each['x-kubernetes-embedded-resource'] === true ||
        each['x-kubernetes-preserve-unknown-fields'] !== undefined ||
        each['x-kubernetes-int-or-string'] === true ||
        (each['x-kubernetes-list-map-keys']?.length ?? 0) > 0 ||
        each['x-kubernetes-list-type'] !== undefined ||
        rulesOf(each).length > 0,
    ),
  );

function validateSpec(spec: CustomResourceDefinitionSpec, given: Leniency): FieldError[] {
  const keepsUnknown = spec.preserveUnknownFields === true;
  const leniency: Leniency = {
    ...given,
    unstructured: given.unstructured && keepsUnknown && !hasExtensions(spec),
  };
  const hoisted = hoist(spec);
  const found = [
    ...validateGroup(spec.group ?? ''),
    ...validateScope(spec.scope ?? ''),
    ...schemaIsThere(spec, hoisted, leniency, specPath),
  ];
  if (keepsUnknown && spec.versions.some(({ schema }) => hasDefaults(schema?.openAPIV3Schema))) {
    const text = 'must be false in order to use defaults in the schema';
    found.push(fieldErrors.invalid(specPath.child('preserveUnknownFields'), true, text));
  }
  const withStatus = hoisted.versions.some(({ subresources }) => subresources?.status !== undefined);
  const commonStatus = hoisted.subresources?.status !== undefined;
  for (const [i, version] of hoisted.versions.entries()) {
    const path = specPath.child('versions').index(i);
    const wrong = isDns1035Label(version.name ?? '');
    if (wrong.length > 0)
      found.push(fieldErrors.invalid(path.child('name'), version.name ?? '', wrong.join(',')));
    const status = commonStatus || version.subresources?.status !== undefined;
    found.push(...validateVersion(version, path, status, leniency));
  }
  found.push(...validateVersionSet(spec, hoisted), ...validateRequiredNames(spec));
  const first = spec.versions[0]?.name ?? '';
  found.push(
    ...validateNames(spec.names, specPath.child('names')),
    ...validateSchema(
      hoisted.validation,
      commonStatus || withStatus,
      { ...leniency, version: first },
      specPath.child('validation'),
    ),
    ...validateSubresources(hoisted.subresources, specPath.child('subresources')),
    ...hoisted.columns.flatMap((column, i) =>
      validateColumn(column, specPath.child('additionalPrinterColumns').index(i)),
    ),
    ...validateSelectableFields(
      hoisted.selectableFields,
      hoisted.validation?.openAPIV3Schema,
      specPath.child('selectableFields'),
      leniency.manySelectableFields.has(first),
      'may only be set when validations.schema is included',
    ),
  );
  if (keepsUnknown && spec.conversion && spec.conversion.strategy !== 'None') {
    const path = specPath.child('conversion', 'strategy');
    const text = 'must be None if spec.preserveUnknownFields is true';
    found.push(fieldErrors.invalid(path, spec.conversion.strategy, text));
  }
  return [...found, ...validateConversion(spec.conversion, leniency, specPath.child('conversion'))];
}

const hasDefaults = (schema: Parameters<typeof schemaHas>[0]): boolean =>
  schemaHas(schema, (each) => each.default !== undefined);

/** Versions as errors show them: the fields of upstream's internal type. */
const shownVersions = ({ versions }: HoistedSpec): object[] =>
  versions.map((version) => ({
    Name: version.name,
    Served: version.served,
    Storage: version.storage,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: version.schema ?? null,
    Subresources: version.subresources ?? null,
    AdditionalPrinterColumns: version.additionalPrinterColumns ?? null,
    SelectableFields: version.selectableFields ?? null,
  }));

function validateVersionSet(spec: CustomResourceDefinitionSpec, hoisted: HoistedSpec): FieldError[] {
  const path = specPath.child('versions');
  const names = spec.versions.map(({ name }) => name);
  const found: FieldError[] = [];
  if (new Set(names).size !== names.length)
    found.push(fieldErrors.invalid(path, shownVersions(hoisted), 'must contain unique version names'));
  if (spec.versions.filter(({ storage }) => storage).length !== 1) {
    const text = 'must have exactly one version marked as storage version';
    found.push(fieldErrors.invalid(path, shownVersions(hoisted), text));
  }
  const [first] = names;
  const wrong = first ? isDns1035Label(first) : [];
  if (wrong.length > 0) found.push(fieldErrors.invalid(specPath.child('version'), first, wrong.join(',')));
  return found;
}

const validateRequiredNames = ({ names }: CustomResourceDefinitionSpec): FieldError[] =>
  (['plural', 'singular', 'kind', 'listKind'] as const)
    .filter((name) => !names?.[name])
    .map((name) => fieldErrors.required(specPath.child('names', name)));

/** Formats that are not checked; those that an update leaves alone are not told again. */
export function definitionWarnings(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): string[] {
  const before = new Set(old && unknownFormats(old));
  return unknownFormats(definition)
    .filter((format) => !before.has(format))
    .map((format) => `unrecognized format ${JSON.stringify(format)}`);
}

function unknownFormats({ spec }: CustomResourceDefinition): string[] {
  const found: string[] = [];
  const collect = (schema: Parameters<typeof schemaHas>[0]): void =>
    void schemaHas(schema, ({ format, type }) => {
      if (format && !isSupportedFormat(format, type ?? '')) found.push(format);
      return false;
    });
  const hoisted = hoist(spec);
  collect(hoisted.validation?.openAPIV3Schema);
  for (const { schema } of hoisted.versions) collect(schema?.openAPIV3Schema);
  return found;
}
