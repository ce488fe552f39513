import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusError } from '@cloudless/kube/status';
import { answerHealth } from './health.ts';
import { negotiate, type Offer } from './negotiate.ts';

/** Accept header, what is offered → format, shape. */
const cases: Array<[string | undefined, Offer, string]> = [
  [undefined, 'objects', 'json'],
  ['*/*', 'objects', 'json'],
  ['application/json', 'objects', 'json'],
  ['application/json;stream=watch', 'objects', 'json'],
  ['application/yaml', 'objects', 'yaml'],
  ['application/vnd.kubernetes.protobuf,application/json', 'objects', 'protobuf'],
  ['application/json;q=0.5, application/yaml', 'objects', 'yaml'],
  ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'objects', 'json Table v1'],
  ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'plain', 'json'],
  [
    'application/json;as=Table;v=v9;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io',
    'objects',
    'json Table v1beta1',
  ],
  [
    'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json',
    'discovery',
    'json APIGroupDiscoveryList v2',
  ],
  [
    'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json',
    'objects',
    'json',
  ],
];

describe('content negotiation', () => {
  for (const [accept, offer, expected] of cases) {
    it(`${accept ?? 'nothing'} of ${offer} → ${expected}`, () => {
      const { format, as, version } = negotiate(accept, offer);
      assert.equal([format, as, as === '' ? '' : version].filter((part) => part !== '').join(' '), expected);
    });
  }

  it('refuses what nothing fits', () => {
    for (const accept of ['text/html', 'application/json;as=Table;v=v1;g=other']) {
      assert.throws(
        () => negotiate(accept, 'objects'),
        (error) => error instanceof StatusError && error.code === 406,
      );
    }
  });
});

describe('health', () => {
  const good = { name: 'ping', check: () => {} };
  const bad = { name: 'etcd', check: () => Promise.reject(new Error('secret reason')) };
  const ask = async (path: string, query = '', checks = [good, bad]) => {
    const failures: string[] = [];
    const answer = await answerHealth(path, checks, new URLSearchParams(query), (name) =>
      failures.push(name),
    );
    return { ...answer, failures };
  };

  it('is ok, or names the checks that failed without telling why', async () => {
    assert.deepEqual(await ask('/healthz', '', [good]), { code: 200, body: 'ok', failures: [] });
    assert.equal((await ask('/livez', 'verbose', [good])).body, '[+]ping ok\nlivez check passed\n');
    const failed = await ask('/readyz');
    assert.equal(failed.code, 500);
    assert.equal(failed.body, '[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n');
    assert.deepEqual(failed.failures, ['etcd']);
  });

  it('leaves out what is excluded, and answers single checks', async () => {
    assert.equal((await ask('/readyz', 'exclude=etcd')).body, 'ok');
    assert.match((await ask('/readyz', 'verbose&exclude=etcd&exclude=none')).body, /no matches for "none"/);
    assert.equal((await ask('/readyz/ping')).code, 200);
    assert.equal((await ask('/readyz/etcd')).code, 500);
    assert.equal((await ask('/readyz/none')).code, 404);
  });
});
