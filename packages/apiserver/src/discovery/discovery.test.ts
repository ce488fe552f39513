import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { catalogue as known } from '@cloudless/kube/schema/catalogue';
import { OpenApi } from '../openapi/openapi.ts';
import { Catalogue } from '../registry/catalogue.ts';
import { Discovery } from './discovery.ts';

interface ResourceList {
  groupVersion: string;
  resources: Array<{ name: string; kind: string; verbs: string[]; namespaced: boolean; group?: string }>;
}
interface Aggregated {
  items: Array<{
    metadata: { name?: string };
    versions: Array<{
      version: string;
      resources: Array<{ resource: string; subresources?: Array<{ subresource: string }> }>;
    }>;
  }>;
}

const discovery = new Discovery(new Catalogue());

describe('discovery', () => {
  it('lists groups, versions and resources as upstream does', () => {
    assert.deepEqual((discovery.plain('/api') as { versions: string[] }).versions, ['v1']);
    const groups = discovery.plain('/apis') as {
      groups: Array<{ name: string; preferredVersion: { version: string } }>;
    };
    assert.equal(groups.groups.find(({ name }) => name === 'autoscaling')?.preferredVersion.version, 'v2');
    const apps = discovery.plain('/apis/apps/v1') as ResourceList;
    assert.equal(apps.groupVersion, 'apps/v1');
    const scale = apps.resources.find(({ name }) => name === 'deployments/scale');
    assert.deepEqual(
      [scale?.kind, scale?.group, scale?.verbs],
      ['Scale', 'autoscaling', ['get', 'patch', 'update']],
    );
    const core = discovery.plain('/api/v1') as ResourceList;
    assert.ok(core.resources.some(({ name }) => name === 'pods/exec'));
    for (const path of ['/api/v2', '/apis/none', '/apis/apps/v9', '/apis/apps/v1/x']) {
      assert.equal(discovery.plain(path), undefined, path);
    }
  });

  it('aggregates the same resources in one document', () => {
    for (const [path, plain] of [
      ['/api', ['/api/v1']],
      ['/apis', ['/apis/apps/v1', '/apis/batch/v1']],
    ] as const) {
      const { document, etag } = discovery.aggregated(path, 'v2') as { document: Aggregated; etag: string };
      assert.match(etag, /^[0-9A-F]{128}$/);
      for (const each of plain) {
        const list = discovery.plain(each) as ResourceList;
        const [group = '', version = ''] = list.groupVersion.includes('/')
          ? list.groupVersion.split('/')
          : ['', list.groupVersion];
        const found = document.items
          .find(({ metadata }) => (metadata.name ?? '') === group)
          ?.versions.find((candidate) => candidate.version === version);
        const names = found?.resources.flatMap(({ resource, subresources }) => [
          resource,
          ...(subresources ?? []).map(({ subresource }) => `${resource}/${subresource}`),
        ]);
        assert.deepEqual(names?.sort(), list.resources.map(({ name }) => name).sort());
      }
    }
  });

  it('serves stable versions by default, others when switched on, as --runtime-config does', () => {
    const beta = 'certificates.k8s.io/v1beta1';
    assert.ok(!new Catalogue().groupVersions.has(beta));
    assert.ok(new Catalogue([], { 'api/all': true }).groupVersions.has(beta));
    assert.ok(new Catalogue([], { [beta]: true }).groupVersions.has(beta));
    assert.ok(!new Catalogue([], { 'api/all': true, [beta]: false }).groupVersions.has(beta));
    assert.equal(
      new Catalogue([], { 'batch/v1/cronjobs': false }).find('batch', 'v1', 'cronjobs'),
      undefined,
    );
    // Everything Kubernetes serves by default, but for what is not built yet.
    const catalogue = new Catalogue();
    const missing = known.filter(
      (fact) => fact.served && !catalogue.find(fact.group, fact.version, fact.plural),
    );
    assert.deepEqual(
      missing.map(({ plural }) => plural),
      ['componentstatuses'],
    );
  });
});

describe('OpenAPI', () => {
  const openApi = new OpenApi(new Catalogue(), 'v1.36.0');
  const read = (path: string): Record<string, never> => {
    const answer = openApi.respond(path, new URLSearchParams(), '');
    assert.ok(answer, path);
    return JSON.parse(Buffer.from(answer.body as Uint8Array).toString()) as Record<string, never>;
  };
  /** Every `$ref` of a document. */
  function* refs(value: unknown): Generator<string> {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      // JSONSchemaProps has a field of that name, too.
      if (key === '$ref' && typeof member === 'string') yield member;
      else yield* refs(member);
    }
  }

  it('indexes a document per group version, whose hash lets clients keep it', () => {
    const { paths } = read('/openapi/v3') as unknown as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    assert.ok('apis/apps/v1' in paths && 'api/v1' in paths);
    const url = paths['apis/apps/v1']?.serverRelativeURL ?? '';
    assert.match(url, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{128}$/);
    const [path = '', search = ''] = url.split('?');
    const answer = openApi.respond(path, new URLSearchParams(search), '');
    assert.equal(answer?.headers?.['etag'], `"${search.slice('hash='.length)}"`);
    assert.equal(openApi.respond('/openapi/v3/apis/none/v1', new URLSearchParams(), ''), undefined);
  });

  it('refers to nothing it does not hold, and says what kubectl looks for', () => {
    for (const path of [
      '/openapi/v3/api/v1',
      '/openapi/v3/apis/apps/v1',
      '/openapi/v3/apis/apiextensions.k8s.io/v1',
    ]) {
      const document = read(path) as unknown as { components: { schemas: Record<string, unknown> } };
      for (const ref of refs(document)) {
        assert.ok(ref.replace('#/components/schemas/', '') in document.components.schemas, `${path}: ${ref}`);
      }
    }
    const apps = read('/openapi/v3/apis/apps/v1') as unknown as {
      components: { schemas: Record<string, Record<string, unknown>> };
      paths: Record<
        string,
        Record<string, { parameters: Array<{ name: string }>; 'x-kubernetes-group-version-kind': object }>
      >;
    };
    assert.deepEqual(
      apps.components.schemas['io.k8s.api.apps.v1.Deployment']?.['x-kubernetes-group-version-kind'],
      [{ group: 'apps', version: 'v1', kind: 'Deployment' }],
    );
    const patch = apps.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.['patch'];
    assert.ok(patch?.parameters.some(({ name }) => name === 'fieldValidation'));
    const pod = apps.components.schemas['io.k8s.api.core.v1.PodSpec'] as {
      properties: Record<string, Record<string, unknown>>;
    };
    assert.equal(pod.properties['containers']?.['x-kubernetes-patch-merge-key'], 'name');
    assert.deepEqual(pod.properties['containers']?.['x-kubernetes-list-map-keys'], ['name']);
  });

  it('has a v2 document in JSON and in protobuf', () => {
    const document = read('/openapi/v2') as unknown as {
      swagger: string;
      definitions: Record<string, unknown>;
    };
    assert.equal(document.swagger, '2.0');
    for (const ref of refs(document))
      assert.ok(ref.replace('#/definitions/', '') in document.definitions, ref);
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const answer = openApi.respond('/openapi/v2', new URLSearchParams(), accept);
    const bytes = Buffer.from(answer?.body as Uint8Array);
    // Field 1, three bytes: `2.0`.
    assert.deepEqual([...bytes.subarray(0, 5)], [0x0a, 3, ...Buffer.from('2.0')]);
    assert.ok(bytes.includes('io.k8s.api.core.v1.Pod'));
  });
});
