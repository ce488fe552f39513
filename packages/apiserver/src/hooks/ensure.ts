import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { isAlreadyExists, isNotFound } from '@cloudless/kube/status';

/** Creates an object unless it exists; the object as it stands in the cluster afterwards. */
export async function ensure<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  object: T,
  signal?: AbortSignal,
): Promise<T> {
  const { namespace, name = '' } = object.metadata;
  const at = { ...(namespace === undefined ? {} : { namespace }), signal };
  try {
    return await client.get(resource, name, at);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    return await client.create(resource, object, at);
  } catch (error) {
    // Somebody else was faster.
    if (isAlreadyExists(error)) return await client.get(resource, name, at);
    throw error;
  }
}
