import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { freePort } from '@cloudless/kube/testing/free-port';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { generateKey } from './dnssec/key.ts';
import { signingPolicyAt } from './dnssec/policy.ts';
import { zoneOfLines } from './dnssec/testing/served-zones.ts';
import { type ClusterDns, startClusterDns } from './index.ts';
import type { DnsServer } from './server/dns-server.ts';
import { everybody, startDnsServer, unlimited } from './server/server.ts';
import { type StormTarget, stormTcp, stormUdp } from './testing/packet-storm.ts';
import { createRequestHandler } from './transfer/request-handler.ts';
import { ZoneRegistry } from './zone/registry.ts';

// Broken packets against running servers: ITERATIONS of them (`npm run test:fuzz`: 1,000,000), SEED repeats a run.
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const packets = Number(process.env['ITERATIONS'] ?? 8000);
console.log(`SEED=${seed}`);
const [byUdp, byTcp] = [Math.ceil(packets * 0.4), Math.ceil(packets * 0.1)];

describe('the server of zones, under a storm of broken packets', () => {
  const zones = new ZoneRegistry();
  let server: DnsServer;
  const log = { error: failed, warn: () => {}, info: () => {}, debug: () => {} } as unknown as Logger;
  const names = [
    '',
    'example',
    'www.example',
    'WWW.exAmple',
    'x.wild.example',
    'below.cut.example',
    'a.signed',
    'nx.signed',
  ];
  const target = (): StormTarget => ({
    port: server.port,
    names,
    probe: { name: 'www.example', address: '192.0.2.80' },
    random: seededRandom(seed),
  });

  before(async () => {
    const lines = [
      'www A 192.0.2.80',
      '*.wild TXT "x"',
      'cut NS ns.cut',
      'ns.cut A 192.0.2.53',
      'alias CNAME www',
      'd DNAME example.',
    ];
    zones.publish(zoneOfLines('example', lines));
    const nowMs = Date.now();
    const keys = [generateKey({ origin: 'signed', nowMs })];
    const signing = signingPolicyAt({ keys, denial: 'compact', nowMs }).policy;
    zones.publish(zoneOfLines('signed', ['a A 192.0.2.1']), { signing });
    const nothing = {
      transfers: { allow: [], notify: [] },
      updates: { allow: [] },
      tsigKeys: [],
      secondaries: new Map(),
    };
    server = await startDnsServer({
      addresses: ['127.0.0.1'],
      port: 0,
      access: everybody,
      rateLimit: unlimited,
      zones,
      onRequest: createRequestHandler({
        zones,
        config: () => nothing,
        notified: () => {},
        log,
        clock: systemClock,
      }),
      log,
    });
    await server.settled();
  });
  after(() => server.stop());

  it(`by UDP: goes on answering, once a packet at most, and with no more than the client takes`, async () => {
    const { replies } = await stormUdp(target(), byUdp);
    assert.ok(replies > byUdp / 4, `${replies} replies to ${byUdp} packets`);
  });

  it('by TCP: goes on answering, on broken connections and on new ones', async () => {
    const { replies } = await stormTcp(target(), byTcp);
    assert.ok(replies > byTcp / 4, `${replies} replies to ${byTcp} packets`);
  });

  it('with rate limits, a storm from one network brings back hardly more than it sent', async () => {
    server.setLimits(everybody, {
      ...unlimited,
      responsesPerSecond: 20,
      errorsPerSecond: 20,
      slip: 2,
      exempt: [],
    });
    const startedMs = performance.now();
    const random = seededRandom(seed);
    // Probes would be limited like all others: those that are dropped come again by TCP.
    const { bytesSent, bytesReceived } = await stormUdp(
      { ...target(), random, isLimited: true },
      Math.ceil(byUdp / 4),
    );
    const seconds = (performance.now() - startedMs) / 1000;
    server.setLimits(everybody, unlimited);
    assert.ok(
      bytesReceived < bytesSent + 20 * (seconds + 2) * 1232,
      `${bytesReceived} for ${bytesSent}, ${seconds} s`,
    );
  });
});

describe('cluster DNS, under a storm of broken packets', () => {
  const cluster = new FakeCluster();
  const folder = mkdtempSync(join(tmpdir(), 'dns-fuzz-'));
  let dns: ClusterDns;
  let port = 0;
  const log = { error: failed, warn: () => {}, info: () => {}, debug: () => {} } as unknown as Logger;
  const names = [
    '',
    'cluster.local',
    'web.shop.svc.cluster.local',
    'none.shop.svc.cluster.local',
    'www.example',
    '20.0.96.10.in-addr.arpa',
  ];
  const target = (): StormTarget => ({
    port,
    names,
    probe: { name: 'web.shop.svc.cluster.local', address: '10.96.0.20' },
    random: seededRandom(seed),
  });

  before(async () => {
    writeFileSync(join(folder, 'resolv.conf'), '');
    await cluster.client.create(core.services, {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.20', clusterIPs: ['10.96.0.20'], ports: [{ name: 'http', port: 80 }] },
    });
    port = await freePort();
    dns = await startClusterDns({
      client: cluster.client,
      addresses: ['127.0.0.1'],
      port,
      healthPort: await freePort(),
      clusterDomain: 'cluster.local',
      resolvConf: join(folder, 'resolv.conf'),
      clusterIp: '10.96.0.10',
      log,
    });
    await dns.ready;
  });
  after(async () => {
    await dns.stop();
    rmSync(folder, { recursive: true });
  });

  it('by UDP', async () => {
    const { replies } = await stormUdp(target(), byUdp);
    assert.ok(replies > byUdp / 4, `${replies} replies to ${byUdp} packets`);
  });

  it('by TCP', async () => {
    const { replies } = await stormTcp(target(), byTcp);
    assert.ok(replies > byTcp / 4, `${replies} replies to ${byTcp} packets`);
  });
});

/** Nothing that a client sends is an error of ours. */
function failed(details: unknown, message?: string): void {
  throw new Error(`${message}: ${JSON.stringify(details)}`);
}
