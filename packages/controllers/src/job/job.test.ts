import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { batch, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Job, JobSpec } from '@cloudless/kube/types/batch-v1';
import type { ContainerStatus, Pod } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { formatIndexes, indexOf, parseIndexes } from './indexes.ts';
import { startJobController } from './job.ts';
import { startTtlAfterFinished } from './ttl-after-finished.ts';

const job = (spec: Partial<JobSpec> = {}): Job => ({
  metadata: { name: 'work', namespace: 'n' },
  spec: {
    parallelism: 1,
    completions: 1,
    backoffLimit: 6,
    selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u' } },
    template: {
      metadata: { labels: { 'batch.kubernetes.io/controller-uid': 'u' } },
      spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] },
    },
    ...spec,
  },
});
const work = (bench: Bench): Job | undefined => bench.cluster.object(batch.jobs, 'work', 'n');
const pods = (bench: Bench): Pod[] => bench.cluster.objects(core.pods, 'n');
const active = (bench: Bench): Pod[] =>
  pods(bench).filter(
    (pod) =>
      !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '') &&
      pod.metadata.deletionTimestamp === undefined,
  );
const conditions = (bench: Bench): string[] =>
  (work(bench)?.status?.conditions ?? []).map((one) => `${one.type} ${one.status} ${one.reason}`);
const end = (
  bench: Bench,
  pod: Pod | undefined,
  phase: 'Succeeded' | 'Failed',
  exitCode = phase === 'Failed' ? 1 : 0,
): void => {
  bench.cluster.change(core.pods, pod?.metadata.name ?? '', 'n', (copy) => {
    copy.status = {
      phase,
      containerStatuses: [{ name: 'c', state: { terminated: { exitCode } } } as ContainerStatus],
    };
  });
};

async function started(spec: Partial<JobSpec> = {}): Promise<Bench> {
  const bench = new Bench();
  await bench.start(startJobController);
  await bench.cluster.client.create(batch.jobs, job(spec));
  await bench.settle();
  return bench;
}

