import { storage } from '@cloudless/kube/resources';
import { Quantity } from '@cloudless/kube/quantity';
import type { PersistentVolumeClaim } from '@cloudless/kube/types/core-v1';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';
import { forbidden } from './forbid.ts';
import type { AdmissionPlugin } from './plugin.ts';

const finalizers: Readonly<Record<string, string>> = {
  persistentvolumes: 'kubernetes.io/pv-protection',
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
};

/**
 * Keeps volumes and claims until nobody uses them (upstream: plugin/pkg/admission/storage/storageobjectinuseprotection).
 * Only where the protection controllers run: without them nothing would take the finalizers away.
 */
export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  handles: (operation, resource, subresource) =>
    operation === 'CREATE' &&
    resource.group === '' &&
    subresource === '' &&
    finalizers[resource.plural] !== undefined,
  admit({ object, resource }) {
    const finalizer = finalizers[resource.plural];
    if (!object || finalizer === undefined || object.metadata.finalizers?.includes(finalizer)) return;
    object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer];
  },
};

const sizeOf = (claim: PersistentVolumeClaim): Quantity =>
  Quantity.tryParse(claim.spec?.resources?.requests?.['storage']) ?? Quantity.zero;

/** Claims grow only where their class can (upstream: plugin/pkg/admission/storage/persistentvolume/resize). */
export const persistentVolumeClaimResize = (caches: Caches): AdmissionPlugin => ({
  name: 'PersistentVolumeClaimResize',
  handles: (operation, resource, subresource) =>
    operation === 'UPDATE' && resource.plural === 'persistentvolumeclaims' && subresource === '',
  async validate(request) {
    const [claim, old] = [
      request.object as PersistentVolumeClaim,
      request.oldObject as PersistentVolumeClaim,
    ];
    if (sizeOf(claim).compare(sizeOf(old)) <= 0) return;
    if (old.status?.phase !== 'Bound')
      throw forbidden(request, 'Only bound persistent volume claims can be expanded');
    const className =
      claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
      claim.spec?.storageClassName ??
      '';
    const found =
      className === ''
        ? undefined
        : await lookup(caches, storage.storageclasses, { namespace: '', name: className });
    if (found?.allowVolumeExpansion !== true)
      throw forbidden(
        request,
        'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
      );
  },
});
