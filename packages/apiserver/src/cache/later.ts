import type { KubeObject } from '@cloudless/kube/object';

/** Where the managedFields of an object are read from when somebody asks for them. */
export interface ManagedFieldsSource {
  readonly managedFields: KubeObject['metadata']['managedFields'];
}

const source = Symbol('source of managedFields');

/** One function for all objects: with one of its own each, no two would share a hidden class. */
function managedFields(this: { [source]: ManagedFieldsSource }): KubeObject['metadata']['managedFields'] {
  return this[source].managedFields;
}

/**
 * The object at `revision` (0: none), frozen on the outside, with managedFields that are parsed whenever they are read:
 * they are two thirds of a parsed pod, and hardly any reader looks at them. Spreading, cloning and encoding read them
 * as any other field. `object` is frozen below its metadata.
 */
export function withManagedFieldsLater<T extends KubeObject>(
  object: T,
  revision: number,
  from: ManagedFieldsSource | undefined,
): T {
  const before = object.metadata as Record<string, unknown>;
  const metadata: Record<string, unknown> = {};
  for (const key in before) {
    if (key !== 'managedFields' && key !== 'resourceVersion') metadata[key] = before[key];
  }
  if (revision !== 0) metadata['resourceVersion'] = String(revision);
  if (from) {
    Object.defineProperty(metadata, source, { value: from });
    Object.defineProperty(metadata, 'managedFields', { get: managedFields, enumerable: true });
  }
  return Object.freeze({ ...object, metadata: Object.freeze(metadata) });
}
