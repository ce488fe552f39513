import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nodeEndpoints } from './node.ts';
import { annotated, lines, node } from './testing/objects.ts';

describe('a Node', () => {
  it('has its name at its ExternalIPs, else at its InternalIPs, else at what it is told', () => {
    const both = node('n.example.org', { InternalIP: ['2.3.4.5', '2001:db8::1'], ExternalIP: '1.2.3.4' });
    assert.deepEqual(lines(nodeEndpoints(both)), ['n.example.org A 1.2.3.4']);
    const inside = node('n.example.org', { InternalIP: ['2.3.4.5', '2001:db8::1'] });
    assert.deepEqual(lines(nodeEndpoints(inside)), [
      'n.example.org A 2.3.4.5',
      'n.example.org AAAA 2001:db8::1',
    ]);
    const told = { ...both, metadata: annotated({ target: '203.2.45.7', ttl: '5' }, 'n.example.org') };
    assert.deepEqual(lines(nodeEndpoints(told)), ['n.example.org A 203.2.45.7 ttl=5']);
    assert.deepEqual(nodeEndpoints(node('n.example.org', {})), []);
  });
});
