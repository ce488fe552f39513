import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { noCgroups } from '../cgroup/pod-cgroups.ts';
import { noMounts } from '../volumes/mounts.ts';
import { diskVolumes } from '../volumes/pod-volumes.ts';
import { type HousekeepingOptions, removeLeftovers } from './housekeeping.ts';

void it('housekeeping removes what a crash left of pods that nobody knows, and nothing else', async () => {
  const root = mkdtempSync(join(tmpdir(), 'cl-keep-'));
  const kubeletRoot = join(root, 'kubelet');
  const podLogs = join(root, 'logs');
  for (const uid of ['wanted', 'running', 'gone']) {
    mkdirSync(join(kubeletRoot, 'pods', uid, 'volumes'), { recursive: true });
    writeFileSync(join(kubeletRoot, 'pods', uid, 'etc-hosts'), '');
    mkdirSync(join(podLogs, `ns_pod-${uid}_${uid}`, 'main'), { recursive: true });
  }
  const removed: string[] = [];
  const options = {
    pods: { get: (uid: string) => (uid === 'wanted' ? {} : undefined) },
    view: { pod: (uid: string) => (uid === 'running' ? {} : undefined) },
    volumes: diskVolumes({
      kubeletRoot,
      mounts: noMounts,
      claims: { claim: async () => undefined, volume: async () => undefined },
    }),
    cgroups: {
      ...noCgroups,
      present: async () => ['wanted', 'running', 'gone'],
      remove: async (uid: string) => removed.push(uid) > 0,
    },
    podLogs,
    log: logger('test').child({}, { level: 'silent' }),
  } as unknown as HousekeepingOptions;
  await removeLeftovers(options);
  const left = ['wanted', 'running', 'gone'].map((uid) => [
    existsSync(join(kubeletRoot, 'pods', uid)),
    existsSync(join(podLogs, `ns_pod-${uid}_${uid}`)),
  ]);
  assert.deepEqual(left, [
    [true, true],
    [true, true],
    [false, false],
  ]);
  assert.deepEqual(removed, ['gone']);
  rmSync(root, { recursive: true, force: true });
});
