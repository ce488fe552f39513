import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import type { StatusError } from '@cloudless/kube/status';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { type DefaultTestServer, startDefaultTestServer } from '../testing/default-server.ts';
import {
  type Custom,
  crds,
  define,
  definitionOf,
  established,
  redefine,
  removed,
  resourceOf,
} from './testing.ts';

const refused = (code: number, message: RegExp | string) => (error: StatusError) => {
  assert.equal(error.code, code, error.message);
  if (typeof message === 'string') assert.equal(error.message, message);
  else assert.match(error.message, message);
  return true;
};

const text: JSONSchemaProps = { type: 'string' };
const namespace = 'default';
const object = (name: string, spec: Record<string, unknown>): Custom => ({
  metadata: { name, namespace },
  spec,
});

describe('custom resources', () => {
  let test: DefaultTestServer;
  const admin = () => test.admin;
  before(async () => void (test = await startDefaultTestServer()));
  after(() => test[Symbol.asyncDispose]());

  it('are pruned, defaulted and counted by their definition', async () => {
    const properties: Record<string, JSONSchemaProps> = {
      size: { ...text, enum: ['s', 'm'] },
      replicas: { type: 'integer', default: 2 },
    };
    await define(admin(), definitionOf('widgets', { type: 'object', properties }));
    const widgets = resourceOf('widgets');
    const made = await admin().create(widgets, object('a', { size: 's', junk: 1, replicas: null }));
    assert.deepEqual(made['spec'], { size: 's', replicas: 2 });
    assert.equal(made.metadata.generation, 1);
    const changed = await admin().patch(widgets, 'a', 'merge', { spec: { size: 'm' } }, { namespace });
    assert.equal(changed.metadata.generation, 2);
    const labelled = await admin().patch(
      widgets,
      'a',
      'merge',
      { metadata: { labels: { a: 'b' } } },
      { namespace },
    );
    assert.equal(labelled.metadata.generation, 2);
    await assert.rejects(
      admin().create(widgets, object('b', { size: 'x', replicas: 'no' })),
      refused(
        422,
        'Widget.example.com "b" is invalid: [spec.size: Unsupported value: "x": supported values: "s", "m", spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"]',
      ),
    );
  });

  it('keep what was valid when it came, as long as it does not change', async () => {
    const definition = await define(
      admin(),
      definitionOf('keepers', { type: 'object', properties: { a: text, b: text } }),
    );
    const keepers = resourceOf('keepers');
    await admin().create(keepers, object('a', { a: 'long', b: 'x' }));
    const tighter = structuredClone(definition);
    const spec = tighter.spec.versions[0]?.schema?.openAPIV3Schema?.properties?.['spec'] as JSONSchemaProps;
    spec.properties = { a: { ...text, maxLength: 2 }, b: text };
    await redefine(admin(), tighter);
    await admin().patch(keepers, 'a', 'merge', { spec: { b: 'y' } }, { namespace });
    await assert.rejects(
      admin().patch(keepers, 'a', 'merge', { spec: { a: 'longer' } }, { namespace }),
      refused(422, 'Keeper.example.com "a" is invalid: spec.a: Too long: may not be more than 2 bytes'),
    );
  });

  it('have status and scale apart', async () => {
    const scale = { specReplicasPath: '.spec.count', statusReplicasPath: '.status.count' };
    const properties: Record<string, JSONSchemaProps> = { count: { type: 'integer', maximum: 9 } };
    const subresources = { status: {}, scale };
    await define(admin(), definitionOf('scalers', { type: 'object', properties }, { subresources }));
    const scalers = resourceOf('scalers');
    const made = await admin().create(scalers, { ...object('a', {}), status: { count: 1 } });
    assert.equal(made['status'], undefined);
    const at = (subresource: string) => ({ namespace, subresource });
    const status = await admin().patch(
      scalers,
      'a',
      'merge',
      { status: { count: 1 }, spec: { count: 5 } },
      at('status'),
    );
    assert.deepEqual([status['spec'], status['status'], status.metadata.generation], [{}, { count: 1 }, 1]);
    await assert.rejects(
      admin().get(scalers, 'a', at('scale')),
      refused(500, /the spec replicas field "\.spec\.count" does not exist/),
    );
    await assert.rejects(
      admin().patch(scalers, 'a', 'merge', { metadata: { labels: {} } }, at('scale')),
      refused(400, 'the spec replicas field ".spec.count" cannot be empty'),
    );
    const scaled = await admin().patch(scalers, 'a', 'merge', { spec: { replicas: 3 } }, at('scale'));
    assert.deepEqual([scaled['spec'], scaled['status']], [{ replicas: 3 }, { replicas: 1 }]);
    const after = await admin().get(scalers, 'a', { namespace });
    assert.deepEqual(
      [after['spec'], after['status'], after.metadata.generation],
      [{ count: 3 }, { count: 1 }, 2],
    );
    await assert.rejects(
      admin().patch(scalers, 'a', 'merge', { spec: { replicas: 30 } }, at('scale')),
      refused(422, /spec\.count in body should be less than or equal to 9/),
    );
  });

  it('are selected by the fields that their definition names', async () => {
    const selectableFields = [{ jsonPath: '.spec.color' }];
    await define(
      admin(),
      definitionOf('paints', { type: 'object', properties: { color: text } }, { selectableFields }),
    );
    const paints = resourceOf('paints');
    for (const color of ['red', 'blue']) await admin().create(paints, object(color, { color }));
    const { items } = await admin().list(paints, { fieldSelector: 'spec.color=red' });
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['red'],
    );
    await assert.rejects(
      admin().list(paints, { fieldSelector: 'spec.other=x' }),
      refused(400, 'field label not supported: spec.other'),
    );
    const ends = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const options = { fieldSelector: 'spec.color=red', signal: ends.signal };
      for await (const { type, object: each } of admin().watch(paints, options)) {
        seen.push(`${type} ${each.metadata.name}`);
        if (type === 'DELETED') break;
      }
    })();
    await admin().patch(paints, 'blue', 'merge', { spec: { color: 'red' } }, { namespace });
    await admin().patch(paints, 'blue', 'merge', { spec: { color: 'green' } }, { namespace });
    await watching;
    assert.deepEqual(seen.slice(-2), ['ADDED blue', 'DELETED blue']);
  });

  it('are the same objects in every version', async () => {
    const definition = definitionOf('dialects', { type: 'object', properties: { a: text } });
    const [v1] = definition.spec.versions;
    const loose: JSONSchemaProps = {
      type: 'object',
      properties: { spec: { type: 'object', properties: { a: text, b: { ...text, default: 'beta' } } } },
    };
    definition.spec.versions.push({
      ...v1,
      name: 'v1beta1',
      storage: false,
      served: true,
      schema: { openAPIV3Schema: loose },
    });
    await define(admin(), definition);
    const beta = resourceOf('dialects', 'v1beta1');
    const stable = resourceOf('dialects');
    const made = await admin().create(beta, object('a', { a: 'x', b: 'y' }));
    assert.deepEqual([made.apiVersion, made['spec']], ['example.com/v1beta1', { a: 'x', b: 'beta' }]);
    const read = await admin().get(stable, 'a', { namespace });
    assert.deepEqual([read.apiVersion, read['spec']], ['example.com/v1', { a: 'x' }]);
    const events = admin().watch(beta, { namespace });
    for await (const { object: each } of events) {
      assert.equal(each.apiVersion, 'example.com/v1beta1');
      break;
    }
    const { status } = await admin().get(crds, 'dialects.example.com');
    assert.deepEqual(status?.storedVersions, ['v1']);
    const moved = await admin().get(crds, 'dialects.example.com');
    const next = structuredClone(moved);
    for (const version of next.spec.versions) version.storage = version.name === 'v1beta1';
    const after = await redefine(admin(), next);
    assert.deepEqual(after.status?.storedVersions, ['v1', 'v1beta1']);
    const idle = await admin().patch(beta, 'a', 'merge', {}, { namespace });
    assert.notEqual(
      idle.metadata.resourceVersion,
      read.metadata.resourceVersion,
      'rewritten in the new version',
    );
  });

  it('are not served before the CA of their webhook can be read', async () => {
    const definition = definitionOf('cas', { type: 'object' });
    definition.spec.names.kind = 'Ca';
    const clientConfig = {
      url: 'https://127.0.0.1:1/convert',
      caBundle: Buffer.from('none').toString('base64'),
    };
    definition.spec.conversion = {
      strategy: 'Webhook',
      webhook: { conversionReviewVersions: ['v1'], clientConfig },
    };
    await admin().create(crds, definition);
    for await (const { object: each } of admin().watch(crds, {
      fieldSelector: 'metadata.name=cas.example.com',
    })) {
      const condition = each.status?.conditions?.find(({ type }) => type === 'Established');
      if (!condition) continue;
      assert.deepEqual([condition.status, condition.reason], ['False', 'InvalidCABundle']);
      break;
    }
  });

  it('end their watches when their definition changes, and are served by the new one at once', async () => {
    const definition = await define(
      admin(),
      definitionOf('changers', { type: 'object', properties: { a: text } }),
    );
    const changers = resourceOf('changers');
    await admin().create(changers, object('a', { a: 'x' }));
    let begun: () => void = () => {};
    const watching = new Promise<void>((resolve) => (begun = resolve));
    const ended = (async () => {
      for await (const _ of admin().watch(changers, { namespace })) begun();
    })();
    await watching;
    const next = structuredClone(definition);
    const spec = next.spec.versions[0]?.schema?.openAPIV3Schema?.properties?.['spec'] as JSONSchemaProps;
    spec.properties = { a: text, b: { ...text, default: 'new' } };
    await admin().update(crds, next);
    await ended;
    const { items } = await admin().list(changers, { namespace });
    assert.deepEqual(
      items.map((each) => each['spec']),
      [{ a: 'x', b: 'new' }],
    );
  });

  it('go with their definition, finalizers respected, and may come again', async () => {
    const definition = definitionOf('goers', { type: 'object', properties: { a: text } });
    await define(admin(), definition);
    const goers = resourceOf('goers');
    const held = object('held', { a: 'x' });
    held.metadata.finalizers = ['example.com/hold'];
    await admin().create(goers, held);
    await admin().create(goers, object('free', { a: 'x' }));
    await admin().delete(crds, 'goers.example.com');
    const marked = await admin().get(crds, 'goers.example.com');
    assert.deepEqual(marked.metadata.finalizers, ['customresourcecleanup.apiextensions.k8s.io']);
    await assert.rejects(
      admin().create(goers, object('late', {})),
      refused(403, /create not allowed while custom resource definition is terminating/),
    );
    const gone = removed(admin(), 'goers.example.com');
    for await (const { object: each } of admin().watch(goers, { namespace })) {
      if (each.metadata.name !== 'held' || !each.metadata.deletionTimestamp) continue;
      await admin().patch(goers, 'held', 'merge', { metadata: { finalizers: null } }, { namespace });
      break;
    }
    await gone;
    await assert.rejects(admin().list(goers, { namespace }), refused(404, /could not find/));
    await define(admin(), definition);
    assert.deepEqual((await admin().list(goers, { namespace })).items, []);
    await admin().create(goers, object('again', { a: 'y' }));
  });

  it('wait for names that another definition holds', async () => {
    const first = definitionOf('firsts', { type: 'object' });
    first.spec.names.shortNames = ['taken'];
    await define(admin(), first);
    const second = definitionOf('seconds', { type: 'object' });
    second.spec.names.shortNames = ['taken'];
    await admin().create(crds, second);
    const waiting = admin().watch(crds, { fieldSelector: 'metadata.name=seconds.example.com' });
    for await (const { object: each } of waiting) {
      const accepted = each.status?.conditions?.find(({ type }) => type === 'NamesAccepted');
      if (!accepted) continue;
      assert.deepEqual(
        [accepted.status, accepted.reason, accepted.message],
        ['False', 'ShortNamesConflict', '"taken" is already in use'],
      );
      break;
    }
    await admin().delete(crds, 'firsts.example.com');
    const then = await established(admin(), 'seconds.example.com');
    assert.deepEqual(then.status?.acceptedNames?.shortNames, ['taken']);
  });

  it('stand in discovery with their group after the built-in ones, and leave it', async () => {
    const definition = definitionOf('shows', { type: 'object' });
    await define(admin(), definition);
    const groups = async (): Promise<string[]> =>
      (JSON.parse(await admin().raw('GET', '/apis')) as { groups: Array<{ name: string }> }).groups.map(
        ({ name }) => name,
      );
    assert.equal((await groups()).at(-1), 'example.com');
    const list = JSON.parse(await admin().raw('GET', '/apis/example.com/v1')) as {
      resources: Array<{ name: string; kind: string }>;
    };
    assert.ok(list.resources.some(({ name, kind }) => name === 'shows' && kind === 'Show'));
  });

  it('are created by hundreds at once, beside their namespace and others', async () => {
    await define(admin(), definitionOf('crowds', { type: 'object', properties: { a: text } }));
    const crowds = resourceOf('crowds');
    await admin().create(core.namespaces, { metadata: { name: 'crowd' } });
    const names = Array.from({ length: 200 }, (_, i) => `c-${i}`);
    await Promise.all(
      names.map((name) =>
        admin().create(crowds, { metadata: { name, namespace: 'crowd' }, spec: { a: name } }),
      ),
    );
    const { items } = await admin().list(crowds, { namespace: 'crowd' });
    assert.equal(items.length, names.length);
    await admin().deleteCollection(crowds, { namespace: 'crowd' });
    assert.deepEqual((await admin().list(crowds, { namespace: 'crowd' })).items, []);
  });
});
