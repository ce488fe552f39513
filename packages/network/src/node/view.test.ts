import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node } from '@cloudless/kube/types/core-v1';
import { nodeViewOf } from './view.ts';

const node = (name: string, ...addresses: Array<[string, string]>): Node => ({
  metadata: { name },
  status: { addresses: addresses.map(([type, address]) => ({ type, address })) },
});

describe('the nodes’ addresses as one of them sees them', () => {
  it('its own are the one it was given and those of its Node that are on its interfaces', () => {
    const view = nodeViewOf({
      name: 'a',
      nodeIp: '192.0.2.1',
      nodes: [
        node(
          'a',
          ['Hostname', 'a'],
          ['InternalIP', '192.0.2.1'],
          ['ExternalIP', '198.51.100.1'],
          ['InternalIP', 'FD00:0::1'],
        ),
        node('b', ['InternalIP', '192.0.2.2'], ['InternalIP', 'none } ; flush']),
      ],
      assigned: new Set(['192.0.2.1', 'fd00::1', '192.0.2.2', '10.0.0.1']),
    });
    assert.deepEqual(view.addresses, ['192.0.2.1', 'fd00::1']);
    assert.deepEqual([...view.addressesOfNodes].sort(), [
      '192.0.2.1',
      '192.0.2.2',
      '198.51.100.1',
      'fd00::1',
    ]);
  });

  it('without a Node yet there is the one it was given', () => {
    const view = nodeViewOf({ name: 'a', nodeIp: '192.0.2.1', nodes: [], assigned: new Set() });
    assert.deepEqual([view.addresses, [...view.addressesOfNodes]], [['192.0.2.1'], ['192.0.2.1']]);
  });
});
