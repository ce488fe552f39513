import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import { NftMaps } from '../testing/nft-maps.ts';
import type { Attachment } from './attachments.ts';
import { hostPortChange, hostPortContent } from './host-ports.ts';

const arbitraryAttachment: fc.Arbitrary<Attachment> = fc
  .record({
    id: fc.integer({ min: 1, max: 6 }),
    hostPorts: fc.array(
      fc.record({
        hostPort: fc.constantFrom(80, 443),
        containerPort: fc.constantFrom(8080, 8443),
        protocol: fc.constantFrom('tcp' as const, 'udp' as const),
        hostIp: fc.constantFrom('', '192.0.2.10'),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ id, hostPorts }) => ({
    containerId: `c${id}`,
    ifName: 'eth0',
    hostInterface: `cl${id}`,
    ip: `10.244.0.${id}`,
    netns: '/run/netns/x',
    pod: `a/${id}`,
    hostPorts,
  }));

describe('host ports', () => {
  it('any change leads where a fresh build does, also when pods ask for the same port', () => {
    const pods = fc.uniqueArray(arbitraryAttachment, { maxLength: 5, selector: (pod) => pod.containerId });
    fc.assert(
      fc.property(fc.array(pods, { minLength: 1, maxLength: 6 }), (states) => {
        const kernel = new NftMaps();
        let before: Attachment[] = [];
        for (const after of states) {
          kernel.run(hostPortChange(before, after));
          const fresh = new NftMaps();
          fresh.run(hostPortContent(after).elements.join('\n'));
          assert.deepEqual(kernel.content(), fresh.content());
          before = after;
        }
      }),
      { numRuns: 300 },
    );
  });

  it('nothing changes: nothing is run', () => {
    const pod: Attachment = {
      containerId: 'c',
      ifName: 'eth0',
      hostInterface: 'cl1',
      ip: '10.244.0.1',
      netns: '/run/netns/x',
      pod: 'a/b',
      hostPorts: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIp: '' }],
    };
    assert.equal(hostPortChange([pod], [pod]), '');
  });
});
