import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { awaitConfiguration, zonesLabel } from './await-configuration.ts';

const namespace = 'cloudless-dns';
const configMap = (name: string, labels: Record<string, string> = {}, place = namespace): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: place, labels },
});

describe('waiting for a configuration', () => {
  const start = (): {
    cluster: FakeCluster;
    stop: AbortController;
    isDone: () => boolean;
    done: Promise<void>;
  } => {
    const cluster = new FakeCluster();
    const stop = new AbortController();
    let isDone = false;
    const done = awaitConfiguration({
      client: cluster.client,
      namespace,
      clock: systemClock,
      log: logger('test'),
      signal: stop.signal,
    }).then(() => void (isDone = true));
    return { cluster, stop, isDone: () => isDone, done };
  };
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

  it('ends with the ConfigMap of values, not with others', async () => {
    const { cluster, isDone, done } = start();
    cluster.seed(
      core.configmaps,
      configMap('kube-root-ca.crt') as never,
      configMap('values', {}, 'default') as never,
    );
    await settled();
    assert.equal(isDone(), false);
    cluster.seed(core.configmaps, configMap('values') as never);
    await done;
  });

  it('ends with a ConfigMap that gets the label of zones', async () => {
    const { cluster, isDone, done } = start();
    cluster.seed(
      core.configmaps,
      configMap('mine') as never,
      configMap('off', { [zonesLabel]: 'false' }) as never,
    );
    await settled();
    assert.equal(isDone(), false);
    cluster.change(core.configmaps, 'mine', namespace, (current) => {
      current.metadata.labels = { [zonesLabel]: 'true' };
    });
    await done;
  });

  it('ends when it is stopped', async () => {
    const { stop, done } = start();
    stop.abort();
    await done;
  });
});
