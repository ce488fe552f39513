import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { CustomResourceDefinition, JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { Catalogue, type Served } from '../registry/catalogue.ts';
import { noDescriptions } from './descriptions.ts';
import { OpenApi } from './openapi.ts';

type Json = Record<string, unknown>;
interface Whole {
  info: { version: string };
  paths: Record<string, Record<string, Json>>;
  definitions: Record<string, Json>;
  parameters: Record<string, Json>;
}
interface Part {
  paths: Record<string, Record<string, Json & { parameters?: Array<{ name: string }> }>>;
  components: { schemas: Record<string, Json & { properties: Record<string, Json> }> };
}

function openApi(catalogue = new Catalogue()): OpenApi {
  return new OpenApi({ catalogue, gitVersion: 'v1.36.0+test', descriptions: noDescriptions });
}

async function bytesOf(api: OpenApi, path: string, accept = '', query = ''): Promise<Buffer> {
  const answer = await api.respond(path, new URLSearchParams(query), accept);
  assert.ok(answer, path);
  const body = Buffer.from(answer.body as Uint8Array);
  return answer.encoding === 'gzip' ? gunzipSync(body) : body;
}

async function read<T>(api: OpenApi, path: string): Promise<T> {
  return JSON.parse((await bytesOf(api, path)).toString()) as T;
}

/** Every `$ref` of a document. */
function* refs(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    // JSONSchemaProps has a field of that name, too.
    if (key === '$ref' && typeof member === 'string') yield member;
    else yield* refs(member);
  }
}

function custom(
  schema: JSONSchemaProps,
  rest: Partial<CustomResourceDefinition['spec']> = {},
  uid = '1',
): Served {
  const version = { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } };
  const definition: CustomResourceDefinition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'crons.stable.example.com', uid, generation: 1 },
    spec: {
      group: 'stable.example.com',
      scope: 'Namespaced',
      names: { plural: 'crons', kind: 'Cron', listKind: 'CronList' },
      versions: [version],
      ...rest,
    },
  };
  const resource = {
    group: 'stable.example.com',
    version: 'v1',
    plural: 'crons',
    kind: 'Cron',
    namespaced: true,
  };
  const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
  const scale = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
  const all = ['get', 'patch', 'update'];
  return {
    resource,
    storage: resource,
    verbs,
    computed: false,
    singular: 'cron',
    shortNames: [],
    categories: [],
    subresources: new Map([
      ['status', { ...resource, name: 'status', verbs: all }],
      ['scale', { ...scale, name: 'scale', verbs: all }],
    ]),
    custom: { definition, version: definition.spec.versions[0] as typeof version, schema },
  };
}

