import type { KubeObject, Resource } from '@cloudless/kube/object';
import { networking, storage } from '@cloudless/kube/resources';
import type { PersistentVolumeClaim } from '@cloudless/kube/types/core-v1';
import type { Ingress } from '@cloudless/kube/types/networking-v1';
import type { Caches } from '../cache/cache.ts';
import type { AdmissionPlugin } from './plugin.ts';

/** Of the classes marked as default the newest, of equally old ones the first by name. */
async function defaultClass<T extends KubeObject>(
  caches: Caches,
  resource: Resource<T>,
  annotations: readonly string[],
): Promise<string | undefined> {
  const cache = caches.of(resource);
  await cache.ready;
  const marked = [...cache.list()].filter(({ metadata }) =>
    annotations.some((annotation) => metadata.annotations?.[annotation] === 'true'),
  );
  marked.sort(
    ({ metadata: a }, { metadata: b }) =>
      (b.creationTimestamp ?? '').localeCompare(a.creationTimestamp ?? '') ||
      (a.name ?? '').localeCompare(b.name ?? ''),
  );
  return marked[0]?.metadata.name;
}

/** Claims without a class get the default one (upstream: plugin/pkg/admission/storage/storageclass/setdefault). */
export const defaultStorageClass = (caches: Caches): AdmissionPlugin => ({
  name: 'DefaultStorageClass',
  handles: (operation, resource, subresource) =>
    operation === 'CREATE' && resource.plural === 'persistentvolumeclaims' && subresource === '',
  async admit({ object }) {
    const claim = object as PersistentVolumeClaim;
    const named = claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] !== undefined;
    if (named || !claim.spec || claim.spec.storageClassName !== undefined) return;
    const found = await defaultClass(caches, storage.storageclasses, [
      'storageclass.kubernetes.io/is-default-class',
      'storageclass.beta.kubernetes.io/is-default-class',
    ]);
    if (found !== undefined) claim.spec.storageClassName = found;
  },
});

/** Ingresses without a class get the default one (upstream: plugin/pkg/admission/network/defaultingressclass). */
export const defaultIngressClass = (caches: Caches): AdmissionPlugin => ({
  name: 'DefaultIngressClass',
  handles: (operation, resource, subresource) =>
    operation === 'CREATE' && resource.plural === 'ingresses' && subresource === '',
  async admit({ object }) {
    const ingress = object as Ingress;
    const named = ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined;
    if (named || ingress.spec?.ingressClassName !== undefined) return;
    const found = await defaultClass(caches, networking.ingressclasses, [
      'ingressclass.kubernetes.io/is-default-class',
    ]);
    if (found === undefined) return;
    ingress.spec = { ...ingress.spec, ingressClassName: found };
  },
});
