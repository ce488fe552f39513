import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { Bench } from '../testing/bench.ts';
import { startRootCaPublisher } from './root-ca.ts';
import { startServiceAccountController } from './serviceaccount.ts';

describe('every namespace', () => {
  it('has a default service account, again when it is deleted', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.namespaces, { metadata: { name: 'old' } });
    await bench.start(startServiceAccountController);
    await bench.cluster.client.create(core.namespaces, { metadata: { name: 'new' } });
    const there = (namespace: string): boolean =>
      bench.cluster.object(core.serviceaccounts, 'default', namespace) !== undefined;
    await bench.until(() => there('old') && there('new'), 'both');
    bench.cluster.remove(core.serviceaccounts, 'default', 'new');
    await bench.until(() => there('new'), 'the second');
    bench.cluster.change(
      core.namespaces,
      'old',
      undefined,
      (object) => (object.status = { phase: 'Terminating' }),
    );
    bench.cluster.remove(core.serviceaccounts, 'default', 'old');
    await bench.settle();
    assert.equal(there('old'), false);
  });

  it('has the CA, right again when it is changed', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.namespaces, { metadata: { name: 'n' } });
    await bench.start((context) => startRootCaPublisher(context, 'PEM'));
    const ca = (): string | undefined =>
      bench.cluster.object(core.configmaps, 'kube-root-ca.crt', 'n')?.data?.['ca.crt'];
    await bench.until(() => ca() === 'PEM', 'the CA');
    assert.match(
      bench.cluster.object(core.configmaps, 'kube-root-ca.crt', 'n')?.metadata.annotations?.[
        'kubernetes.io/description'
      ] ?? '',
      /^Contains a CA bundle/,
    );
    bench.cluster.change(
      core.configmaps,
      'kube-root-ca.crt',
      'n',
      (object) => (object.data = { 'ca.crt': 'evil' }),
    );
    await bench.until(() => ca() === 'PEM', 'the repair');
    bench.cluster.remove(core.configmaps, 'kube-root-ca.crt', 'n');
    await bench.until(() => ca() === 'PEM', 'a new one');
  });
});
