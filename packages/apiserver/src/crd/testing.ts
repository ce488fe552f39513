import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apiextensions } from '@cloudless/kube/resources';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';

export const crds = apiextensions.customresourcedefinitions;
/** A custom object of a test: plain JSON. */
export type Custom = KubeObject & Record<string, unknown>;

export const resourceOf = (plural: string, version = 'v1', group = 'example.com'): Resource<Custom> => ({
  group,
  version,
  plural,
  kind: `${plural[0]?.toUpperCase()}${plural.slice(1, -1)}`,
  namespaced: true,
});

/** A definition of `PLURAL.example.com` with one version, `v1`, whose spec has these properties. */
export function definitionOf(
  plural: string,
  spec: JSONSchemaProps,
  version: Partial<CustomResourceDefinitionVersion> = {},
): CustomResourceDefinition {
  const { group, kind } = resourceOf(plural);
  const status: JSONSchemaProps = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec, status } } },
          ...version,
        },
      ],
    },
  };
}

/** Resolves when the definition is established, and so its kind served. */
export async function established(client: KubeClient, name: string): Promise<CustomResourceDefinition> {
  const isEstablished = ({ status }: CustomResourceDefinition): boolean =>
    status?.conditions?.some(({ type, status: value }) => type === 'Established' && value === 'True') ??
    false;
  for await (const { object } of client.watch(crds, { fieldSelector: `metadata.name=${name}` }))
    if (isEstablished(object)) return object;
  throw new Error('the watch ended');
}

/** Creates a definition and waits until its kind is served. */
export async function define(
  client: KubeClient,
  definition: CustomResourceDefinition,
): Promise<CustomResourceDefinition> {
  await client.create(crds, structuredClone(definition));
  return await established(client, definition.metadata.name as string);
}

/** Updates a definition and waits until its kind is served by what it says now. */
export async function redefine(
  client: KubeClient,
  definition: CustomResourceDefinition,
): Promise<CustomResourceDefinition> {
  const updated = await client.update(crds, definition);
  const { name, generation = 0 } = updated.metadata;
  for await (const { object } of client.watch(crds, { fieldSelector: `metadata.name=${name}` }))
    if ((object.metadata.generation ?? 0) >= generation) return object;
  throw new Error('the watch ended');
}

/** Resolves when the definition is gone. */
export async function removed(client: KubeClient, name: string): Promise<void> {
  for await (const { type } of client.watch(crds, { fieldSelector: `metadata.name=${name}` }))
    if (type === 'DELETED') return;
}
