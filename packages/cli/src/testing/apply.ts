import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { isNotFound, StatusError } from '@cloudless/kube/status';
import type { Manifest } from './manifests.ts';

/** Applies one object by force; one without a name (`generateName`) is created. */
export async function applyManifest(
  client: KubeClient,
  resource: Resource,
  manifest: Manifest,
  options: { namespace: string | undefined; fieldManager: string },
): Promise<KubeObject> {
  const { namespace, fieldManager } = options;
  const object: KubeObject =
    namespace === undefined ? manifest : { ...manifest, metadata: { ...manifest.metadata, namespace } };
  const { name } = object.metadata;
  if (name === undefined) return client.create(resource, object, { namespace, fieldManager });
  try {
    return await client.patch(resource, name, 'apply', object, { namespace, fieldManager, force: true });
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 415) throw error;
    return replace(client, resource, object, { namespace, fieldManager });
  }
}

/** As long as the API server has no server-side apply. */
async function replace(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  options: { namespace: string | undefined; fieldManager: string },
): Promise<KubeObject> {
  const name = object.metadata.name as string;
  let current: KubeObject;
  try {
    current = await client.get(resource, name, { namespace: options.namespace });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return client.create(resource, object, options);
  }
  const { resourceVersion } = current.metadata;
  return client.update(resource, { ...object, metadata: { ...object.metadata, resourceVersion } }, options);
}