describe('job controller', () => {
  it('runs a pod to its end, counts it, and lets it go', async () => {
    await using bench = await started();
    const [pod] = pods(bench) as [Pod];
    assert.match(pod.metadata.name ?? '', /^work-\w{5}$/);
    assert.deepEqual(pod.metadata.finalizers, ['batch.kubernetes.io/job-tracking']);
    assert.equal(work(bench)?.status?.active, 1);
    assert.equal(work(bench)?.status?.startTime, '2026-01-01T00:00:00Z');
    end(bench, pod, 'Succeeded');
    await bench.until(() => conditions(bench).length === 2, 'the end');
    await bench.settle();
    assert.deepEqual(conditions(bench), [
      'SuccessCriteriaMet True CompletionsReached',
      'Complete True CompletionsReached',
    ]);
    const { conditions: _, ...status } = work(bench)?.status ?? {};
    assert.deepEqual(status, {
      ready: 0,
      terminating: 0,
      succeeded: 1,
      startTime: '2026-01-01T00:00:00Z',
      completionTime: '2026-01-01T00:00:00Z',
      uncountedTerminatedPods: {},
    });
    assert.equal(pods(bench)[0]?.metadata.finalizers, undefined);
    assert.deepEqual(bench.events('Completed'), ['Normal Completed Job completed']);
    assert.equal(bench.clock.monotonicMs(), 0, 'no step waits for a timer');
  });

  it('keeps as many at work as parallelism says until all completions are there', async () => {
    await using bench = await started({ parallelism: 3, completions: 5 });
    for (let done = 1; done <= 5; done++) {
      assert.equal(active(bench).length, Math.min(3, 5 - done + 1));
      end(bench, active(bench)[0], 'Succeeded');
      await bench.settle();
    }
    assert.equal(work(bench)?.status?.succeeded, 5);
    assert.equal(pods(bench).length, 5);
    assert.equal(conditions(bench).length, 2);
  });

  it('replaces failed pods after 10 s, 20 s, …, and gives up at the limit', async () => {
    await using bench = await started({ backoffLimit: 2 });
    for (const waitSeconds of [10, 20]) {
      end(bench, active(bench)[0], 'Failed');
      await bench.settle();
      await bench.pass(waitSeconds - 1);
      assert.equal(active(bench).length, 0);
      await bench.pass(2);
      assert.equal(active(bench).length, 1);
    }
    end(bench, active(bench)[0], 'Failed');
    await bench.settle();
    assert.deepEqual(conditions(bench), [
      'FailureTarget True BackoffLimitExceeded',
      'Failed True BackoffLimitExceeded',
    ]);
    assert.equal(work(bench)?.status?.failed, 3);
    assert.deepEqual(bench.events('BackoffLimitExceeded'), [
      'Warning BackoffLimitExceeded Job has reached the specified backoff limit',
    ]);
  });

  it('counts each pod once, whatever fails on the way and whoever deletes pods', async () => {
    await using bench = new Bench();
    let n = 0;
    bench.cluster.intercept((call) =>
      ['update', 'patch'].includes(call.verb) && ++n % 3 === 0 ? errors.unavailable('fault') : undefined,
    );
    await bench.start(startJobController);
    await bench.cluster.client.create(batch.jobs, job({ parallelism: 4, completions: 20 }));
    await bench.settle();
    for (let i = 0; i < 60 && conditions(bench).length < 2; i++) {
      for (const pod of active(bench)) end(bench, pod, 'Succeeded');
      for (const pod of pods(bench)) {
        // A cleaner that deletes what has ended: the finalizer keeps it until it is counted.
        const { name = '' } = pod.metadata;
        await bench.cluster.client.delete(core.pods, name, { namespace: 'n' }).catch(() => undefined);
      }
      await bench.pass(1);
    }
    assert.equal(work(bench)?.status?.succeeded, 20);
    assert.deepEqual(conditions(bench), [
      'SuccessCriteriaMet True CompletionsReached',
      'Complete True CompletionsReached',
    ]);
  });

  it('an Indexed Job gives each index to one pod, again when it fails', async () => {
    await using bench = await started({ completionMode: 'Indexed', completions: 3, parallelism: 3 });
    assert.deepEqual(new Set(active(bench).map(indexOf)), new Set([0, 1, 2]));
    const of = (index: number): Pod | undefined => active(bench).find((pod) => indexOf(pod) === index);
    assert.equal(of(1)?.spec?.hostname, 'work-1');
    assert.match(of(1)?.metadata.name ?? '', /^work-1-/);
    assert.equal(of(1)?.spec?.containers[0]?.env?.[0]?.name, 'JOB_COMPLETION_INDEX');
    end(bench, of(0), 'Succeeded');
    end(bench, of(2), 'Succeeded');
    end(bench, of(1), 'Failed');
    await bench.settle();
    assert.equal(work(bench)?.status?.completedIndexes, '0,2');
    await bench.pass(11);
    assert.deepEqual(active(bench).map(indexOf), [1]);
    end(bench, of(1), 'Succeeded');
    await bench.settle();
    assert.equal(work(bench)?.status?.completedIndexes, '0-2');
    assert.equal(conditions(bench).length, 2);
  });

  it('ends at its deadline, with its pods', async () => {
    await using bench = await started({ activeDeadlineSeconds: 30, parallelism: 2, completions: 2 });
    await bench.pass(31);
    await bench.settle();
    assert.deepEqual(conditions(bench), [
      'FailureTarget True DeadlineExceeded',
      'Failed True DeadlineExceeded',
    ]);
    assert.equal(active(bench).length, 0);
  });

  it('is suspended and resumed', async () => {
    await using bench = await started({ suspend: true });
    assert.equal(pods(bench).length, 0);
    assert.deepEqual(conditions(bench), ['Suspended True JobSuspended']);
    assert.equal(work(bench)?.status?.startTime, undefined);
    const suspend = (value: boolean): Promise<unknown> =>
      bench.cluster.client.patch(
        batch.jobs,
        'work',
        'merge',
        { spec: { suspend: value } },
        { namespace: 'n' },
      );
    await suspend(false);
    await bench.until(() => active(bench).length === 1, 'the pod');
    await bench.settle();
    assert.deepEqual(conditions(bench), ['Suspended False JobResumed']);
    await suspend(true);
    await bench.until(() => active(bench).length === 0, 'its end');
  });

  it('follows its failure policy', async () => {
    const podFailurePolicy = {
      rules: [
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
        { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } },
      ],
    };
    await using bench = await started({ podFailurePolicy, backoffLimit: 0 });
    bench.cluster.change(core.pods, active(bench)[0]?.metadata.name ?? '', 'n', (pod) => {
      pod.status = { phase: 'Failed', conditions: [{ type: 'DisruptionTarget', status: 'True' }] };
    });
    await bench.pass(1);
    assert.deepEqual(conditions(bench), []);
    assert.equal(active(bench).length, 1);
    assert.equal(pods(bench).filter((one) => one.metadata.finalizers).length, 1, 'the ignored one is let go');
    const [pod] = active(bench) as [Pod];
    end(bench, pod, 'Failed', 42);
    await bench.settle();
    assert.deepEqual(conditions(bench), [
      'FailureTarget True PodFailurePolicy',
      'Failed True PodFailurePolicy',
    ]);
    assert.equal(
      work(bench)?.status?.conditions?.[1]?.message,
      `Container c for pod n/${pod.metadata.name} failed with exit code 42 matching FailJob rule at index 1`,
    );
  });

  it('a queue of work ends when one has found it empty and all have ended', async () => {
    const spec: Partial<JobSpec> = { parallelism: 3 };
    await using bench = new Bench();
    await bench.start(startJobController);
    const queue = job(spec);
    delete queue.spec?.completions;
    await bench.cluster.client.create(batch.jobs, queue);
    await bench.settle();
    assert.equal(active(bench).length, 3);
    end(bench, active(bench)[0], 'Succeeded');
    await bench.settle();
    assert.equal(active(bench).length, 2);
    assert.deepEqual(conditions(bench), []);
    for (const pod of active(bench)) end(bench, pod, 'Succeeded');
    await bench.settle();
    assert.equal(conditions(bench).length, 2);
    assert.equal(work(bench)?.status?.succeeded, 3);
  });

  it('frees the pods of a Job that is deleted', async () => {
    await using bench = await started();
    bench.cluster.remove(batch.jobs, 'work', 'n');
    await bench.until(() => pods(bench)[0]?.metadata.finalizers === undefined, 'the finalizer to go');
  });

  it('says what it does not do', async () => {
    await using bench = await started({ completionMode: 'Indexed', backoffLimitPerIndex: 1 });
    assert.equal(pods(bench).length, 0);
    assert.match(
      bench.events()[0] ?? '',
      /^Warning UnsupportedField spec\.backoffLimitPerIndex is not supported/,
    );
  });
});