describe('OpenAPI v3', () => {
  const api = openApi();

  it('indexes a document per group version, group and plain path, whose hash lets clients keep it', async () => {
    const { paths } = await read<{ paths: Record<string, { serverRelativeURL: string }> }>(
      api,
      '/openapi/v3',
    );
    for (const name of ['apis/apps/v1', 'apis/apps', 'api/v1', 'api', 'apis', 'version'])
      assert.ok(name in paths, name);
    const url = paths['apis/apps/v1']?.serverRelativeURL ?? '';
    assert.match(url, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{128}$/);
    const [path = '', search = ''] = url.split('?');
    const kept = await api.respond(path, new URLSearchParams(search), '');
    assert.equal(kept?.headers?.['etag'], `"${search.slice('hash='.length)}"`);
    assert.equal(kept?.headers?.['cache-control'], 'public, immutable');
    const stale = await api.respond(path, new URLSearchParams('hash=OLD'), '');
    assert.deepEqual([stale?.status, stale?.headers?.['location']], [301, url]);
    const plain = await api.respond(path, new URLSearchParams(), '');
    assert.equal(plain?.headers?.['cache-control'], undefined);
    assert.equal(await api.respond('/openapi/v3/apis/none/v1', new URLSearchParams(), ''), undefined);
  });

  it('takes what a client accepts best, and 406 when there is nothing', async () => {
    const type = async (path: string, accept: string): Promise<string | number> => {
      const answer = await api.respond(path, new URLSearchParams(), accept);
      return answer?.status ?? (answer?.contentType as string);
    };
    const v3 = '/openapi/v3/apis/batch/v1';
    const protobuf = (version: string): string =>
      `application/com.github.proto-openapi.spec.${version}.v1.0+protobuf`;
    assert.equal(await type(v3, '*/*'), 'application/json');
    assert.equal(
      await type(v3, 'application/com.github.proto-openapi.spec.v3@v1.0+protobuf'),
      protobuf('v3'),
    );
    assert.equal(await type('/openapi/v2', `application/json;q=0.5, ${protobuf('v2')}`), protobuf('v2'));
    assert.equal(
      await type('/openapi/v2', `${protobuf('v2')};q=0.2, application/*;q=0.9`),
      'application/json',
    );
    assert.equal(await type('/openapi/v2', 'text/html'), 406);
  });

  it('refers to nothing it does not hold, and says what kubectl looks for', async () => {
    for (const path of ['api/v1', 'apis/apps/v1', 'apis/apiextensions.k8s.io/v1', 'version', 'apis/apps']) {
      const document = await read<Part>(api, `/openapi/v3/${path}`);
      for (const ref of refs(document)) {
        assert.ok(ref.replace('#/components/schemas/', '') in document.components.schemas, `${path}: ${ref}`);
      }
    }
    const { paths, components } = await read<Part>(api, '/openapi/v3/apis/apps/v1');
    const deployment = components.schemas['io.k8s.api.apps.v1.Deployment'];
    assert.deepEqual(deployment?.['x-kubernetes-group-version-kind'], [
      { group: 'apps', kind: 'Deployment', version: 'v1' },
    ]);
    assert.deepEqual(deployment?.properties['spec'], {
      default: {},
      allOf: [{ $ref: '#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec' }],
    });
    const item = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'];
    assert.deepEqual(
      item?.['patch']?.parameters?.map(({ name }) => name),
      ['dryRun', 'fieldManager', 'fieldValidation', 'force'],
    );
    assert.equal(item?.['patch']?.['operationId'], 'patchAppsV1NamespacedDeployment');
    assert.equal(item?.['patch']?.['x-kubernetes-action'], 'patch');
    const pod = components.schemas['io.k8s.api.core.v1.PodSpec'];
    assert.equal(pod?.properties['containers']?.['x-kubernetes-patch-merge-key'], 'name');
    assert.deepEqual(pod?.properties['containers']?.['x-kubernetes-list-map-keys'], ['name']);
    const watches = Object.values(paths).map((each) => each['get']?.['x-kubernetes-action']);
    assert.ok(watches.includes('watchlist') && watches.includes('watch'));
  });
});

describe('OpenAPI v2', () => {
  it('is one document of everything, without defaults, parameters shared', async () => {
    const api = openApi();
    const document = await read<Whole & { swagger: string }>(api, '/openapi/v2');
    assert.equal(document.swagger, '2.0');
    assert.equal(document.info.version, '1.36');
    for (const ref of refs(document)) {
      const [, section = '', name = ''] = ref.slice(1).split('/');
      assert.ok(name in document[section as 'definitions' | 'parameters'], ref);
    }
    const spec = document.definitions['io.k8s.api.apps.v1.Deployment']?.['properties'] as Json;
    assert.deepEqual(spec['spec'], { $ref: '#/definitions/io.k8s.api.apps.v1.DeploymentSpec' });
    assert.deepEqual(document.definitions['io.k8s.apimachinery.pkg.util.intstr.IntOrString'], {
      format: 'int-or-string',
      type: 'string',
    });
    // kubectl up to 1.27 looks for the parameters in the operation itself.
    const post = document.paths['/api/v1/namespaces/{namespace}/pods']?.['post']?.['parameters'] as Json[];
    assert.ok(post.some(({ name }) => name === 'fieldValidation'));
  });

  it('is in protobuf, too', async () => {
    const bytes = await bytesOf(
      openApi(),
      '/openapi/v2',
      'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
    );
    // Field 1, three bytes: `2.0`.
    assert.deepEqual([...bytes.subarray(0, 5)], [0x0a, 3, ...Buffer.from('2.0')]);
    assert.ok(bytes.includes('io.k8s.api.core.v1.Pod'));
  });
});

