import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  CustomResourceValidation,
  SelectableField,
} from '@cloudless/kube/types/apiextensions-v1';
import { equalJson } from '../../storage/codec.ts';

/**
 * A definition as upstream validates it: what all versions have in common stands at the top, which decides the paths
 * in its errors (`spec.validation.openAPIV3Schema…` instead of `spec.versions[0].schema.openAPIV3Schema…`).
 */
export interface HoistedSpec {
  readonly validation: CustomResourceValidation | undefined;
  readonly subresources: CustomResourceSubresources | undefined;
  readonly columns: readonly CustomResourceColumnDefinition[];
  readonly selectableFields: readonly SelectableField[];
  readonly versions: readonly CustomResourceDefinitionVersion[];
}

const hoistable = ['schema', 'subresources', 'additionalPrinterColumns', 'selectableFields'] as const;
type Hoistable = (typeof hoistable)[number];

/** apiextensions/v1/conversion.go */
export function hoist(spec: CustomResourceDefinitionSpec): HoistedSpec {
  const [first] = spec.versions;
  const common = new Set(
    hoistable.filter((name) => spec.versions.every((version) => equalJson(version[name], first?.[name]))),
  );
  const take = <K extends Hoistable>(name: K): CustomResourceDefinitionVersion[K] | undefined =>
    common.has(name) ? first?.[name] : undefined;
  const versions = spec.versions.map((version) => {
    const rest = { ...version };
    for (const name of common) delete rest[name];
    return rest;
  });
  return {
    validation: take('schema'),
    subresources: take('subresources'),
    columns: take('additionalPrinterColumns') ?? [],
    selectableFields: take('selectableFields') ?? [],
    versions,
  };
}
