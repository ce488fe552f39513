import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { image, type Chapter } from './session.ts';

export const ending: Chapter = {
  'wait for a condition, a value and a deletion': async (s) => {
    assert.match(
      await s.k('wait --for=condition=Available deployment/d --timeout=90s'),
      /deployment.apps\/d condition met/,
    );
    await s.runPod('short', 'true');
    const value = 'wait --for=jsonpath={.status.phase}=Succeeded pod/short --timeout=90s';
    if (s.minor >= 23) await s.k(value);
    else assert.match(await s.refused(value), /unrecognized condition: "jsonpath=/);
    assert.match(
      await s.refused('wait --for=condition=Nosuch deployment/d --timeout=1s'),
      /timed out waiting for the condition/,
    );
    const gone = s.start('wait --for=delete pod/short --timeout=90s');
    await s.k('delete pod short --wait=false');
    // One that came too late finds nothing, which kubectl 1.20 takes for a mistake.
    if ((await gone.ended) !== 0 && s.minor >= 23) assert.fail(gone.output());
    if ((await gone.ended) !== 0) assert.match(gone.output(), /no matching resources found/);
  },

  'delete --cascade=background, foreground and orphan': async (s) => {
    for (const name of ['fore', 'orphan']) await s.k(`create deployment ${name} --image=${image}`);
    for (const name of ['fore', 'orphan']) await s.k(`rollout status deployment/${name} --timeout=120s`);

    await s.k('delete deployment fore --cascade=foreground --timeout=120s');
    // Its dependents went before it.
    assert.equal(await s.k('get replicasets,pods -l app=fore -o name'), '');

    await s.k('delete deployment d --cascade=background --timeout=120s');
    await eventually(
      'what the deployment owned is collected',
      async () => (await s.k('get replicasets,pods -l app=d -o name')) === '',
      60_000,
    );

    await s.k('delete deployment orphan --cascade=orphan --timeout=120s');
    assert.equal(await s.value('replicasets -l app=orphan', '.items[*].metadata.ownerReferences'), '');
    const [set, pod] = (await s.k('get replicasets,pods -l app=orphan -o name'))
      .trim()
      .split('\n')
      .sort()
      .reverse();
    assert.match(`${set} ${pod}`, /^replicaset.apps\/orphan-\S+ pod\/orphan-/);
    assert.equal(await s.value(`${pod}`, '.metadata.ownerReferences[0].kind'), 'ReplicaSet');
    await s.k(`delete ${set}`);
    await eventually(
      'the pod of the orphaned set is collected',
      async () => (await s.k('get pods -l app=orphan -o name')) === '',
      60_000,
    );
  },

  'delete by selector, of what is not there, and with --force': async (s) => {
    for (const name of ['x1', 'x2']) await s.k(`create configmap ${name}`);
    await s.k('label configmap x1 x2 x=y');
    assert.match(await s.k('delete configmaps -l x=y'), /"x1" deleted[\s\S]*"x2" deleted/);
    assert.match(await s.refused('delete configmap x1'), /configmaps "x1" not found/);
    await s.k('delete configmap x1 --ignore-not-found');
    await s.runPod('stubborn', 'sleep 1000');
    await s.k('delete pod stubborn --force --grace-period=0');
    assert.match(await s.refused('get pod stubborn'), /pods "stubborn" not found/);
  },

  'delete namespace ends with everything in it': async (s) => {
    const name = `${s.namespace}-gone`;
    await s.anywhere(`create namespace ${name}`);
    await s.anywhere(`create configmap c -n ${name}`);
    await s.anywhere(`create deployment d -n ${name} --image=${image}`);
    await s.anywhere(`delete namespace ${name} --timeout=120s`);
    assert.match(await s.refused(`get namespace ${name}`), /not found/);
  },
};
