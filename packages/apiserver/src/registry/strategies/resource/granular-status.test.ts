import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  AllocatedDeviceStatus,
  ResourceClaim,
  ResourceClaimStatus,
} from '@cloudless/kube/types/resource-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { StrategyContext } from '../../strategy.ts';
import { judgeStatusWriter } from './granular-status.ts';

const node = 'worker';
const plugin: UserInfo = {
  name: 'system:serviceaccount:drivers:gpu',
  groups: [],
  extra: { 'authentication.kubernetes.io/node-name': [node] },
};

/** A context in which only what is listed is allowed, as `VERB SUBRESOURCE NAMESPACE/NAME`. */
const contextOf = (allowed: readonly string[], user: UserInfo = plugin): StrategyContext =>
  ({
    user,
    verb: 'patch',
    namespace: 'ns',
    refusalOf: (asked: { verb: string; subresource: string; namespace: string; name: string }) => {
      const text = `${asked.verb} ${asked.subresource} ${asked.namespace}/${asked.name}`;
      return allowed.includes(text) ? undefined : `not ${text}`;
    },
  }) as unknown as StrategyContext;

const allocatedTo = (name: string): NonNullable<ResourceClaimStatus['allocation']> => ({
  nodeSelector: {
    nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
  },
});
const device = (driver: string, data?: object): AllocatedDeviceStatus =>
  ({ driver, pool: 'p', device: 'd', ...(data ? { data } : {}) }) as AllocatedDeviceStatus;
const claim = (status: ResourceClaimStatus): ResourceClaim => ({ metadata: { name: 'c' }, spec: {}, status });
const judge = (
  context: StrategyContext,
  now: ResourceClaimStatus,
  old: ResourceClaimStatus = { allocation: allocatedTo(node) },
): string[] =>
  judgeStatusWriter(context, claim(now), claim(old)).map(({ field, message }) => `${field}: ${message}`);

describe('the writer of a claim’s status', () => {
  it('needs nothing more for what stays as it is', () => {
    const status = { allocation: allocatedTo(node), devices: [device('a')] };
    assert.deepEqual(judge(contextOf([]), status, structuredClone(status)), []);
  });

  it('may allocate and reserve with the right to bind', () => {
    const bind = contextOf(['patch binding /']);
    const reservedFor = [{ resource: 'pods', name: 'p', uid: 'u' }];
    assert.deepEqual(judge(bind, { allocation: allocatedTo(node) }, {}), []);
    assert.deepEqual(judge(bind, { allocation: allocatedTo(node), reservedFor }), []);
    assert.deepEqual(judge(contextOf([]), { allocation: allocatedTo(node), reservedFor }), [
      'status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="patch" permission: not patch binding /',
    ]);
  });

  it('may report on devices of each driver that it has the right for', () => {
    const status = { allocation: allocatedTo(node), devices: [device('b'), device('a')] };
    const any = contextOf(['arbitrary-node:patch driver ns/a', 'associated-node:patch driver ns/b']);
    assert.deepEqual(judge(any, status), []);
    const refused = ['a', 'b'].map(
      (name) =>
        `status.devices: Forbidden: changing status.devices requires resource="resourceclaims/driver", verb="[associated-node:patch arbitrary-node:patch]" permission: not associated-node:patch driver ns/${name}`,
    );
    assert.deepEqual(judge(contextOf([]), status), refused);
  });

  it('is on the claim’s node only by the one token of a service account for it', () => {
    const rights = ['associated-node:patch driver ns/a'];
    const status = (name: string) => ({ allocation: allocatedTo(name), devices: [device('a')] });
    const refused = (user: UserInfo, name = node): boolean =>
      judge(contextOf(rights, user), status(name), { allocation: allocatedTo(name) }).length > 0;
    assert.equal(refused(plugin), false);
    assert.equal(refused(plugin, 'other'), true);
    assert.equal(refused({ ...plugin, name: 'system:node:worker' }), true);
    assert.equal(refused({ ...plugin, extra: {} }), true);
    const two = { 'authentication.kubernetes.io/node-name': [node, 'other'] };
    assert.equal(refused({ ...plugin, extra: two }), true);
  });

  it('needs the right for devices that it changes or takes away, and none where nothing is allocated', () => {
    const old = { allocation: allocatedTo(node), devices: [device('a'), device('b', { x: 1 })] };
    const drivers = (now: ResourceClaimStatus): number => judge(contextOf([]), now, old).length;
    assert.equal(drivers({ ...old, devices: [device('a'), device('b', { x: 2 })] }), 1);
    assert.equal(drivers({ ...old, devices: [device('b', { x: 1 })] }), 1);
    assert.equal(judge(contextOf(['patch binding /']), {}, old).length, 0);
  });
});
