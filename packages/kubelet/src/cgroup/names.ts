import type { Pod } from '@cloudless/kube/types/core-v1';
import { qosClassOf, type QosClass } from '../resources/qos.ts';

export type CgroupDriver = 'systemd' | 'cgroupfs';

/** Components from the root: `['kubepods', 'burstable', 'podUID']`. */
export type CgroupName = readonly string[];

/** A pod's cgroup (upstream: cm/pod_container_manager_linux.go): guaranteed pods lie directly below `kubepods`. */
export function podCgroupName(root: CgroupName, qos: QosClass, uid: string): CgroupName {
  const level = qos === 'Guaranteed' ? [] : [qos.toLowerCase()];
  return [...root, 'kubepods', ...level, `pod${uid}`];
}

export const cgroupNameOf = (root: CgroupName, pod: Pod): CgroupName =>
  podCgroupName(root, qosClassOf(pod), pod.metadata.uid ?? '');

/** Path below a hierarchy's mount point. */
export function cgroupPath(name: CgroupName, driver: CgroupDriver): string {
  if (driver === 'cgroupfs') return name.join('/');
  return name.map((_, at) => sliceName(name.slice(0, at + 1))).join('/');
}

/** systemd's unit of a cgroup: `kubepods-burstable-podUID.slice`, dashes within a part as underscores. */
export function sliceName(name: CgroupName): string {
  return `${name.map((part) => part.replaceAll('-', '_')).join('-')}.slice`;
}

/** What CRI's cgroup_parent must say. */
export function cgroupParent(name: CgroupName, driver: CgroupDriver): string {
  return driver === 'systemd' ? sliceName(name) : `/${name.join('/')}`;
}

/** The uid of a pod's cgroup folder, by the last part of its path in either driver's form; or undefined. */
export function uidOfFolder(folder: string): string | undefined {
  const parts = /(?:^|-)pod([0-9a-fA-F_-]+?)(?:\.slice)?$/.exec(folder.slice(folder.lastIndexOf('/') + 1));
  return parts?.[1]?.replaceAll('_', '-');
}
