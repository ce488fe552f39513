import type { Pod, ProjectedVolumeSource, Volume, VolumeProjection } from '@cloudless/kube/types/core-v1';
import { driverSecrets, podReferences } from '../../authz/node/references.ts';

const inProjection: ReadonlyArray<[keyof VolumeProjection, string | undefined]> = [
  ['configMap', 'configmaps (via projected volumes)'],
  ['secret', 'secrets (via projected volumes)'],
  ['serviceAccountToken', 'serviceaccounts (via projected volumes)'],
  ['clusterTrustBundle', 'clustertrustbundles'],
  ['podCertificate', 'podcertificates'],
  ['downwardAPI', undefined],
];

const inVolume: ReadonlyArray<[keyof Volume, string]> = [
  ['configMap', 'configmaps (via configmap volumes)'],
  ['secret', 'secrets (via secret volumes)'],
  ['csi', 'csidrivers (via CSI volumes)'],
  ['glusterfs', 'endpoints (via glusterFS volumes)'],
  ['persistentVolumeClaim', 'persistentvolumeclaims'],
  ['ephemeral', 'persistentvolumeclaims (via ephemeral volumes)'],
  ['azureFile', 'secrets (via azureFile volumes)'],
];

function projected(source: ProjectedVolumeSource): string | undefined {
  for (const projection of source.sources ?? []) {
    const known = inProjection.find(([field]) => projection[field] !== undefined);
    if (!known) return 'an unknown source of a projected volume';
    if (known[1] !== undefined) return known[1];
  }
  return undefined;
}

/** What of the API a pod names, or undefined: a node's own pods must name nothing (upstream: HasAPIObjectReference). */
export function apiReference(pod: Pod): string | undefined {
  const { spec } = pod;
  if (spec?.serviceAccountName) return 'serviceaccounts';
  const { annotations: _, ...metadata } = pod.metadata;
  const { volumes: __, ...rest } = spec ?? { containers: [] };
  const named = [...podReferences({ ...pod, metadata, spec: rest })];
  if (named.some((key) => key.startsWith('secret/'))) return 'secrets';
  if (named.some((key) => key.startsWith('configmap/'))) return 'configmaps';
  if ((spec?.resourceClaims ?? []).length > 0) return 'resourceclaims';
  for (const volume of spec?.volumes ?? []) {
    const found = inVolume.find(([field]) => volume[field] !== undefined)?.[1];
    const inside = found ?? (volume.projected ? projected(volume.projected) : undefined);
    if (inside !== undefined) return inside;
    if (driverSecrets(volume).length > 0) return 'secrets';
  }
  return undefined;
}
