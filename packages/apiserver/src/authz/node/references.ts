import type { Container, PersistentVolume, Pod, PodSpec, Volume } from '@cloudless/kube/types/core-v1';

/** Kinds of objects that a node may reach through its pods. */
export type ReferencedKind = 'secret' | 'configmap' | 'pvc' | 'serviceaccount' | 'resourceclaim';

/** `secret/NAMESPACE/NAME`. */
export type ReferenceKey = `${ReferencedKind}/${string}`;

export const referenceKey = (kind: ReferencedKind, namespace: string, name: string): ReferenceKey =>
  `${kind}/${namespace}/${name}`;

type Add = (kind: ReferencedKind, name: string | undefined) => void;

function ofContainer(container: Pick<Container, 'env' | 'envFrom'>, add: Add): void {
  for (const { secretRef, configMapRef } of container.envFrom ?? []) {
    add('secret', secretRef?.name);
    add('configmap', configMapRef?.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    add('secret', valueFrom?.secretKeyRef?.name);
    add('configmap', valueFrom?.configMapKeyRef?.name);
  }
}

/** The Secrets by which a volume's driver proves itself to its storage. */
export const driverSecrets = (volume: Volume): Array<{ name?: string }> =>
  [
    volume.cephfs,
    volume.cinder,
    volume.flexVolume,
    volume.rbd,
    volume.scaleIO,
    volume.iscsi,
    volume.storageos,
  ].flatMap((driver) => driver?.secretRef ?? []);

function ofVolume(podName: string, volume: Volume, add: Add): void {
  add('secret', volume.secret?.secretName);
  add('configmap', volume.configMap?.name);
  add('pvc', volume.persistentVolumeClaim?.claimName);
  if (volume.ephemeral) add('pvc', `${podName}-${volume.name}`);
  for (const source of volume.projected?.sources ?? []) {
    add('secret', source.secret?.name);
    add('configmap', source.configMap?.name);
  }
  add('secret', volume.azureFile?.secretName);
  add('secret', volume.csi?.nodePublishSecretRef?.name);
  for (const secret of driverSecrets(volume)) add('secret', secret.name);
}

/** Claims of a pod's `resourceClaims`: by name, or as the resource claim controller made them. */
function ofClaims(spec: PodSpec, status: Pod['status'], add: Add): void {
  for (const claim of spec.resourceClaims ?? []) {
    add('resourceclaim', claim.resourceClaimName);
    if (claim.resourceClaimTemplateName === undefined) continue;
    const made = status?.resourceClaimStatuses?.find(({ name }) => name === claim.name);
    add('resourceclaim', made?.resourceClaimName);
  }
  add('resourceclaim', status?.extendedResourceClaimStatus?.resourceClaimName);
}

/**
 * What a pod lets its node read (upstream: plugin/pkg/auth/authorizer/node/graph.go, AddPod). Nothing for a mirror
 * pod: a node makes those itself, and must gain no right by it.
 */
export function podReferences(pod: Pod): Set<ReferenceKey> {
  const keys = new Set<ReferenceKey>();
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined || !pod.spec) return keys;
  const namespace = pod.metadata.namespace ?? '';
  const add: Add = (kind, name) => {
    if (name !== undefined && name !== '') keys.add(referenceKey(kind, namespace, name));
  };
  const { spec } = pod;
  add('serviceaccount', spec.serviceAccountName);
  for (const { name } of spec.imagePullSecrets ?? []) add('secret', name);
  for (const container of [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...(spec.ephemeralContainers ?? []),
  ])
    ofContainer(container, add);
  for (const volume of spec.volumes ?? []) ofVolume(pod.metadata.name ?? '', volume, add);
  ofClaims(spec, pod.status, add);
  return keys;
}

/** Secrets of a volume that kubelets need, by the namespace of the secret or else of the claim. */
export function volumeSecrets(volume: PersistentVolume): Set<ReferenceKey> {
  const keys = new Set<ReferenceKey>();
  const { spec } = volume;
  const claimNamespace = spec?.claimRef?.namespace ?? '';
  const add = (ref: { name?: string; namespace?: string } | undefined, otherwise: string): void => {
    if (ref?.name) keys.add(referenceKey('secret', ref.namespace || otherwise, ref.name));
  };
  const azure = spec?.azureFile;
  if (azure) add({ name: azure.secretName, namespace: azure.secretNamespace ?? '' }, claimNamespace);
  for (const driver of [spec?.cephfs, spec?.flexVolume, spec?.rbd, spec?.scaleIO, spec?.iscsi])
    add(driver?.secretRef, claimNamespace);
  for (const driver of [spec?.cinder, spec?.storageos]) add(driver?.secretRef, '');
  for (const ref of [
    spec?.csi?.nodePublishSecretRef,
    spec?.csi?.nodeStageSecretRef,
    spec?.csi?.nodeExpandSecretRef,
  ])
    add(ref, '');
  return keys;
}
