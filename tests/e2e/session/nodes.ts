import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { image, type Chapter, type Session } from './session.ts';

async function waitsFor(s: Session, pod: string, reason: string): Promise<void> {
  await eventually(
    `${pod} is told: ${reason}`,
    async () =>
      (await s.value(`pod ${pod}`, '.status.conditions[?(@.type=="PodScheduled")].message')).includes(reason),
    60_000,
  );
}

/** Two pods that end at once when they are asked to. */
const crew = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'crew' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'crew' } },
    template: {
      metadata: { labels: { app: 'crew' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'sailor', image, imagePullPolicy: 'Never', command: ['sleep', '3600'] }],
      },
    },
  },
};

/** Created as it stands: older kubectls know only a version of it that is no longer served. */
const budget = {
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'crew' },
  spec: { minAvailable: 1, selector: { matchLabels: { app: 'crew' } } },
};

export const nodes: Chapter = {
  'get nodes': async (s) => {
    // Another session may be draining it meanwhile.
    assert.match(
      await s.anywhere('get nodes -o wide'),
      /^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME\nnode-1 +Ready(,SchedulingDisabled)? +.* v1\.36\.\d+ +192\.0\.2\.10 +<none> +.* containerd:\/\//,
    );
  },

  'top is refused clearly': async (s) => {
    assert.match(await s.refused('top nodes'), /Metrics API not available/);
    assert.match(await s.refused('top pods'), /Metrics API not available/);
  },
};

export const draining: Chapter = {
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

  'drain evicts what its budget allows, and no more': async (s) => {
    const drain = 'drain node-1 --pod-selector=app=crew --ignore-daemonsets';
    await s.feed(JSON.stringify(crew), 'create -f -');
    await s.feed(JSON.stringify(budget), 'create -f -');
    await s.k('rollout status deployment/crew --timeout=90s');
    await eventually(
      'the budget is counted',
      async () => (await s.value('pdb crew', '.status.disruptionsAllowed')) === '1',
    );
    assert.match(await s.k('get pdb crew'), /^crew +1 +N\/A +1 /m);
    try {
      const drained = await s.refused(`${drain} --timeout=3s`);
      assert.match(drained, /evicting pod .*crew-/);
      assert.match(drained, /Cannot evict pod as it would violate the pod's disruption budget/);
      assert.match(await s.anywhere('get nodes'), /node-1 +Ready,SchedulingDisabled /);
      if (s.minor >= 21)
        assert.match(await s.k('describe pdb crew'), /^ *Current: +1\n *Desired: +1\n *Total: +\d+$/m);
      // It asks for the beta, which is served no longer.
      else
        assert.match(await s.refused('describe pdb crew'), /could not find the requested resource|not found/);
      await s.k('patch pdb crew --type=merge -p {"spec":{"minAvailable":0}}');
      assert.match(await s.anywhere(`${drain} --timeout=60s`), /node\/node-1 (drained|evicted)/);
    } finally {
      await s.anywhere('uncordon node-1');
    }
    await s.k('rollout status deployment/crew --timeout=90s');
    await s.k('delete deployment,pdb crew');
  },
};
