import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core, policy } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { PodDisruptionBudget } from '@cloudless/kube/types/policy-v1';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

const at = { namespace: 'default' };
const violated = "Cannot evict pod as it would violate the pod's disruption budget.";

describe('evictions', () => {
  let test: TestServer;
  let client: KubeClient;
  /** What admission was asked about. */
  const asked: string[] = [];
  let count = 0;

  before(async () => {
    test = await startTestServer({
      admission: () => [
        {
          name: 'Record',
          handles: () => true,
          validate: ({ operation, resource, subresource }) =>
            void asked.push(`${operation} ${resource.plural}/${subresource}`),
        },
      ],
    });
    client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
  });
  after(() => test[Symbol.asyncDispose]());

  /** A running pod with a label of its own. */
  const addPod = async (ready: boolean, phase = 'Running'): Promise<Pod> => {
    const name = `p${(count += 1)}`;
    const pod = await client.create(core.pods, {
      metadata: { name, ...at, labels: { app: name } },
      spec: { containers: [{ name: 'c', image: 'i' }], nodeName: 'n1' },
    });
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
    return client.update(
      core.pods,
      { ...pod, status: { phase, conditions } },
      { ...at, subresource: 'status' },
    );
  };
  /** A budget for one pod, whose controller has said this of it. */
  const addBudget = async (
    pod: Pod,
    status: PodDisruptionBudget['status'],
    spec: PodDisruptionBudget['spec'] = {},
  ): Promise<string> => {
    const name = `b${(count += 1)}`;
    const matchLabels = { app: pod.metadata.name ?? '' };
    const budget = await client.create(policy.poddisruptionbudgets, {
      metadata: { name, ...at },
      spec: { minAvailable: 1, selector: { matchLabels }, ...spec },
    });
    const whole = { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1 };
    await client.update(
      policy.poddisruptionbudgets,
      { ...budget, status: { expectedPods: 1, ...whole, ...status } },
      { ...at, subresource: 'status' },
    );
    return name;
  };
  const evict = (pod: Pod, body: object = {}, options: { dryRun?: boolean } = {}): Promise<unknown> => {
    const { name = '' } = pod.metadata;
    return client.createSubresource(
      core.pods,
      name,
      'eviction',
      { metadata: { name }, ...body },
      { ...at, ...options },
    );
  };
  const current = (pod: Pod): Promise<Pod> => client.get(core.pods, pod.metadata.name ?? '', at);
  const isDeleted = async (pod: Pod): Promise<boolean> =>
    (await current(pod)).metadata.deletionTimestamp !== undefined;
  const refusal = async (evicting: Promise<unknown>): Promise<StatusError> => {
    try {
      await evicting;
    } catch (error) {
      assert.ok(error instanceof StatusError, String(error));
      return error;
    }
    throw new Error('the pod was evicted');
  };

  it('takes one disruption, notes it in the budget and in the pod', async () => {
    const pod = await addPod(true);
    const name = await addBudget(pod, { disruptionsAllowed: 1, currentHealthy: 2 });
    assert.deepEqual(await evict(pod), {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      code: 201,
    });
    const { status } = await client.get(policy.poddisruptionbudgets, name, at);
    assert.equal(status?.disruptionsAllowed, 0);
    assert.deepEqual(Object.keys(status?.disruptedPods ?? {}), [pod.metadata.name]);
    const [condition] = status?.conditions ?? [];
    assert.deepEqual(
      [condition?.type, condition?.status, condition?.reason],
      ['DisruptionAllowed', 'False', 'InsufficientPods'],
    );
    const noted = (await current(pod)).status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
    assert.deepEqual(
      [noted?.status, noted?.reason, noted?.message],
      ['True', 'EvictionByEvictionAPI', 'Eviction API: evicting'],
    );
    assert.ok(await isDeleted(pod));
  });

  it('is one question to admission, not three', async () => {
    const pod = await addPod(true);
    await addBudget(pod, { disruptionsAllowed: 1, currentHealthy: 2 });
    asked.length = 0;
    await evict(pod);
    assert.deepEqual(
      asked.filter((each) => each.includes(' pods')),
      ['CREATE pods/eviction'],
    );
  });

  it('grants as many of those that come together as the budget allows', async () => {
    const pods = await Promise.all(Array.from({ length: 12 }, () => addPod(true)));
    const names = pods.map((pod) => pod.metadata.name ?? '');
    const selector = { matchExpressions: [{ key: 'app', operator: 'In', values: names }] };
    const status = { disruptionsAllowed: 5, currentHealthy: 12, desiredHealthy: 7 };
    const name = await addBudget(pods[0] as Pod, status, { selector });
    const outcomes = await Promise.allSettled(pods.map((pod) => evict(pod)));
    const refused = outcomes.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as StatusError] : [],
    );
    assert.equal(outcomes.length - refused.length, 5);
    assert.deepEqual(new Set(refused.map(({ code }) => code)), new Set([429]));
    const budget = await client.get(policy.poddisruptionbudgets, name, at);
    assert.equal(budget.status?.disruptionsAllowed, 0);
    assert.equal(Object.keys(budget.status?.disruptedPods ?? {}).length, 5);
  });

  it('says why not, and when to ask again', async () => {
    const pod = await addPod(true);
    const name = await addBudget(pod, {});
    const none = await refusal(evict(pod));
    assert.deepEqual([none.code, none.reason, none.message], [429, 'TooManyRequests', violated]);
    assert.deepEqual(none.details, {
      causes: [
        {
          reason: 'DisruptionBudget',
          message: `The disruption budget ${name} needs 1 healthy pods and has 1 currently`,
        },
      ],
    });
    const failing = await addPod(true);
    const failed = await addBudget(failing, {
      conditions: [
        {
          type: 'DisruptionAllowed',
          status: 'False',
          reason: 'SyncFailed',
          message: 'found no controllers for pod "x"',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    });
    assert.match(
      JSON.stringify((await refusal(evict(failing))).details),
      new RegExp(
        `${failed} does not allow evicting pods currently because it failed sync: found no controllers for pod`,
      ),
    );
    const fresh = await addPod(true);
    const unseen = await addBudget(fresh, { observedGeneration: 0, disruptionsAllowed: 1 });
    const { details } = await refusal(evict(fresh));
    assert.equal(details?.retryAfterSeconds, 10);
    assert.equal(
      details?.causes?.[0]?.message,
      `The disruption budget ${unseen} is still being processed by the server.`,
    );
    assert.ok(!(await isDeleted(pod)) && !(await isDeleted(failing)) && !(await isDeleted(fresh)));
  });

  it('refuses a pod that several budgets select', async () => {
    const pod = await addPod(true);
    for (let i = 0; i < 2; i++) await addBudget(pod, { disruptionsAllowed: 1 });
    const { code, message } = await refusal(evict(pod));
    assert.equal(code, 500);
    assert.equal(
      message,
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  });

  it('lets pods go that are not ready: where the rest is well, or where the budget says so', async () => {
    const well = await addPod(false);
    await addBudget(well, { currentHealthy: 1, desiredHealthy: 1 });
    await evict(well);
    const unwell = await addPod(false);
    await addBudget(unwell, { currentHealthy: 0, desiredHealthy: 1 });
    assert.equal((await refusal(evict(unwell))).code, 429);
    const always = await addPod(false);
    await addBudget(always, { currentHealthy: 0 }, { unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    await evict(always);
    assert.deepEqual(
      [await isDeleted(well), await isDeleted(unwell), await isDeleted(always)],
      [true, false, true],
    );
  });

  it('asks no budget about pods that have not begun or are over', async () => {
    for (const phase of ['Pending', 'Succeeded', 'Failed']) {
      const pod = await addPod(false, phase);
      await addBudget(pod, { currentHealthy: 0 });
      await evict(pod);
      await client.get(core.pods, pod.metadata.name ?? '', at).then(
        ({ metadata }) => assert.ok(metadata.deletionTimestamp),
        (error: StatusError) => assert.equal(error.code, 404),
      );
    }
  });

  it('writes nothing in a dry run, whether the request or its options say so', async () => {
    const pod = await addPod(true);
    const name = await addBudget(pod, { disruptionsAllowed: 1, currentHealthy: 2 });
    await evict(pod, {}, { dryRun: true });
    await evict(pod, { deleteOptions: { dryRun: ['All'] } });
    assert.ok(!(await isDeleted(pod)));
    const { status } = await client.get(policy.poddisruptionbudgets, name, at);
    assert.equal(status?.disruptionsAllowed, 1);
    assert.equal(status?.disruptedPods, undefined);
  });

  it('honours preconditions and the grace asked for', async () => {
    const pod = await addPod(true);
    const stale = await refusal(evict(pod, { deleteOptions: { preconditions: { resourceVersion: '1' } } }));
    assert.match(
      stale.message,
      /the ResourceVersion in the precondition \(1\) does not match the ResourceVersion in record/,
    );
    const other = await refusal(evict(pod, { deleteOptions: { preconditions: { uid: 'x' } } }));
    assert.match(other.message, /the UID in the precondition \(x\) does not match the UID in record/);
    const { resourceVersion } = (await current(pod)).metadata;
    await evict(pod, { deleteOptions: { gracePeriodSeconds: 7, preconditions: { resourceVersion } } });
    assert.equal((await current(pod)).metadata.deletionGracePeriodSeconds, 7);
  });

  it('may be said in the words of the beta, as older kubectls do', async () => {
    const pod = await addPod(true);
    await evict(pod, { apiVersion: 'policy/v1beta1', kind: 'Eviction' });
    assert.ok(await isDeleted(pod));
    const { message } = await refusal(evict(pod, { apiVersion: 'policy/v1alpha1', kind: 'Eviction' }));
    assert.match(message, /no kind "Eviction" is registered for version "policy\/v1alpha1"/);
  });

  it('is of the pod that the URL names', async () => {
    const pod = await addPod(true);
    const wrong = await refusal(evict(pod, { metadata: { name: 'other' } }));
    assert.deepEqual(
      [wrong.code, wrong.message],
      [400, 'name in URL does not match name in Eviction object'],
    );
  });
});
