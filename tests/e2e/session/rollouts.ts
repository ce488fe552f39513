import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import type { Chapter, Session } from './session.ts';

const rolledOut = async (s: Session): Promise<void> =>
  assert.match(await s.k('rollout status deployment/d --timeout=120s'), /successfully rolled out/);

export const rollouts: Chapter = {
  scale: async (s) => {
    assert.match(
      await s.refused('scale deployment d --current-replicas=7 --replicas=1'),
      /[Ee]xpected replicas to be 7, was 3/,
    );
    await s.k('scale deployment d --replicas=1');
    await eventually(
      'one pod is left',
      async () => (await s.k('get pods -l app=d -o name')).split('\n').length === 2,
      60_000,
    );
  },

  'rollout restart, pause and resume, history, undo': async (s) => {
    await s.k('annotate deployment d kubernetes.io/change-cause=first');
    const before = await s.value('pods -l app=d', '.items[*].metadata.name');
    await s.k('rollout restart deployment/d');
    await rolledOut(s);
    await eventually(
      'the pods are others',
      async () => !(await s.value('pods -l app=d', '.items[*].metadata.name')).includes(before),
    );

    await s.k('rollout pause deployment/d');
    await s.k('set env deployment/d COLOR=blue');
    await s.k('annotate deployment d kubernetes.io/change-cause=blue --overwrite');
    await eventually('a paused deployment says so', async () =>
      /Progressing +Unknown +DeploymentPaused/.test(await s.k('describe deployment d')),
    );
    assert.match(await s.refused('rollout undo deployment/d'), /paused/);
    await s.k('rollout resume deployment/d');
    await rolledOut(s);
    assert.match(
      await s.k('rollout history deployment/d'),
      /REVISION +CHANGE-CAUSE\n1 +first\n2 +first\n3 +blue\n/,
    );
    assert.match(await s.k('rollout history deployment/d --revision=3'), /COLOR:\s+blue/);

    await s.k('rollout undo deployment/d --to-revision=1');
    await rolledOut(s);
    assert.doesNotMatch(await s.k('get deployment d -o yaml'), /COLOR|restartedAt/);
    assert.match(await s.k('rollout history deployment/d'), /CHANGE-CAUSE\n2 .*\n3 .*\n4 +first\n/);
  },
};

export const deadlines: Chapter = {
  'rollout status of what cannot roll out gives up in time; undo mends it': async (s) => {
    await s.k('patch deployment d -p {"spec":{"progressDeadlineSeconds":3}}');
    await s.k('set image deployment/d web-back=cloudless.local/nosuch:1');
    assert.match(
      await s.refused('rollout status deployment/d --timeout=60s'),
      /deployment "d" exceeded its progress deadline/,
    );
    await s.k('rollout undo deployment/d');
    // Until the first progress after it, the status still tells of the missed deadline.
    await eventually('rolled out', async () => (await rolledOut(s)) ?? true, 60_000);
    await s.k('patch deployment d -p {"spec":{"progressDeadlineSeconds":600}}');
  },
};
