import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { StatusError } from '@cloudless/kube/status';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
} from '@cloudless/kube/types/apiextensions-v1';
import { type DefaultTestServer, startDefaultTestServer } from '../../testing/default-server.ts';
import { makePki, type TestPki } from '../../testing/test-server.ts';
import { type Review, startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts';
import { crds, type Custom, define, redefine, resourceOf } from '../testing.ts';

const namespace = 'default';
const v1 = resourceOf('boxes', 'v1');
const v2 = resourceOf('boxes', 'v2');

/** In v1 a box has `spec.size: "3x4"`, in v2 `spec.width` and `spec.height`; labels say who converted it last. */
function converted(object: Custom, apiVersion: string): Custom {
  const spec = object['spec'] as Record<string, unknown>;
  const labels = { ...object.metadata.labels, shown: apiVersion.split('/')[1] as string };
  const metadata = { ...object.metadata, labels };
  if (apiVersion === object.apiVersion) return object;
  if (apiVersion.endsWith('/v2')) {
    const [width, height] = String(spec['size']).split('x').map(Number);
    return { ...object, apiVersion, metadata, spec: { width, height } };
  }
  return {
    ...object,
    apiVersion,
    metadata,
    spec: { size: `${String(spec['width'])}x${String(spec['height'])}` },
  };
}

const convert = ({ request }: Review): Record<string, unknown> => ({
  result: { status: 'Success' },
  convertedObjects: (request['objects'] as Custom[]).map((object) =>
    converted(object, request['desiredAPIVersion'] as string),
  ),
});

function version(name: string, storage: boolean, properties: object): CustomResourceDefinitionVersion {
  return {
    name,
    served: true,
    storage,
    subresources: { status: {} },
    selectableFields: [{ jsonPath: name === 'v1' ? '.spec.size' : '.spec.width' }],
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {
          spec: { type: 'object', properties },
          status: { type: 'object', properties: { ready: { type: 'boolean' } } },
        },
      },
    },
  } as CustomResourceDefinitionVersion;
}

const definition = (webhook: WebhookServer): CustomResourceDefinition => ({
  metadata: { name: 'boxes.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'boxes', kind: 'Boxe' },
    versions: [
      version('v1', true, { size: { type: 'string' } }),
      version('v2', false, {
        width: { type: 'integer' },
        height: { type: 'integer' },
        depth: { type: 'integer', default: 1 },
      }),
    ],
    conversion: {
      strategy: 'Webhook',
      webhook: {
        conversionReviewVersions: ['v7', 'v1'],
        clientConfig: webhook.clientConfig,
      },
    },
  },
});

