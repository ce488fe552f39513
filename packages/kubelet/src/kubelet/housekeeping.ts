import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@cloudless/kube/logger';
import type { PodCgroups } from '../cgroup/pod-cgroups.ts';
import type { RuntimeView } from '../runtime/view.ts';
import type { PodVolumes } from '../volumes/pod-volumes.ts';
import type { PodSet } from './pod-set.ts';

export interface HousekeepingOptions {
  pods: PodSet;
  view: RuntimeView;
  volumes: PodVolumes;
  cgroups: PodCgroups;
  podLogs: string;
  log: Logger;
}

/** What an orphan gets when the runtime does not remember its grace. */
const orphanGraceSeconds = 30;

/** Ends pods of the runtime that no source wants. Only once every source has said what it wants. */
export function endOrphans({ pods, view }: HousekeepingOptions): void {
  for (const uid of view.uids()) {
    if (pods.get(uid)) continue;
    const observed = view.pod(uid);
    if (!observed) continue;
    const noted = observed.containers.map(({ id }) => view.notesOf(id)?.gracePeriodSeconds ?? 0);
    const longest = Math.max(0, ...noted);
    pods.endOrphan(observed, longest === 0 ? orphanGraceSeconds : longest);
  }
}

/** Removes volumes, cgroups and logs of pods that neither a source nor the runtime knows: left by a crash. */
export async function removeLeftovers(options: HousekeepingOptions): Promise<void> {
  const { pods, view, volumes, cgroups, log } = options;
  const known = (uid: string): boolean => pods.get(uid) !== undefined || view.pod(uid) !== undefined;
  for (const uid of await volumes.present()) {
    if (known(uid)) continue;
    log.info({ uid }, 'removing the volumes of a pod that is gone');
    await volumes.remove(uid).catch((error: unknown) => log.warn({ uid, err: error }, 'volumes not removed'));
  }
  for (const uid of await cgroups.present()) if (!known(uid)) await cgroups.remove(uid);
  for (const name of await readdir(options.podLogs).catch(() => [] as string[])) {
    const uid = name.split('_')[2];
    if (uid !== undefined && !known(uid))
      await rm(join(options.podLogs, name), { recursive: true, force: true });
  }
}
