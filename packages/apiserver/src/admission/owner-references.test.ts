import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';
import type { Attributes } from '../request/info.ts';
import { OwnerReferencesPermissionEnforcement } from './owner-references.ts';

const owner: OwnerReference = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u' };
const configMap = (owners: OwnerReference[]) => ({
  metadata: { name: 'c', namespace: 'n', ownerReferences: owners },
});

/** Asks as somebody who may do what `allowed` names. */
function ask(allowed: readonly string[], owners: OwnerReference[], before?: OwnerReference[]): void {
  const authorize = ({ verb, resource, subresource, name }: Attributes) => {
    const asked = [verb, subresource === '' ? resource : `${resource}/${subresource}`, name].join(' ');
    return { verdict: allowed.includes(asked) ? ('allow' as const) : ('no-opinion' as const), reason: '' };
  };
  new OwnerReferencesPermissionEnforcement({ authorizer: { authorize } }).validate({
    operation: before ? 'UPDATE' : 'CREATE',
    user: { name: 'jo', groups: [] },
    resource: core.configmaps,
    subresource: '',
    namespace: 'n',
    name: 'c',
    object: configMap(owners),
    oldObject: before && configMap(before),
    options: {},
    dryRun: false,
    transaction: undefined,
    warn: () => {},
  });
}

describe('OwnerReferencesPermissionEnforcement', () => {
  it('lets creators name an owner, and others leave it as it is', () => {
    ask([], [owner]);
    ask([], [owner], [owner]);
  });

  it('asks for delete of what gets an owner', () => {
    assert.throws(() => ask([], [owner], []), /cannot set an ownerRef on a resource you can't delete/);
    ask(['delete configmaps c'], [owner], []);
  });

  it('asks for finalizers of an owner that is held up', () => {
    const blocking = { ...owner, blockOwnerDeletion: true };
    assert.throws(() => ask([], [blocking]), /a resource you can't set finalizers on/);
    ask(['update replicasets/finalizers rs'], [blocking]);
    ask(['delete configmaps c'], [blocking], [{ ...blocking, controller: true }]);
    assert.throws(
      () => ask([], [{ ...blocking, kind: 'Unheard' }]),
      /cannot find RESTMapping for APIVersion apps\/v1 Kind Unheard/,
    );
  });
});