describe('conversion by a webhook', () => {
  let pki: TestPki;
  let webhook: WebhookServer;
  let test: DefaultTestServer;
  let admin: KubeClient;
  before(async () => {
    pki = makePki();
    webhook = await startWebhookServer(pki, '/convert');
    test = await startDefaultTestServer();
    ({ admin } = test);
    webhook.answer(convert);
    await define(admin, definition(webhook));
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await webhook[Symbol.asyncDispose]();
    pki.remove();
  });
  beforeEach(async () => {
    webhook.answer(convert);
    for (const { metadata } of (await admin.list(v1)).items)
      await admin.delete(v1, metadata.name as string, { namespace });
    webhook.reviews.length = 0;
  });
  const box = (name: string, spec: Record<string, unknown>, labels = {}): Custom => ({
    metadata: { name, namespace, labels },
    spec,
  });
  const specOf = async (resource: typeof v1, name: string): Promise<unknown> =>
    (await admin.get(resource, name, { namespace }))['spec'];

  it('shows and takes objects in every version', async () => {
    const made = await admin.create(v2, box('a', { width: 3, height: 4 }));
    assert.deepEqual(made['spec'], { width: 3, height: 4, depth: 1 });
    assert.equal(made.apiVersion, 'example.com/v2');
    assert.deepEqual(await specOf(v1, 'a'), { size: '3x4' });
    await admin.patch(v1, 'a', 'merge', { spec: { size: '5x6' } }, { namespace });
    assert.deepEqual(await specOf(v2, 'a'), { width: 5, height: 6, depth: 1 });
    const read = await admin.get(v2, 'a', { namespace });
    await admin.update(v2, { ...read, spec: { width: 7, height: 6 } });
    const after = await admin.get(v1, 'a', { namespace });
    assert.deepEqual(after['spec'], { size: '7x6' });
    // Labels and annotations are the webhook's, all else of the metadata is not.
    assert.deepEqual(after.metadata.labels, { shown: 'v1' });
    assert.equal(after.metadata.uid, made.metadata.uid);
    const { request } = webhook.reviews[0] as Review;
    assert.equal(request['desiredAPIVersion'], 'example.com/v1');
  });

  it('asks for all objects of a list at once, and not again for those that have not changed', async () => {
    for (let i = 0; i < 5; i++) await admin.create(v1, box(`b${i}`, { size: `${i}x1` }));
    webhook.reviews.length = 0;
    const list = async (): Promise<unknown[]> =>
      (await admin.list(v2, { namespace })).items.map((each) => (each['spec'] as { width: number }).width);
    assert.deepEqual(await list(), [0, 1, 2, 3, 4]);
    assert.equal(webhook.reviews.length, 1);
    assert.deepEqual(await list(), [0, 1, 2, 3, 4]);
    assert.equal(webhook.reviews.length, 1);
    await admin.patch(v1, 'b2', 'merge', { spec: { size: '9x1' } }, { namespace });
    assert.deepEqual(await list(), [0, 1, 9, 3, 4]);
    assert.deepEqual(
      webhook.reviews.map(({ request }) => (request['objects'] as unknown[]).length),
      [5, 1],
    );
  });

  it('selects by what objects are in the version asked for', async () => {
    for (let i = 0; i < 3; i++) await admin.create(v1, box(`c${i}`, { size: `${i}x1` }));
    const names = async (options: object): Promise<unknown[]> =>
      (await admin.list(v2, { namespace, ...options })).items.map(({ metadata }) => metadata.name);
    assert.deepEqual(await names({ fieldSelector: 'spec.width=1' }), ['c1']);
    assert.deepEqual(await names({ labelSelector: 'shown=v2' }), ['c0', 'c1', 'c2']);
    assert.deepEqual((await admin.list(v1, { namespace, labelSelector: 'shown=v2' })).items, []);
  });

  it('shows changes in the order in which they came', async () => {
    await admin.create(v1, box('d', { size: '0x1' }));
    const ends = new AbortController();
    const seen: unknown[] = [];
    const options = { namespace, signal: ends.signal, fieldSelector: 'metadata.name=d' };
    const watching = (async () => {
      for await (const { type, object } of admin.watch(v2, options)) {
        if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') continue;
        seen.push([type, (object['spec'] as { width: number }).width]);
        if (type === 'DELETED') break;
      }
    })();
    for (let i = 1; i < 6; i++)
      await admin.patch(v1, 'd', 'merge', { spec: { size: `${i}x1` } }, { namespace });
    await admin.delete(v2, 'd', { namespace });
    await watching;
    ends.abort();
    // The watch may have begun at any of them.
    const all = [0, 1, 2, 3, 4, 5].map((width) => ['MODIFIED', width] as [string, number]);
    const tail = all.slice(-seen.length + 1).map(([, width], i) => [i === 0 ? 'ADDED' : 'MODIFIED', width]);
    assert.deepEqual(seen, [...tail, ['DELETED', 5]]);
  });

  it('lets selectors of a watch follow what objects become', async () => {
    const ends = new AbortController();
    const seen: string[] = [];
    let begun: () => void = () => {};
    const beginning = new Promise<void>((resolve) => (begun = resolve));
    await admin.create(v1, box('e', { size: '1x1' }));
    const watching = (async () => {
      const options = { namespace, signal: ends.signal, fieldSelector: 'spec.width=1' };
      for await (const { type } of admin.watch(v2, options)) {
        if (type === 'BOOKMARK') continue;
        seen.push(type);
        if (seen.length === 1) begun();
        if (seen.length === 3) break;
      }
    })();
    await beginning;
    await admin.patch(v1, 'e', 'merge', { spec: { size: '2x1' } }, { namespace });
    await admin.patch(v1, 'e', 'merge', { spec: { size: '1x2' } }, { namespace });
    await watching;
    ends.abort();
    assert.deepEqual(seen, ['ADDED', 'DELETED', 'ADDED']);
  });

  it('keeps what managers own across versions', async () => {
    const apply = (resource: typeof v1, manager: string, spec: object) =>
      admin.patch(
        resource,
        'f',
        'apply',
        {
          apiVersion: `example.com/${resource.version}`,
          kind: 'Boxe',
          metadata: { name: 'f', namespace },
          spec,
        },
        { namespace, fieldManager: manager },
      );
    await apply(v1, 'one', { size: '3x4' });
    await apply(v2, 'two', { depth: 2 });
    const { metadata } = await admin.get(v1, 'f', { namespace });
    assert.deepEqual(
      metadata.managedFields?.map(({ manager, apiVersion }) => [manager, apiVersion]),
      [
        ['one', 'example.com/v1'],
        ['two', 'example.com/v2'],
      ],
    );
    await assert.rejects(
      apply(v2, 'two', { width: 5, height: 5 }),
      (error: StatusError) => error.code === 409,
    );
  });

  const store = async (name: string): Promise<void> => {
    const current = structuredClone(await admin.get(crds, 'boxes.example.com'));
    for (const each of current.spec.versions) each.storage = each.name === name;
    await redefine(admin, current);
  };

  it('brings old objects to a new storage version when they are written', async () => {
    await admin.create(v1, box('g', { size: '3x4' }));
    await store('v2');
    webhook.reviews.length = 0;
    assert.deepEqual(await specOf(v1, 'g'), { size: '3x4' });
    assert.equal(webhook.reviews.length, 0, 'it still lies in the store as v1');
    assert.deepEqual(await specOf(v2, 'g'), { width: 3, height: 4, depth: 1 });
    await admin.patch(v1, 'g', 'merge', { metadata: { finalizers: ['example.com/hold'] } }, { namespace });
    webhook.reviews.length = 0;
    assert.deepEqual(await specOf(v2, 'g'), { width: 3, height: 4, depth: 1 });
    assert.equal(webhook.reviews.length, 0, 'it lies in the store as v2');
    await admin.delete(v1, 'g', { namespace });
    assert.ok((await admin.get(v1, 'g', { namespace })).metadata.deletionTimestamp);
    await admin.patch(v1, 'g', 'merge', { metadata: { finalizers: null } }, { namespace });
    await admin.create(v2, box('h', { width: 1, height: 2 }));
    await store('v1');
    assert.deepEqual(await specOf(v1, 'h'), { size: '1x2' });
    await admin.delete(v1, 'h', { namespace });
  });

  const good = (review: Review): Record<string, unknown> => convert(review);
  const first = (review: Review): Custom => (good(review)['convertedObjects'] as Custom[])[0] as Custom;
  const answering = (object: unknown): Record<string, unknown> => ({
    result: { status: 'Success' },
    convertedObjects: [object],
  });
  const failures: Array<[string, (review: Review) => Record<string, unknown>, string]> = [
    ['a failure', () => ({ result: { status: 'Failure', message: 'no idea' } }), 'failed: no idea'],
    ['no status', () => ({ convertedObjects: [] }), "failed: response.result.status was '', not 'Success'"],
    ['another uid', (review) => ({ ...good(review), uid: 'x' }), 'got "x"'],
    [
      'too few objects',
      () => ({ result: { status: 'Success' }, convertedObjects: [] }),
      'returned 0 objects, expected 1',
    ],
    [
      'another version',
      ({ request }) => answering((request['objects'] as Custom[])[0]),
      'returned invalid converted object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)',
    ],
    [
      'another kind',
      (review) => answering({ ...first(review), kind: 'Crate' }),
      'returned invalid converted object at index 0: invalid kind (expected Boxe, received Crate)',
    ],
    [
      'another name',
      (review) => answering({ ...first(review), metadata: { ...first(review).metadata, name: 'x' } }),
      'returned invalid converted object at index 0: must have the same name: i != x',
    ],
    [
      'another uid of the object',
      (review) => answering({ ...first(review), metadata: { ...first(review).metadata, uid: 'x' } }),
      ' != x',
    ],
    [
      'labels that are no texts',
      (review) => answering({ ...first(review), metadata: { ...first(review).metadata, labels: { a: 1 } } }),
      'returned invalid metadata in object at index 0: metadata.labels[a] must be a string, but is int64 in converted object',
    ],
    [
      'labels that are none',
      (review) =>
        answering({ ...first(review), metadata: { ...first(review).metadata, labels: { 'a b': '' } } }),
      'returned invalid metadata in object at index 0: metadata.labels: Invalid value: "a b"',
    ],
  ];
  for (const [what, answer, why] of failures)
    it(`refuses ${what}`, async () => {
      await admin.create(v1, box('i', { size: '3x4' }));
      webhook.answer(answer);
      const at = (error: unknown): boolean => {
        assert.ok(error instanceof StatusError);
        assert.equal(error.code, 500);
        assert.ok(
          error.message.startsWith('conversion webhook for example.com/v1, Kind=Boxe '),
          error.message,
        );
        assert.ok(error.message.includes(why), error.message);
        return true;
      };
      await assert.rejects(admin.get(v2, 'i', { namespace }), at);
      await assert.rejects(admin.list(v2, { namespace }), at);
      await assert.rejects(admin.list(v2, { namespace, labelSelector: 'shown' }), at);
      await assert.rejects(async () => {
        for await (const event of admin.watch(v2, { namespace })) assert.fail(event.type);
      }, at);
      assert.deepEqual(await specOf(v1, 'i'), { size: '3x4' });
    });
});
