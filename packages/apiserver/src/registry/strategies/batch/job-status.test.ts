import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Job, JobSpec, JobStatus } from '@cloudless/kube/types/batch-v1';
import { commonIndex, countIndexes } from './completion-indexes.ts';
import { validateJobStatus } from './validate-job-status.ts';

const jobWith = (status: JobStatus, spec: Partial<JobSpec> = {}): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'a' },
  spec: { template: {}, completions: 4, ...spec },
  status,
});
const on = (...types: string[]) => types.map((type) => ({ type, status: 'True' }));
const startTime = '2026-01-01T00:00:00Z';
const done = { startTime, completionTime: '2026-01-01T00:01:00Z' };
const wrongOf = (now: Job, old: Job = jobWith({})): string[] =>
  validateJobStatus(now, old).map(({ field, message }) => `${field}: ${message}`);

describe('a status of a job', () => {
  it('goes from nothing to running to complete', () => {
    const running = jobWith({ active: 2, ready: 1, startTime });
    const complete = jobWith({ ...done, succeeded: 4, conditions: on('SuccessCriteriaMet', 'Complete') });
    assert.deepEqual(wrongOf(running), []);
    assert.deepEqual(wrongOf(complete, running), []);
    assert.deepEqual(wrongOf(complete, complete), []);
  });

  it('does not leave its end again', () => {
    const complete = jobWith({ ...done, conditions: on('SuccessCriteriaMet', 'Complete') });
    assert.deepEqual(wrongOf(jobWith({ startTime }), complete), [
      'status.conditions: Invalid value: cannot disable the terminal Complete=True condition',
      'status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition',
    ]);
  });

  it('has no pods left at its end', () => {
    const finished = jobWith({
      startTime,
      active: 1,
      terminating: 2,
      uncountedTerminatedPods: { failed: ['x'] },
      conditions: on('Failed'),
    });
    assert.deepEqual(wrongOf(finished), [
      'status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition',
      'status.active: Invalid value: 1: active>0 is invalid for finished job',
      'status.uncountedTerminatedPods: Invalid value: {"failed":["x"]}: must be empty for finished job',
      'status.terminating: Invalid value: 2: terminating>0 is invalid for finished job',
    ]);
  });

  it('is judged where it changes, so that an old fault holds up nothing', () => {
    const old = jobWith({ completedIndexes: '9', ready: 3 });
    assert.deepEqual(wrongOf(jobWith({ completedIndexes: '9', ready: 3, failed: 1 }), old), []);
    assert.equal(wrongOf(jobWith({ completedIndexes: '8', ready: 4 }), old).length, 3);
  });

  it('counts down only what may be scaled', () => {
    const old = jobWith({ succeeded: 3, failed: 2 });
    const text = (name: string): string =>
      `status.${name}: Invalid value: 1: cannot decrease the ${name} counter`;
    assert.deepEqual(wrongOf(jobWith({ succeeded: 1, failed: 1 }), old), [text('failed'), text('succeeded')]);
    const elastic = jobWith({ succeeded: 1, failed: 1 }, { completionMode: 'Indexed', parallelism: 4 });
    assert.deepEqual(wrongOf(elastic, old), [text('failed')]);
  });
});

describe('a list of indexes', () => {
  it('is counted', () => {
    assert.equal(countIndexes('', 1), 0);
    assert.equal(countIndexes('1,3-5,7', 8), 5);
  });

  it('is refused with the reason', () => {
    const faults: ReadonlyArray<[string, RegExp]> = [
      ['x', /cannot convert string to integer for index: "x"/],
      ['9', /too large index: "9"/],
      ['1-2-3', /the fragment "1-2-3" violates/],
      ['3-3', /non-increasing order, previous: 3, current: 3/],
      ['5,4', /non-increasing order, previous: 5, current: 4/],
    ];
    for (const [list, text] of faults) assert.throws(() => countIndexes(list, 9), text);
  });

  it('may share an index with another', () => {
    assert.equal(commonIndex('1,3-5', '0,2,4-6', 9), 4);
    assert.equal(commonIndex('1,3-5', '0,2,6', 9), undefined);
    assert.equal(commonIndex('bad,3', '3', 9), 3);
  });
});
