import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, describe, it } from 'node:test';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import dnsPacket, { type Packet } from 'dns-packet';
import * as fc from 'fast-check';
import '@cloudless/kube/schema/seed';
import { startForwarder } from '../forward/forwarder.ts';
import { ClusterRecords } from './records.ts';
import { answerQuery } from './resolver.ts';

const slice = (
  service: string,
  endpoints: Array<{ ip: string; hostname?: string; ready?: boolean }>,
): EndpointSlice => ({
  metadata: { name: `${service}-1`, namespace: 'shop', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  endpoints: endpoints.map(({ ip, hostname, ready }) => ({
    addresses: [ip],
    ...(hostname === undefined ? {} : { hostname }),
    conditions: { ready: ready ?? true },
  })),
});

describe('cluster DNS answers', () => {
  const records = new ClusterRecords('cluster.local');
  const forwarder = startForwarder();
  const outside = createSocket('udp4');
  let outsidePort = 0;
  let synced = true;
  const ask = async (name: string, type: string, transport: 'udp' | 'tcp' = 'udp'): Promise<Packet> => {
    const query = dnsPacket.encode({
      type: 'query',
      id: 4711,
      flags: dnsPacket.RECURSION_DESIRED,
      questions: [{ type: type as 'A', name }],
    });
    const answer = await answerQuery(query, transport, {
      records,
      forwarder,
      upstreams: () => [{ host: '127.0.0.1', port: outsidePort }],
      isSynced: () => synced,
    });
    assert.ok(answer);
    const packet = dnsPacket.decode(answer);
    assert.equal(packet.id, 4711);
    return packet;
  };
  const data = (packet: Packet): unknown[] =>
    (packet.answers ?? []).map((answer) => ('data' in answer ? answer.data : undefined));
  const code = (packet: Packet): string => (packet as Packet & { rcode: string }).rcode;

  before(async () => {
    outside.on('message', (message, peer) => {
      const query = dnsPacket.decode(message);
      outside.send(
        dnsPacket.encode({
          type: 'response',
          id: query.id ?? 0,
          questions: query.questions ?? [],
          answers: [{ type: 'A', name: query.questions?.[0]?.name ?? '', ttl: 60, data: '198.51.100.7' }],
        }),
        peer.port,
        peer.address,
      );
    });
    await new Promise<void>((resolve) => outside.bind(0, '127.0.0.1', resolve));
    outsidePort = outside.address().port;
    records.set(
      'shop',
      'web',
      {
        metadata: { name: 'web', namespace: 'shop' },
        spec: {
          clusterIP: '10.96.0.20',
          clusterIPs: ['10.96.0.20', 'fd00::20'],
          ports: [{ name: 'http', port: 80 }],
        },
      },
      [],
    );
    records.set(
      'shop',
      'db',
      {
        metadata: { name: 'db', namespace: 'shop' },
        spec: { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] },
      },
      [
        slice('db', [
          { ip: '10.244.0.5', hostname: 'db-0' },
          { ip: '10.244.0.6' },
          { ip: '10.244.0.7', ready: false },
        ]),
      ],
    );
    records.set(
      'shop',
      'far',
      {
        metadata: { name: 'far', namespace: 'shop' },
        spec: { type: 'ExternalName', externalName: 'far.example.org' },
      },
      [],
    );
  });
  after(async () => {
    await forwarder.stop();
    outside.close();
  });

  it('a Service has its ClusterIPs as A and AAAA, and PTR back', async () => {
    assert.deepEqual(data(await ask('web.shop.svc.cluster.local', 'A')), ['10.96.0.20']);
    assert.deepEqual(data(await ask('web.shop.svc.cluster.local', 'AAAA')), ['fd00::20']);
    assert.deepEqual(data(await ask('20.0.96.10.in-addr.arpa', 'PTR')), ['web.shop.svc.cluster.local']);
  });

  it('keeps the case of the question (0x20) and finds the name all the same', async () => {
    const packet = await ask('WeB.shop.SVC.cluster.local', 'A');
    assert.equal(packet.questions?.[0]?.name, 'WeB.shop.SVC.cluster.local');
    assert.deepEqual(data(packet), ['10.96.0.20']);
  });

  it('a named port has a SRV record with the target’s address beside it', async () => {
    const packet = await ask('_http._tcp.web.shop.svc.cluster.local', 'SRV');
    assert.deepEqual(data(packet), [
      { priority: 0, weight: 100, port: 80, target: 'web.shop.svc.cluster.local' },
    ]);
    assert.equal(packet.additionals?.length, 2);
  });

  it('a headless Service has the addresses of its ready endpoints, and hostnames', async () => {
    assert.deepEqual(
      new Set(data(await ask('db.shop.svc.cluster.local', 'A'))),
      new Set(['10.244.0.5', '10.244.0.6']),
    );
    assert.deepEqual(data(await ask('db-0.db.shop.svc.cluster.local', 'A')), ['10.244.0.5']);
    assert.deepEqual(data(await ask('10-244-0-6.db.shop.svc.cluster.local', 'A')), ['10.244.0.6']);
    assert.deepEqual(data(await ask('5.0.244.10.in-addr.arpa', 'PTR')), ['db-0.db.shop.svc.cluster.local']);
    assert.equal(data(await ask('_sql._tcp.db.shop.svc.cluster.local', 'SRV')).length, 2);
  });

  it('an ExternalName is followed outside', async () => {
    assert.deepEqual(data(await ask('far.shop.svc.cluster.local', 'A')), ['far.example.org', '198.51.100.7']);
  });

  it('tells a missing name from a missing type, with the SOA in both', async () => {
    const missing = await ask('none.shop.svc.cluster.local', 'A');
    assert.equal(code(missing), 'NXDOMAIN');
    assert.equal(missing.authorities?.[0]?.type, 'SOA');
    const typeless = await ask('web.shop.svc.cluster.local', 'TXT');
    assert.equal(code(typeless), 'NOERROR');
    assert.equal(typeless.authorities?.[0]?.type, 'SOA');
    assert.equal(code(await ask('shop.svc.cluster.local', 'A')), 'NOERROR');
    assert.equal(code(await ask('svc.cluster.local', 'A')), 'NOERROR');
  });

  it('forwards what is not the cluster’s, and says SERVFAIL when nobody answers', async () => {
    assert.deepEqual(data(await ask('www.example.org', 'A')), ['198.51.100.7']);
    const query = dnsPacket.encode({
      type: 'query',
      id: 1,
      questions: [{ type: 'A', name: 'www.example.org' }],
    });
    const answer = await answerQuery(query, 'udp', {
      records,
      forwarder,
      upstreams: () => [],
      isSynced: () => true,
    });
    assert.equal(code(dnsPacket.decode(answer as Buffer)), 'SERVFAIL');
  });

  it('before the first sync no name is denied', async () => {
    synced = false;
    assert.equal(code(await ask('none.shop.svc.cluster.local', 'A')), 'SERVFAIL');
    synced = true;
  });

  it('truncates for UDP what only TCP can carry', async () => {
    const endpoints = Array.from({ length: 60 }, (_, i) => ({ ip: `10.244.1.${i + 1}` }));
    const service = { metadata: { name: 'big', namespace: 'shop' }, spec: { clusterIP: 'None' } };
    records.set('shop', 'big', service, [slice('big', endpoints)]);
    const udp = await ask('big.shop.svc.cluster.local', 'A');
    assert.equal((udp as Packet & { flag_tc: boolean }).flag_tc, true);
    assert.equal(udp.answers?.length, 0);
    assert.equal((await ask('big.shop.svc.cluster.local', 'A', 'tcp')).answers?.length, 60);
    records.set('shop', 'big', undefined, []);
    assert.equal(code(await ask('big.shop.svc.cluster.local', 'A')), 'NXDOMAIN');
  });

  it('survives any bytes, and answers no response', async () => {
    const options = { records, forwarder, upstreams: () => [], isSynced: () => true };
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        const answer = await answerQuery(Buffer.from(bytes), 'udp', options);
        if (answer) assert.equal(answer.readUInt16BE(2) & 0x8000, 0x8000);
        if (bytes.length >= 4 && ((bytes[2] as number) & 0x80) !== 0) assert.equal(answer, undefined);
      }),
      { numRuns: 2000 },
    );
  });
});
