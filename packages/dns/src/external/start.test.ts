import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { apiextensions, core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import { freePort } from '@cloudless/kube/testing/free-port';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import type { Message } from '../wire/message.ts';
import { printData } from '../wire/rdata/data.ts';
import { txtData } from '../wire/rdata/typed.ts';
import { rcode, rrType } from '../wire/types.ts';
import { ask } from '../transfer/ask.ts';
import { customResourceDefinitions } from './definitions.ts';
import { type ExternalDns, startExternalDns } from './start.ts';

const log = logger('test').child({}, { level: process.env['TEST_LOG'] ?? 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'dns-start-'));
const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const askBy =
  (transport: 'udp' | 'tcp') =>
  (port: number, name: string, type: number): Promise<Message> =>
    ask(
      { questions: [{ name, type, class: 1 }] },
      { address: '127.0.0.1', port, key: undefined },
      transport,
      {
        keys: [],
        clock: systemClock,
        signal: AbortSignal.timeout(5000),
      },
    );
const askUdp = askBy('udp');
const askTcp = askBy('tcp');

const answers = (message: Message): string[] =>
  message.answers.map(({ type, data }) => printData(type, data)).sort();

const talkValues = `
service:
  dnsUdp:
    enabled: true
    type: LoadBalancer
    annotations:
      external-dns.alpha.kubernetes.io/hostname: >-
        ns1.nadia.moe,ns2.nadia.moe
pdns:
  apiKeySecret:
    create: true
    valuePlain: hunter2
zones:
  nadia.moe: |
    $ORIGIN .
    nadia.moe 900 IN SOA ns1.nadia.moe nadia.nadia.moe 1 900 600 172800 60
    nadia.moe 900 IN NS ns1.nadia.moe
    nadia.moe 900 IN NS ns2.nadia.moe
`;

describe('the authoritative DNS', () => {
  it('serves a folder of zones with no cluster, and follows its files', async () => {
    const text = (serial: number, ip: string): string =>
      `$TTL 60\n@ IN SOA ns hostmaster ${serial} 900 600 172800 60\n@ IN NS ns\nns IN A ${ip}\n`;
    writeFileSync(join(folder, 'a.test.zone'), text(5, '192.0.2.1'));
    const dns = await startExternalDns({
      config: { from: 'zones', path: folder },
      addresses: ['127.0.0.1'],
      port: 0,
      log,
    });
    ends.push(() => dns.stop());
    await dns.ready;
    const { dns: port } = dns.ports;
    assert.deepEqual(answers(await askUdp(port, 'NS.a.test', rrType.A)), ['192.0.2.1']);
    assert.deepEqual(answers(await askTcp(port, 'a.test', rrType.SOA)), [
      'ns.a.test. hostmaster.a.test. 5 900 600 172800 60',
    ]);
    assert.equal((await askUdp(port, 'x.a.test', rrType.A)).rcode, rcode.nxDomain);
    assert.equal((await askUdp(port, 'b.test', rrType.A)).rcode, rcode.refused);
    const changed = new Promise<void>((resolve) => dns.zones.onChange(() => resolve()));
    writeFileSync(join(folder, 'a.test.zone'), text(5, '192.0.2.22'));
    await changed;
    await assert.doesNotReject(dns.ready);
    assert.equal(dns.zones.all.get('a.test')?.zone.serial, 6);
  });

  it("answers the talk's zone with the Service's address from the first answer, and SERVFAIL before", async () => {
    const cluster = new FakeCluster();
    const namespace = 'cloudless-dns';
    cluster.seed(core.configmaps, {
      metadata: { name: 'values', namespace },
      data: { 'values.yaml': talkValues },
    });
    cluster.seed(core.services, {
      metadata: {
        name: 'dns',
        namespace,
        annotations: { 'external-dns.alpha.kubernetes.io/hostname': 'ns1.nadia.moe,ns2.nadia.moe' },
      },
      spec: { type: 'LoadBalancer' },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.53' }] } },
    });
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    cluster.intercept(async ({ resource }) => {
      if (resource.plural === 'services') await gate;
      return undefined;
    });
    const healthPort = await freePort();
    const dns = await startExternalDns({
      client: cluster.client,
      config: { from: 'cluster' },
      addresses: ['127.0.0.1'],
      port: 0,
      healthPort,
      log,
    });
    ends.push(() => dns.stop());
    const { dns: port } = dns.ports;
    await cluster.until(() => dns.status().waitingFor === 'services', 'it to wait for the Services');
    assert.equal((await askUdp(port, 'ns1.nadia.moe', rrType.A)).rcode, rcode.servFail);
    assert.equal((await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status, 503);
    open();
    await dns.ready;
    for (const asked of [askUdp, askTcp]) {
      assert.deepEqual(answers(await asked(port, 'ns1.nadia.moe', rrType.A)), ['192.0.2.53']);
      assert.deepEqual(answers(await asked(port, 'ns2.nadia.moe', rrType.A)), ['192.0.2.53']);
      assert.deepEqual(answers(await asked(port, 'nadia.moe', rrType.NS)), [
        'ns1.nadia.moe.',
        'ns2.nadia.moe.',
      ]);
      assert.equal((await asked(port, 'nadia.moe', rrType.SOA)).answers.length, 1);
    }
    const page = async (path: string): Promise<unknown> =>
      await (await fetch(`http://127.0.0.1:${healthPort}${path}`)).json();
    const why = (await page('/why?name=ns1.nadia.moe')) as { message: string };
    assert.equal(why.message, 'ns1.nadia.moe has A by Service cloudless-dns/dns');
    assert.equal(((await page('/records?zone=nadia.moe')) as unknown[]).length, 4);
    assert.deepEqual(await page('/status'), JSON.parse(JSON.stringify(dns.status())));
    assert.match(await dns.metrics(), /cloudless_dns_zone_serial\{zone="nadia.moe."\} \d+/);

    const startedMs = performance.now();
    cluster.change(core.services, 'dns', namespace, (copy) => {
      copy.status = { loadBalancer: { ingress: [{ ip: '192.0.2.54' }, { ip: '2001:db8::54' }] } };
    });
    for (;;) {
      const [a, aaaa] = await Promise.all([
        askUdp(port, 'ns1.nadia.moe', rrType.A),
        askUdp(port, 'ns1.nadia.moe', rrType.AAAA),
      ]);
      if (answers(a)[0] === '192.0.2.54' && answers(aaaa)[0] === '2001:db8::54') break;
      assert.ok(performance.now() - startedMs < 5000, 'the new address is not answered');
    }
    if (process.env['TEST_LOG'])
      console.log(`${(performance.now() - startedMs).toFixed(1)} ms to the answer`);
  });

  it('of two replicas that take the same lock at the same time one has it, round after round', async () => {
    const cluster = new FakeCluster();
    const namespace = 'cloudless-dns';
    const [definition] = customResourceDefinitions() as [CustomResourceDefinition];
    const conditions = [{ type: 'Established', status: 'True' as const }];
    cluster.seed(apiextensions.customresourcedefinitions, { ...definition, status: { conditions } });
    cluster.seed(core.configmaps, {
      metadata: { name: 'values', namespace },
      data: { 'values.yaml': talkValues },
    });
    const replicas = await Promise.all(
      ['one', 'two'].map(() =>
        startExternalDns({
          client: cluster.client,
          config: { from: 'cluster' },
          addresses: ['127.0.0.1'],
          port: 0,
          log,
        }),
      ),
    );
    for (const replica of replicas) ends.push(() => replica.stop());
    await Promise.all(replicas.map(({ ready }) => ready));
    const name = 'lock.nadia.moe';
    for (let round = 0; round < 10; round++) {
      const data = replicas.map((_, i) => [txtData(`${round} ${i}`)]);
      const taken = await Promise.allSettled(
        replicas.map(({ keeper }, i) =>
          keeper.apply(
            'nadia.moe',
            (zone) => {
              if (zone.node(name)) throw new Error('it is taken');
              const rrset = { name, type: rrType.TXT, ttlSeconds: 60, data: data[i] as Buffer[] };
              return [{ kind: 'replace', rrset }];
            },
            'test',
          ),
        ),
      );
      const winner = taken.findIndex(({ status }) => status === 'fulfilled');
      const loser = taken[1 - winner];
      assert.match(String(loser?.status === 'rejected' && loser.reason), /it is taken/);
      for (const { keeper, ports } of replicas) {
        // Nothing changes, but now this replica has what is stored, too.
        await keeper.apply('nadia.moe', [], 'test');
        const text = (await askUdp(ports.dns, name, rrType.TXT)).answers[0]?.data;
        assert.deepEqual(text, data[winner]?.[0]);
      }
      const [releasing] = replicas as [ExternalDns, ExternalDns];
      await releasing.keeper.apply('nadia.moe', [{ kind: 'delete', name, type: rrType.TXT }], 'test');
    }
  });

  it('rejects when its port is taken, and leaves nothing behind', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    ends.push(() => new Promise((resolve) => socket.close(resolve)));
    await assert.rejects(
      startExternalDns({
        config: { from: 'zones', path: folder },
        addresses: ['127.0.0.1'],
        port: socket.address().port,
        log,
      }),
      /EADDRINUSE/,
    );
  });
});
