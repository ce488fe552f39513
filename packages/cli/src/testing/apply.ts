import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
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
  return client.patch(resource, name, 'apply', object, { namespace, fieldManager, force: true });
}
