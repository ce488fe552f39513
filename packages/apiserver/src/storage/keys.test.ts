import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Resource } from '@cloudless/kube/object';
import { catalogue } from '@cloudless/kube/schema/catalogue';
import * as fc from 'fast-check';
import { resourceKeys, resourcePrefix } from './keys.ts';

const resource = (group: string, plural: string, namespaced = true): Resource => ({
  group,
  version: 'v1',
  plural,
  kind: 'X',
  namespaced,
});

describe('keys of stored objects', () => {
  it("are upstream's, oddities included", () => {
    const expected: Array<[Resource, string]> = [
      [resource('', 'pods'), '/registry/pods/ns/name'],
      [resource('', 'nodes', false), '/registry/minions/name'],
      [resource('', 'services'), '/registry/services/specs/ns/name'],
      [resource('', 'endpoints'), '/registry/services/endpoints/ns/name'],
      [resource('', 'replicationcontrollers'), '/registry/controllers/ns/name'],
      [resource('networking.k8s.io', 'ingresses'), '/registry/ingress/ns/name'],
      [resource('networking.k8s.io', 'ingressclasses', false), '/registry/ingressclasses/name'],
      [resource('apps', 'deployments'), '/registry/deployments/ns/name'],
      [resource('coordination.k8s.io', 'leases'), '/registry/leases/ns/name'],
      [resource('rbac.authorization.k8s.io', 'clusterroles', false), '/registry/clusterroles/name'],
      [
        resource('apiregistration.k8s.io', 'apiservices', false),
        '/registry/apiregistration.k8s.io/apiservices/name',
      ],
      [
        resource('apiextensions.k8s.io', 'customresourcedefinitions', false),
        '/registry/apiextensions.k8s.io/customresourcedefinitions/name',
      ],
    ];
    for (const [each, key] of expected) {
      assert.equal(resourceKeys('/registry', each).of(each.namespaced ? 'ns' : '', 'name'), key);
    }
    const custom = resourceKeys('/registry', resource('metallb.io', 'ipaddresspools'), true);
    assert.equal(custom.of('ns', 'name'), '/registry/metallb.io/ipaddresspools/ns/name');
  });

  it('do not collide between built-in resources', () => {
    const stored = new Map<string, string>();
    for (const fact of catalogue) {
      if (!fact.storage) continue;
      const prefix = `${resourcePrefix({ group: fact.storage.group, plural: fact.plural })}/`;
      const owner = `${fact.storage.group}/${fact.plural}`;
      assert.equal(stored.get(prefix) ?? owner, owner, `${prefix} belongs to two resources`);
      stored.set(prefix, owner);
      for (const [other, otherOwner] of stored) {
        if (otherOwner !== owner) assert.ok(!prefix.startsWith(other), `${prefix} lies below ${other}`);
      }
    }
  });

  it('parse back to namespace and name', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,20}$/);
    fc.assert(
      fc.property(name, name, (ns, each) => {
        const keys = resourceKeys('/registry/', resource('', 'pods'));
        assert.deepEqual(keys.parse(keys.of(ns, each)), { namespace: ns, name: each });
        assert.ok(keys.of(ns, each).startsWith(keys.under(ns)));
      }),
    );
    const keys = resourceKeys('/registry', resource('', 'services'));
    assert.equal(keys.parse('/registry/services/endpoints/ns/name'), undefined);
    assert.equal(keys.parse('/registry/services/specs/ns'), undefined);
    assert.equal(keys.parse('/registry/services/specs/ns/a/b'), undefined);
  });
});
