import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '@cloudless/kube/testing/free-port';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { type ClusterDns, startClusterDns } from './index.ts';

const run = promisify(execFile);
const silent = { error: () => {}, warn: () => {}, debug: () => {}, info: () => {} } as unknown as Logger;

describe('cluster DNS as dig sees it', () => {
  const cluster = new FakeCluster();
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
  let [port, healthPort] = [0, 0];
  let dns: ClusterDns;
  const start = (): Promise<ClusterDns> =>
    startClusterDns({
      client: cluster.client,
      addresses: ['127.0.0.1'],
      port,
      healthPort,
      clusterDomain: 'cluster.local',
      resolvConf: join(folder, 'resolv.conf'),
      clusterIp: '10.96.0.10',
      log: silent,
    });
  const dig = async (...args: string[]): Promise<string> =>
    (await run('dig', ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=3', ...args])).stdout;
  const short = async (...args: string[]): Promise<string[]> =>
    (await dig('+short', ...args)).trim().split('\n').filter(Boolean);
  /** A response of the health port. */
  const health = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${healthPort}${path}`);
    return [response.status, await response.text()];
  };
  before(async () => {
    [port, healthPort] = [await freePort(), await freePort()];
    writeFileSync(join(folder, 'resolv.conf'), '');
    await cluster.client.create(core.services, {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.20', clusterIPs: ['10.96.0.20'], ports: [{ name: 'http', port: 80 }] },
    });
    dns = await start();
    await dns.ready;
  });
  after(async () => {
    await dns.stop();
    rmSync(folder, { recursive: true });
  });

  it('answers by UDP and TCP, with cookies and EDNS as dig sends them', async () => {
    assert.deepEqual(await short('web.shop.svc.cluster.local'), ['10.96.0.20']);
    assert.deepEqual(await short('+tcp', 'web.shop.svc.cluster.local'), ['10.96.0.20']);
    assert.deepEqual(await short('SRV', '_http._tcp.web.shop.svc.cluster.local'), [
      '0 100 80 web.shop.svc.cluster.local.',
    ]);
    assert.deepEqual(await short('-x', '10.96.0.20'), ['web.shop.svc.cluster.local.']);
    assert.match(await dig('web.shop.svc.cluster.local'), /status: NOERROR[\s\S]*flags: qr aa rd ra;/);
  });

  it('says what it does not do in the codes for it', async () => {
    assert.match(await dig('+edns=1', '+noednsneg', 'web.shop.svc.cluster.local'), /status: BADVERS/);
    assert.match(await dig('AXFR', 'cluster.local', '+noquestion'), /Transfer failed|REFUSED/);
    assert.match(await dig('CH', 'TXT', 'version.bind'), /status: REFUSED/);
    assert.match(await dig('+opcode=NOTIFY', 'cluster.local'), /status: NOTIMP/);
    assert.match(await dig('none.shop.svc.cluster.local'), /status: NXDOMAIN[\s\S]*SOA/);
    assert.match(await dig('www.example.org'), /status: SERVFAIL/);
    assert.match(await dig('+dnssec', 'web.shop.svc.cluster.local'), /flags: do/);
  });

  it('follows changes, and outlives Services that DNS cannot hold', async () => {
    await cluster.client.create(core.services, {
      metadata: { name: 'long', namespace: 'shop' },
      spec: { type: 'ExternalName', externalName: `${'x'.repeat(80)}.example.org` },
    });
    await cluster.client.create(core.services, {
      metadata: { name: 'named', namespace: 'shop' },
      spec: { clusterIP: 'None', ports: [{ name: 'p'.repeat(63), port: 1 }] },
    });
    await cluster.client.create(discovery.endpointslices, {
      metadata: { name: 'named-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'named' } },
      addressType: 'FQDN',
      ports: [{ name: 'p'.repeat(63), port: 1 }],
      endpoints: [{ addresses: ['not.an.address.example'] }],
    });
    await cluster.client.create(core.services, {
      metadata: { name: 'last', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.21' },
    });
    const endMs = performance.now() + 5000;
    while ((await short('last.shop.svc.cluster.local'))[0] !== '10.96.0.21')
      assert.ok(performance.now() < endMs, 'the last Service was never seen');
    assert.match(await dig('long.shop.svc.cluster.local'), /status: NOERROR[\s\S]*ANSWER: 0/);
    // Without a ready endpoint a headless Service does not exist (specification section 2.4.1).
    assert.match(await dig('named.shop.svc.cluster.local'), /status: NXDOMAIN/);
  });

  it('follows the Corefile of kube-system/coredns; a bad one leaves the last good one, and both are told', async () => {
    const answers = async (name: string, wanted: string[]): Promise<void> => {
      const endMs = performance.now() + 5000;
      while ((await short(name)).join() !== wanted.join())
        assert.ok(performance.now() < endMs, `${name} never became ${wanted.join()}`);
    };
    const corefile = (address: string, more = ''): string =>
      `. {\n  hosts {\n    ${address} own.example\n    fallthrough\n  }\n  kubernetes cluster.local\n${more}}\n`;
    const put = async (text: string): Promise<void> => {
      const current = await cluster.client.get(core.configmaps, 'coredns', { namespace: 'kube-system' });
      await cluster.client.update(core.configmaps, { ...current, data: { Corefile: text } });
    };
    await cluster.client.create(core.configmaps, {
      metadata: { name: 'coredns', namespace: 'kube-system' },
      data: { Corefile: corefile('192.0.2.1', '  autopath\n') },
    });
    await answers('own.example', ['192.0.2.1']);
    await put('. {\n  hosts {\n');
    const endMs = performance.now() + 5000;
    let reasons: string[] = [];
    while (reasons.length < 2) {
      const { items } = await cluster.client.list(core.events, { namespace: 'kube-system' });
      reasons = items.map((event) => `${event.reason}: ${event.message}`).sort();
      assert.ok(performance.now() < endMs, reasons.join('\n'));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match(
      reasons[0] ?? '',
      /^CorefileInvalid: Not used, the last good one stays: line \d: a block is not closed/,
    );
    assert.match(
      reasons[1] ?? '',
      /^CorefileNotWhole: Served but for: line 7: plugin autopath is not done here/,
    );
    await answers('own.example', ['192.0.2.1']);
    await put(corefile('192.0.2.2'));
    await answers('own.example', ['192.0.2.2']);
    await answers('web.shop.svc.cluster.local', ['10.96.0.20']);
    await cluster.client.delete(core.configmaps, 'coredns', { namespace: 'kube-system' });
    await answers('own.example', []);
  });

  it('is healthy, ready and measured', async () => {
    for (const path of ['/healthz', '/livez', '/readyz'])
      assert.deepEqual(await health(path), [200, 'ok'], path);
    assert.equal((await health('/other'))[0], 404);
    const [, text] = await health('/metrics');
    assert.match(text, /coredns_dns_responses_total\{rcode="NOERROR",plugin="kubernetes"\} \d+/);
    assert.match(text, /coredns_dns_request_duration_seconds_count\{plugin="forward"\} \d+/);
  });

  it('goes on from what it knows while the API is away; a new one denies nothing before it has read', async () => {
    const back = cluster.intercept(() => new Error('away'));
    assert.deepEqual(await short('web.shop.svc.cluster.local'), ['10.96.0.20']);
    await dns.stop();
    dns = await start();
    assert.match(await dig('web.shop.svc.cluster.local'), /status: SERVFAIL/);
    assert.equal((await health('/readyz'))[0], 503);
    assert.equal((await health('/healthz'))[0], 200);
    back();
    await dns.ready;
    assert.deepEqual(await short('web.shop.svc.cluster.local'), ['10.96.0.20']);
  });

  it('a taken port ends the start, and leaves nothing behind', async () => {
    await assert.rejects(start(), { code: 'EADDRINUSE' });
  });
});