describe('finished jobs', () => {
  it('go after their time', async () => {
    await using bench = new Bench();
    await bench.start(startTtlAfterFinished);
    const finished = job({ ttlSecondsAfterFinished: 60 });
    const conditions = [{ type: 'Complete', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }];
    bench.cluster.seed(
      batch.jobs,
      { ...finished, status: { conditions } },
      { ...finished, metadata: { name: 'running', namespace: 'n' } },
      { ...job(), metadata: { name: 'kept', namespace: 'n' }, status: { conditions } },
    );
    const names = (): Array<string | undefined> =>
      bench.cluster.objects(batch.jobs).map((one) => one.metadata.name);
    await bench.pass(59);
    assert.equal(names().length, 3);
    await bench.pass(3);
    const going = bench.cluster
      .objects(batch.jobs)
      .filter((one) => one.metadata.deletionTimestamp !== undefined);
    assert.deepEqual(
      going.map((one) => one.metadata.name),
      ['work'],
    );
  });
});

describe('indexes', () => {
  it('are written as upstream writes them, and read back', () => {
    assert.equal(formatIndexes(new Set([1, 2, 4, 6, 7, 8])), '1,2,4,6-8');
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50)), (list) => {
        assert.deepEqual(
          parseIndexes(formatIndexes(new Set(list)), 51),
          new Set([...list].sort((a, b) => a - b)),
        );
      }),
    );
    assert.deepEqual(parseIndexes('0-9,x,20', 3), new Set([0, 1, 2]));
  });
});
