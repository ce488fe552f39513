import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Job } from '@cloudless/kube/types/batch-v1';
import { job } from './job.ts';

/** As the registry prepares it; the context is not looked at. */
function created(labels: Record<string, string> | undefined, template: object): Job {
  const object: Job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j', uid: 'u', ...(labels ? { labels } : {}) },
    spec: { template },
  };
  job.defaults?.(object);
  job.prepareForCreate?.({} as never, object);
  return object;
}

const generated = {
  'batch.kubernetes.io/controller-uid': 'u',
  'batch.kubernetes.io/job-name': 'j',
  'controller-uid': 'u',
  'job-name': 'j',
};

describe('labels of a new job', () => {
  it('are those of its template, generated ones too, where it has none', () => {
    const { metadata, spec } = created(undefined, {});
    assert.deepEqual(metadata.labels, generated);
    assert.deepEqual(spec?.template?.metadata?.labels, generated);
  });

  it('are those of its template, where that has some', () => {
    const { metadata, spec } = created(undefined, { metadata: { labels: { app: 'a' } } });
    assert.deepEqual(metadata.labels, { app: 'a', ...generated });
    assert.deepEqual(spec?.template?.metadata?.labels, { app: 'a', ...generated });
  });

  it('are its own', () => {
    const owns: Array<Record<string, string>> = [{ tier: 't' }, { app: 'a' }];
    for (const own of owns)
      assert.deepEqual(created(own, { metadata: { labels: { app: 'a' } } }).metadata.labels, own);
  });
});
