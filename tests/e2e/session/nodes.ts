import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import type { Chapter, Session } from './session.ts';

async function waitsFor(s: Session, pod: string, reason: string): Promise<void> {
  await eventually(
    `${pod} is told: ${reason}`,
    async () =>
      (await s.value(`pod ${pod}`, '.status.conditions[?(@.type=="PodScheduled")].message')).includes(reason),
    60_000,
  );
}

export const nodes: Chapter = {
  'get nodes': async (s) => {
    assert.match(
      await s.anywhere('get nodes -o wide'),
      /^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME\nnode-1 +Ready +.* v1\.36\.\d+ +192\.0\.2\.10 +<none> +.* containerd:\/\//,
    );
  },

  'cordon and uncordon': async (s) => {
    await s.anywhere('cordon node-1');
    try {
      assert.match(await s.anywhere('get nodes'), /node-1 +Ready,SchedulingDisabled /);
      await s.runPod('waiting', 'true');
      await waitsFor(s, 'waiting', '0/1 nodes are available: 1 node(s) were unschedulable.');
    } finally {
      await s.anywhere('uncordon node-1');
    }
    await eventually(
      'the pod runs and ends',
      async () => (await s.value('pod waiting', '.status.phase')) === 'Succeeded',
      60_000,
    );
  },

  taint: async (s) => {
    await s.anywhere('taint node node-1 maintenance=now:NoSchedule');
    try {
      assert.match(await s.anywhere('describe node node-1'), /^Taints: +maintenance=now:NoSchedule$/m);
      await s.runPod('intolerant', 'true');
      await waitsFor(s, 'intolerant', '1 node(s) had untolerated taint');
    } finally {
      await s.anywhere('taint node node-1 maintenance-');
    }
    await eventually(
      'the pod runs and ends',
      async () => (await s.value('pod intolerant', '.status.phase')) === 'Succeeded',
      60_000,
    );
    assert.match(await s.refused('taint node node-1 maintenance-'), /not found/);
  },

  'top is refused clearly': async (s) => {
    assert.match(await s.refused('top nodes'), /Metrics API not available/);
    assert.match(await s.refused('top pods'), /Metrics API not available/);
  },
};
