import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Frontend } from './model.ts';
import { parseFlows, staleFlowsOf } from './conntrack.ts';

// As `conntrack -L -p udp` of conntrack-tools 1.4.7 prints them.
const listing = `udp      17 28 src=10.244.1.5 dst=10.96.0.10 sport=40000 dport=53 src=10.244.1.9 dst=10.244.1.5 sport=10053 dport=40000 mark=0 use=1
udp      17 175 src=10.244.1.6 dst=10.96.0.10 sport=40001 dport=53 src=10.244.1.8 dst=10.244.1.6 sport=10053 dport=40001 [ASSURED] mark=0 use=1
udp      17 28 src=10.244.1.5 dst=192.0.2.53 sport=40002 dport=53 [UNREPLIED] src=192.0.2.53 dst=10.244.1.5 sport=53 dport=40002 mark=0 use=1
`;
const dns: Frontend = {
  ip: '10.96.0.10',
  protocol: 'udp',
  port: 53,
  endpoints: [{ ip: '10.244.1.8', port: 10053 }],
  outside: 'same',
};

describe('UDP flows that became stale while no agent looked', () => {
  it('are those to a frontend that lead to none of its endpoints', () => {
    const flows = parseFlows(listing);
    assert.equal(flows.length, 3);
    assert.deepEqual(staleFlowsOf(flows, [dns]), [
      { ip: '10.96.0.10', port: 53, endpoint: { ip: '10.244.1.9', port: 10053 } },
    ]);
  });

  it('flows to anything else are left alone', () => {
    assert.deepEqual(staleFlowsOf(parseFlows(listing), [{ ...dns, ip: '10.96.0.11' }]), []);
    assert.deepEqual(staleFlowsOf(parseFlows(listing), [{ ...dns, protocol: 'tcp' }]), []);
    assert.deepEqual(parseFlows('conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.\n'), []);
  });
});
