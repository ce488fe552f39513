import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMemberlistConfig } from './settings-file.ts';
import { GossipSettingsError, gossipSettings } from './settings.ts';

const metallbFile = {
  TCPTimeout: '10s',
  IndirectChecks: 3,
  RetransmitMult: 4,
  SuspicionMult: 3,
  SuspicionMaxTimeoutMult: 6,
  PushPullInterval: '1m30s',
  ProbeTimeout: '200ms',
  ProbeInterval: '0.5s',
  DisableTcpPings: true,
  AwarenessMaxMultiplier: 8,
  GossipNodes: 3,
  GossipInterval: '100ms',
  GossipToTheDeadTime: '30s',
  GossipVerifyIncoming: true,
  GossipVerifyOutgoing: true,
  EnableCompression: false,
  HandoffQueueDepth: 1024,
  UDPBufferSize: 1200,
  QueueCheckInterval: '30s',
};

test("MetalLB's file of memberlist's settings is read, with Go's durations", () => {
  const { settings, compression } = parseMemberlistConfig(JSON.stringify(metallbFile));
  assert.equal(compression, false);
  assert.equal(settings.suspicionMult, 3);
  assert.equal(settings.pushPullIntervalMs, 90_000);
  assert.equal(settings.probeIntervalMs, 500);
  assert.equal(settings.probeTimeoutMs, 200);
  assert.equal(settings.disableTcpPings, true);
  assert.equal(settings.packetBytes, 1200);
});

test('a broken file is refused with the name of the field', () => {
  const refused = (change: object, message: RegExp): void => {
    const text = JSON.stringify({ ...metallbFile, ...change });
    assert.throws(() => parseMemberlistConfig(text), { name: 'GossipSettingsError', message });
  };
  refused({ GossipNodes: undefined }, /lacks GossipNodes/);
  refused({ ProbeInterval: 5 }, /ProbeInterval .* is 5: need a duration/);
  refused({ ProbeInterval: '5 seconds' }, /ProbeInterval/);
  refused({ DisableTcpPings: 'no' }, /DisableTcpPings .*need true or false/);
  refused({ SuspicionMult: 1.5 }, /SuspicionMult .*need a whole number/);
  refused({ ProbeTimeout: '1s' }, /probeTimeoutMs \(1000\) is above probeIntervalMs \(500\)/);
  assert.throws(() => parseMemberlistConfig('{'), /not JSON/);
  assert.throws(() => parseMemberlistConfig('[]'), /not a JSON object/);
});

test('each profile is one that works, and an impossible change is named', () => {
  for (const profile of ['lan', 'wan', 'local'] as const) gossipSettings(profile);
  assert.throws(() => gossipSettings('lan', { probeIntervalMs: 0 }), GossipSettingsError);
  assert.throws(() => gossipSettings('lan', { packetBytes: 70_000 }), /packetBytes/);
});
