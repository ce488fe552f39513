import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { etcdFacts } from '@cloudless/kube/etcd/facts';
import { openMemoryDatastore } from '../memory.ts';
import { headerOf } from './codec/responses.ts';
import { allMethods } from './services/all.ts';
import { unsupportedCalls } from './services/unsupported.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
/** Calls of the README's table, and whether it says that they are not there. */
const told = [...readme.matchAll(/^\| ((?:`[A-Z]\w+\.[\w*]+`(?:, )?)+) \| (.*) \|$/gm)].flatMap(
  ([, calls = '', text = '']) =>
    [...calls.matchAll(/`([^`]+)`/g)].map(([, call = '']) => ({
      call,
      isSupported: !text.startsWith('Unimplemented'),
    })),
);
const services = etcdFacts.find((facts) => facts.package.includes('etcdserverpb'))?.services ?? {};
const calls = Object.entries(services).flatMap(([service, methods]) =>
  Object.keys(methods).map((method) => `${service}.${method}`),
);

describe('the calls of the server', () => {
  it("are all of etcd's, with their kinds", async () => {
    await using store = await openMemoryDatastore();
    const methods = allMethods({
      store,
      header: headerOf(1n, 2n, 2),
      fragmentBytes: 1000,
      clientUrls: () => [],
    });
    const pathOf = (call: string): string => `/etcdserverpb.${call.replace('.', '/')}`;
    const health = '/grpc.health.v1.Health/Check';
    assert.deepEqual([...methods.keys()].sort(), [...calls.map(pathOf), health].sort());
    for (const [service, facts] of Object.entries(services)) {
      for (const [name, { requestStream, responseStream }] of Object.entries(facts)) {
        const kind = requestStream ? 'duplex' : responseStream ? 'server-stream' : 'unary';
        assert.equal(methods.get(pathOf(`${service}.${name}`))?.type, kind, `${service}.${name}`);
      }
    }
  });

  it('are those of the README', () => {
    const missing = Object.keys(unsupportedCalls).map((path) =>
      path
        .replace('/etcdserverpb.', '')
        .replace('/', '.')
        .replace(/^Auth\..*/, 'Auth.*'),
    );
    const all = new Set(calls.map((call) => call.replace(/^Auth\..*/, 'Auth.*')));
    assert.deepEqual(told.map(({ call }) => call).sort(), [...all].sort());
    assert.deepEqual(
      told.flatMap(({ call, isSupported }) => (isSupported ? [] : [call])).sort(),
      [...new Set(missing)].sort(),
    );
  });
});
