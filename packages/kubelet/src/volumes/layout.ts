import { join } from 'node:path';

/** Where a pod's things are, as upstream's kubelet lays them out under its root folder. */
export interface PodFolders {
  readonly pod: string;
  readonly volumes: string;
  readonly subPaths: string;
  readonly etcHosts: string;
  volume(plugin: string, name: string): string;
  subPath(volume: string, container: string, index: number): string;
  /** Folder of a container's termination message files. */
  container(name: string): string;
}

export const podsFolder = (kubeletRoot: string): string => join(kubeletRoot, 'pods');

export function podFolders(kubeletRoot: string, uid: string): PodFolders {
  const pod = join(podsFolder(kubeletRoot), uid);
  return {
    pod,
    volumes: join(pod, 'volumes'),
    subPaths: join(pod, 'volume-subpaths'),
    etcHosts: join(pod, 'etc-hosts'),
    volume: (plugin, name) => join(pod, 'volumes', plugin, name),
    subPath: (volume, container, index) => join(pod, 'volume-subpaths', volume, container, String(index)),
    container: (name) => join(pod, 'containers', name),
  };
}

/** A pod's log folder: `NAMESPACE_NAME_UID` (CRI's layout). */
export const podLogFolder = (
  podLogs: string,
  pod: { namespace: string; name: string; uid: string },
): string => join(podLogs, `${pod.namespace}_${pod.name}_${pod.uid}`);
