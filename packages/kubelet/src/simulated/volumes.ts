import type { ReferencedObjects } from '../environment/variables.ts';
import { VolumeError } from '../volumes/host-path.ts';
import { MountFailure, type PodVolumes, type ReadyVolume } from '../volumes/pod-volumes.ts';

/** Volumes that touch no disk; what they refer to must exist all the same, so that mistakes show. */
export function simulatedVolumes(objects: ReferencedObjects): PodVolumes {
  return {
    async mount(pod) {
      const namespace = pod.metadata.namespace ?? '';
      const ready = new Map<string, ReadyVolume>();
      for (const volume of pod.spec?.volumes ?? []) {
        const { configMap, secret } = volume;
        if (configMap?.name && !configMap.optional && !(await objects.configMap(namespace, configMap.name))) {
          throw new MountFailure(volume.name, new VolumeError(`configmap "${configMap.name}" not found`));
        }
        if (secret?.secretName && !secret.optional && !(await objects.secret(namespace, secret.secretName))) {
          throw new MountFailure(volume.name, new VolumeError(`secret "${secret.secretName}" not found`));
        }
        ready.set(volume.name, { path: '', readOnly: false });
      }
      return ready;
    },
    remove: async () => {},
    present: async () => [],
  };
}
