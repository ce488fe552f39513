import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node } from '@cloudless/kube/types/core-v1';
import { routesOf } from './routes.ts';

const node = (name: string, podCIDR: string | undefined, addresses: string[]): Node => ({
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR] },
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
});
const routes = (...nodes: Node[]): string[] =>
  routesOf(nodes, 'self', ['10.244.0.0/16']).map(({ cidr, via }) => `${cidr} via ${via}`);

describe('routes to other nodes’ pods', () => {
  it('one per node and block, none to this node’s own', () => {
    assert.deepEqual(
      routes(
        node('b', '10.244.2.0/24', ['192.0.2.12']),
        node('self', '10.244.0.0/24', ['192.0.2.10']),
        node('a', '10.244.1.0/24', ['192.0.2.11']),
      ),
      ['10.244.1.0/24 via 192.0.2.11', '10.244.2.0/24 via 192.0.2.12'],
    );
  });

  it('a node without block or address waits', () => {
    assert.deepEqual(routes(node('a', undefined, ['192.0.2.11']), node('b', '10.244.2.0/24', [])), []);
  });

  it('uses the IPv4 address of a node that has both', () => {
    assert.deepEqual(routes(node('a', '10.244.1.0/24', ['fd00::1', '192.0.2.11'])), [
      '10.244.1.0/24 via 192.0.2.11',
    ]);
  });

  it('a node that claims blocks outside the pods’, or hides commands in its address, gets no route', () => {
    assert.deepEqual(
      routes(
        node('a', '0.0.0.0/0', ['192.0.2.11']),
        node('b', '192.0.2.0/24', ['192.0.2.12']),
        node('c', '10.244.3.0/24', ['192.0.2.13\nlink del eth0']),
        node('d', '10.244.4.0/24\nlink del eth0', ['192.0.2.14']),
      ),
      [],
    );
  });
});
