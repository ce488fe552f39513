import type { PersistentVolume, Pod } from '@cloudless/kube/types/core-v1';
import type { ResourceSlice } from '@cloudless/kube/types/resource-v1';
import type { VolumeAttachment } from '@cloudless/kube/types/storage-v1';
import {
  podReferences,
  type ReferenceKey,
  referenceKey,
  type ReferencedKind,
  volumeSecrets,
} from './references.ts';

interface KnownPod {
  nodeName: string;
  uid: string;
  references: ReadonlySet<ReferenceKey>;
}

interface KnownVolume {
  claim: ReferenceKey;
  secrets: ReadonlySet<ReferenceKey>;
}

const podKey = (pod: Pod): string => `${pod.metadata.namespace ?? ''}/${pod.metadata.name ?? ''}`;

/**
 * Which node reaches which object: node ← pod ← secret, configmap, service account, claim ← volume ← secret. Kept as
 * counted maps from the object to its nodes, so that a question costs one look-up and a pod's change touches only
 * what the pod names.
 */
export class NodeGraph {
  readonly #pods = new Map<string, KnownPod>();
  /** How many pods of a node name an object. */
  readonly #nodes = new Map<ReferenceKey, Map<string, number>>();
  readonly #volumes = new Map<string, KnownVolume>();
  readonly #volumesOfSecret = new Map<ReferenceKey, Set<string>>();
  readonly #attachments = new Map<string, string>();
  readonly #slices = new Map<string, string>();

  putPod(pod: Pod, old?: Pod): void {
    const nodeName = pod.spec?.nodeName ?? '';
    if (nodeName === '') return;
    if (old && old.spec?.nodeName === nodeName && !referencesMayDiffer(pod, old)) return;
    this.removePod(pod);
    const references = podReferences(pod);
    this.#pods.set(podKey(pod), { nodeName, uid: pod.metadata.uid ?? '', references });
    for (const key of references) {
      let counts = this.#nodes.get(key);
      if (!counts) this.#nodes.set(key, (counts = new Map()));
      counts.set(nodeName, (counts.get(nodeName) ?? 0) + 1);
    }
  }

  removePod(pod: Pod): void {
    const known = this.#pods.get(podKey(pod));
    if (!known) return;
    this.#pods.delete(podKey(pod));
    for (const key of known.references) {
      const counts = this.#nodes.get(key);
      const left = (counts?.get(known.nodeName) ?? 0) - 1;
      if (left > 0) counts?.set(known.nodeName, left);
      else counts?.delete(known.nodeName);
      if (counts?.size === 0) this.#nodes.delete(key);
    }
  }

  putVolume(volume: PersistentVolume): void {
    this.removeVolume(volume);
    const claimRef = volume.spec?.claimRef;
    if (!claimRef) return;
    const name = volume.metadata.name ?? '';
    const secrets = volumeSecrets(volume);
    this.#volumes.set(name, {
      claim: referenceKey('pvc', claimRef.namespace ?? '', claimRef.name ?? ''),
      secrets,
    });
    for (const key of secrets) {
      let volumes = this.#volumesOfSecret.get(key);
      if (!volumes) this.#volumesOfSecret.set(key, (volumes = new Set()));
      volumes.add(name);
    }
  }

  removeVolume(volume: PersistentVolume): void {
    const name = volume.metadata.name ?? '';
    const known = this.#volumes.get(name);
    if (!known) return;
    this.#volumes.delete(name);
    for (const key of known.secrets) {
      const volumes = this.#volumesOfSecret.get(key);
      volumes?.delete(name);
      if (volumes?.size === 0) this.#volumesOfSecret.delete(key);
    }
  }

  putAttachment(attachment: VolumeAttachment): void {
    this.#attachments.set(attachment.metadata.name ?? '', attachment.spec.nodeName);
  }

  removeAttachment(attachment: VolumeAttachment): void {
    this.#attachments.delete(attachment.metadata.name ?? '');
  }

  putSlice(slice: ResourceSlice): void {
    this.#slices.set(slice.metadata.name ?? '', slice.spec.nodeName ?? '');
  }

  removeSlice(slice: ResourceSlice): void {
    this.#slices.delete(slice.metadata.name ?? '');
  }

  hasPod(nodeName: string, namespace: string, name: string): boolean {
    return this.#pods.get(`${namespace}/${name}`)?.nodeName === nodeName;
  }

  /** Whether a pod of the node, or a volume that one of its pods claims, names the object. */
  reaches(nodeName: string, kind: ReferencedKind, namespace: string, name: string): boolean {
    const key = referenceKey(kind, namespace, name);
    if (this.#nodes.get(key)?.has(nodeName)) return true;
    if (kind !== 'secret') return false;
    for (const volume of this.#volumesOfSecret.get(key) ?? [])
      if (this.hasVolume(nodeName, volume)) return true;
    return false;
  }

  hasVolume(nodeName: string, name: string): boolean {
    const known = this.#volumes.get(name);
    return known !== undefined && this.#nodes.get(known.claim)?.has(nodeName) === true;
  }

  hasAttachment(nodeName: string, name: string): boolean {
    return this.#attachments.get(name) === nodeName;
  }

  hasSlice(nodeName: string, name: string): boolean {
    return this.#slices.get(name) === nodeName;
  }
}

/** References are fixed once a pod is bound, but for ephemeral containers and resource claims that were made since. */
function referencesMayDiffer(pod: Pod, old: Pod): boolean {
  const claims = (of: Pod): string =>
    JSON.stringify([of.status?.resourceClaimStatuses, of.status?.extendedResourceClaimStatus]);
  return (
    pod.metadata.uid !== old.metadata.uid ||
    (pod.spec?.ephemeralContainers?.length ?? 0) > (old.spec?.ephemeralContainers?.length ?? 0) ||
    claims(pod) !== claims(old)
  );
}
