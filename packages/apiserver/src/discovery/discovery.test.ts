import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { catalogue as known } from '@cloudless/kube/schema/catalogue';
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
