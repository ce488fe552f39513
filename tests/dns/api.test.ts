import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { keeperObjectName } from '@cloudless/dns/external/keeper';
import { dnsEndpoints } from '@cloudless/dns/external/kinds';
import { type ExternalDns, startExternalDns } from '@cloudless/dns/external/start';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { type Cluster, startCluster } from 'cloudless/testing';

const run = promisify(execFile);
const launcher = join(import.meta.dirname, '../../bin/cloudless');
const log = logger('test').child({}, { level: 'silent' });
const namespace = 'cloudless-dns';
const zonePath = '/api/v1/servers/localhost/zones/a.test.';
const text = (extra = ''): string => `${extra}
service: {dnsUdp: {loadBalancerIP: 192.0.2.10}, dnsTcp: {type: LoadBalancer}}
pdns: {apiKeySecret: {valuePlain: hunter2}}
zones:
  a.test: |
    @ 60 SOA ns1 h 1 900 600 172800 60
    @ 60 NS ns1
    ns1 60 A 192.0.2.10
`;

describe('values and the API on the real API server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dns-api-'));
  const file = join(folder, 'values.yaml');
  const started: ExternalDns[] = [];
  let cluster: Cluster;
  let kubeconfig: string;
  before(async () => {
    cluster = await startCluster({ nodes: 0 });
    kubeconfig = await cluster.kubeconfigFile();
  });
  after(async () => {
    await Promise.all(started.map((one) => one.stop()));
    await cluster.stop();
    rmSync(folder, { recursive: true });
  });

  const apply = async (values: string): Promise<string> => {
    writeFileSync(file, values);
    const { stdout } = await run(launcher, ['dns', 'values', file, '--kubeconfig', kubeconfig]);
    return stdout;
  };
  const start = async (): Promise<ExternalDns> => {
    const { client } = cluster;
    const config = { from: 'cluster' as const };
    const dns = await startExternalDns({
      client,
      config,
      addresses: ['127.0.0.1'],
      port: 0,
      apiPort: 0,
      log,
    });
    started.push(dns);
    await dns.ready;
    return dns;
  };
  const ask = async (dns: ExternalDns, method: string, body?: unknown): Promise<Response> =>
    fetch(`http://127.0.0.1:${dns.ports.api}${zonePath}`, {
      method,
      headers: { 'x-api-key': 'hunter2' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const change = (name: string, ...addresses: string[]) => ({
    name: `${name}.a.test.`,
    type: 'A',
    ttl: 60,
    changetype: addresses.length === 0 ? 'DELETE' : 'REPLACE',
    records: addresses.map((content) => ({ content, disabled: false })),
  });

  it('`cloudless dns values` brings them, again without a change, and takes away what newer ones lack', async () => {
    // Nobody gives addresses in this cluster.
    const given = setInterval(() => {
      const status = { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } };
      cluster.client
        .patch(core.services, 'dns', 'merge', { status }, { namespace, subresource: 'status' })
        .catch(() => undefined);
    }, 50);
    try {
      const told = await apply(text('tsigKeys: {xfer: "hmac-sha256:c2VjcmV0"}'));
      assert.match(told, /^a\.test: answered on 192\.0\.2\.10, port 53 \(UDP and TCP\)$/m);
      const versions = async (): Promise<string[]> => {
        const maps = await cluster.client.list(core.configmaps, { namespace });
        const secrets = await cluster.client.list(core.secrets, { namespace });
        return [...maps.items, ...secrets.items].map(
          ({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`,
        );
      };
      const before = await versions();
      assert.ok(before.some((one) => one.startsWith('tsig-keys ')));
      await apply(text('tsigKeys: {xfer: "hmac-sha256:c2VjcmV0"}'));
      assert.deepEqual(await versions(), before);
      const stored = await cluster.client.get(core.configmaps, 'values', { namespace });
      assert.doesNotMatch(JSON.stringify(stored), /hunter2|c2VjcmV0/);
      assert.match(await apply(text()), /^removed Secret tsig-keys$/m);
    } finally {
      clearInterval(given);
    }
  });

  it('a PATCH of one replica is stored, served by all under one serial, and there after a new start', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const rrsets = [change('www', '192.0.2.7', '192.0.2.8'), change('api', '192.0.2.9')];
    const answer = await ask(one, 'PATCH', { rrsets });
    assert.equal(answer.status, 204, await answer.text());
    const { serial = 0 } = one.zones.all.get('a.test')?.zone ?? {};
    assert.deepEqual(one.records('a.test').find(({ name }) => name === 'www.a.test')?.data, [
      '192.0.2.7',
      '192.0.2.8',
    ]);
    const isThere = (): boolean => other.zones.all.get('a.test')?.zone.serial === serial;
    if (!isThere())
      await new Promise<void>((resolve) => {
        const end = other.zones.onChange(() => {
          if (!isThere()) return;
          end();
          resolve();
        });
      });
    assert.equal(other.why('www.a.test').records[0]?.from[0]?.kind, 'DNSEndpoint');
    const object = await cluster.client.get(dnsEndpoints, keeperObjectName('a.test'), { namespace });
    assert.equal(object.spec?.endpoints?.length, 2);

    await Promise.all([one.stop(), other.stop()]);
    const again = await start();
    assert.deepEqual(again.zones.all.get('a.test')?.zone.serial, serial);
    assert.equal((await ask(again, 'PATCH', { rrsets: [change('www')] })).status, 204);
    assert.equal(again.zones.all.get('a.test')?.zone.node('www.a.test'), undefined);
    assert.ok((again.zones.all.get('a.test')?.zone.serial ?? 0) > serial);
  });

  it('what an object of the user has is refused, and its owner is named', async () => {
    const dns = started.at(-1) as ExternalDns;
    await cluster.client.create(dnsEndpoints, {
      metadata: { name: 'mine', namespace: 'default' },
      spec: { endpoints: [{ dnsName: 'mine.a.test', recordType: 'A', targets: ['192.0.2.20'] }] },
    });
    const has = (): boolean => dns.zones.all.get('a.test')?.zone.node('mine.a.test') !== undefined;
    if (!has())
      await new Promise<void>((resolve) => {
        const end = dns.zones.onChange(() => {
          if (!has()) return;
          end();
          resolve();
        });
      });
    const answer = await ask(dns, 'PATCH', { rrsets: [change('mine', '192.0.2.66')] });
    assert.equal(answer.status, 422);
    assert.match(
      await answer.text(),
      /mine\.a\.test\. A belongs to DNSEndpoint default\/mine: change it there/,
    );
  });

  it('many changes at once through two replicas: none is lost', async () => {
    const replicas = [started.at(-1) as ExternalDns, await start()];
    const names = Array.from({ length: 20 }, (_, i) => `many${i}`);
    const answers = await Promise.all(
      names.map((name, i) =>
        ask(replicas[i % 2] as ExternalDns, 'PATCH', { rrsets: [change(name, `192.0.2.${i}`)] }),
      ),
    );
    assert.deepEqual(
      await Promise.all(answers.map(async (answer) => `${answer.status}${await answer.text()}`)),
      names.map(() => '204'),
    );
    const object = await cluster.client.get(dnsEndpoints, keeperObjectName('a.test'), { namespace });
    const stored = new Set(object.spec?.endpoints?.map(({ dnsName }) => dnsName));
    for (const name of names) assert.ok(stored.has(`${name}.a.test`), name);
  });
});