describe('custom kinds in OpenAPI', () => {
  const schema: JSONSchemaProps = {
    type: 'object',
    description: 'A schedule.',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['schedule', 'note'],
        properties: {
          schedule: { type: 'string', pattern: '^.+$', default: '* * * * *' },
          note: { type: 'string', nullable: true },
          paused: { type: 'boolean', default: false, nullable: false },
          port: { 'x-kubernetes-int-or-string': true },
          anything: {
            type: 'object',
            'x-kubernetes-preserve-unknown-fields': true,
            properties: { a: { type: 'string' } },
          },
          template: {
            type: 'object',
            'x-kubernetes-embedded-resource': true,
            properties: { spec: { type: 'object' } },
          },
          choice: { type: 'string', oneOf: [{ pattern: '^a' }, { pattern: '^b' }] },
        },
      },
    },
  };
  const catalogue = new Catalogue();
  const api = openApi(catalogue);
  const at = '/openapi/v3/apis/stable.example.com/v1';

  it('appear and go with the catalogue, and leave other documents as they are', async () => {
    const hashOf = async (path: string): Promise<string | undefined> =>
      (await api.respond(path, new URLSearchParams(), ''))?.headers?.['etag'];
    const [apps, whole] = [await hashOf('/openapi/v3/apis/apps/v1'), await hashOf('/openapi/v2')];
    assert.equal(await hashOf(at), undefined);
    catalogue.replaceCustom([custom(schema)]);
    const first = await hashOf(at);
    assert.ok(first);
    assert.equal(await hashOf('/openapi/v3/apis/apps/v1'), apps);
    assert.notEqual(await hashOf('/openapi/v2'), whole);
    catalogue.replaceCustom([custom(schema, {}, '2')]);
    assert.notEqual(await hashOf(at), first);
    catalogue.replaceCustom([]);
    assert.equal(await hashOf(at), undefined);
    assert.equal(await hashOf('/openapi/v2'), whole);
  });

  it('are published in v3 as they are written, with what every object has', async () => {
    catalogue.replaceCustom([custom(schema)]);
    const { paths, components } = await read<Part>(api, at);
    const kind = components.schemas['com.example.stable.v1.Cron'];
    assert.equal(kind?.['description'], 'A schedule.');
    assert.deepEqual(Object.keys(kind?.properties ?? {}).sort(), ['apiVersion', 'kind', 'metadata', 'spec']);
    const spec = kind?.properties['spec'] as { properties: Record<string, Json> };
    assert.deepEqual(spec.properties['schedule'], schema.properties?.['spec']?.properties?.['schedule']);
    assert.deepEqual(spec.properties['note'], { type: 'string', nullable: true });
    assert.deepEqual(spec.properties['paused'], { type: 'boolean', default: false });
    assert.deepEqual(spec.properties['port']?.['anyOf'], [{ type: 'integer' }, { type: 'string' }]);
    assert.deepEqual(spec.properties['choice']?.['oneOf'], [{ pattern: '^a' }, { pattern: '^b' }]);
    assert.deepEqual(spec.properties['template']?.['required'], ['kind', 'apiVersion']);
    const template = spec.properties['template'] as { properties: Json };
    assert.ok('metadata' in template.properties);
    assert.deepEqual(components.schemas['com.example.stable.v1.CronList']?.['required'], ['items']);
    const item = '/apis/stable.example.com/v1/namespaces/{namespace}/crons/{name}';
    assert.deepEqual(
      Object.keys(paths).sort(),
      [
        '/apis/stable.example.com/v1/crons',
        '/apis/stable.example.com/v1/namespaces/{namespace}/crons',
        item,
        `${item}/scale`,
        `${item}/status`,
      ].sort(),
    );
    assert.equal(paths[item]?.['delete']?.['operationId'], 'deleteStableExampleComV1NamespacedCron');
    for (const ref of refs({ paths, components }))
      assert.ok(ref.replace('#/components/schemas/', '') in components.schemas, ref);
  });

  it('say in v2 no more than it can', async () => {
    catalogue.replaceCustom([custom(schema)]);
    const document = await read<Whole>(api, '/openapi/v2');
    const kind = document.definitions['com.example.stable.v1.Cron'] as { properties: Record<string, Json> };
    const spec = kind.properties['spec'] as { required: string[]; properties: Record<string, Json> };
    assert.deepEqual(spec.required, ['schedule']);
    assert.deepEqual(spec.properties['schedule'], { type: 'string', pattern: '^.+$' });
    assert.deepEqual(spec.properties['note'], {});
    assert.deepEqual(spec.properties['port'], { 'x-kubernetes-int-or-string': true });
    assert.deepEqual(spec.properties['anything'], { 'x-kubernetes-preserve-unknown-fields': true });
    assert.deepEqual(spec.properties['choice'], { type: 'string' });
  });

  it('that keep all unknown fields are an object in v2, nothing more', async () => {
    catalogue.replaceCustom([custom({ ...schema, 'x-kubernetes-preserve-unknown-fields': true }, {}, '3')]);
    const document = await read<Whole>(api, '/openapi/v2');
    assert.deepEqual(Object.keys(document.definitions['com.example.stable.v1.Cron'] ?? {}), [
      'type',
      'x-kubernetes-group-version-kind',
    ]);
  });
});
