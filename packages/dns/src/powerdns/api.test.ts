import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { rrType } from '../wire/types.ts';
import { printData } from '../wire/rdata/data.ts';
import { type PowerDnsApi, startPowerDnsApi } from './api.ts';
import { askApi } from './testing/ask-api.ts';
import { startKeeperZone } from './testing/keeper-zone.ts';

const log = logger('test').child({}, { level: 'silent' });
const zonePath = '/api/v1/servers/localhost/zones/a.test.';
const text =
  '$ORIGIN a.test.\n@ 300 IN SOA ns1 h 1 900 600 172800 60\n@ 300 IN NS ns1\nns1 300 IN A 192.0.2.1\n';

let started: Awaited<ReturnType<typeof startKeeperZone>>;
let api: PowerDnsApi;
let server: { url: string; key: string };
let key: string | undefined = 'secret';
const notified: string[] = [];

before(async () => {
  started = await startKeeperZone('a.test', text);
  api = await startPowerDnsApi({
    ...started,
    addresses: ['127.0.0.1'],
    port: 0,
    key: () => key,
    notify: (origin) => notified.push(origin),
    version: '0.1.0',
    log,
  });
  server = { url: `http://127.0.0.1:${api.port}`, key: 'secret' };
});
after(async () => {
  await api.stop();
  await started.stop();
});

const ask = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  askApi(server, { method, path, body, headers });
const served = (name: string, type: keyof typeof rrType): string[] =>
  (started.zones.all.get('a.test')?.zone.node(name)?.rrset(rrType[type])?.data ?? []).map((one) =>
    printData(rrType[type], one),
  );

describe("PowerDNS's API", () => {
  it('answers nobody without the key, and nobody at all without one configured', async () => {
    for (const wrong of ['', 'secre', 'secret2', 'Secret'])
      assert.deepEqual(await ask('GET', zonePath, undefined, { 'x-api-key': wrong }), {
        status: 401,
        body: 'Unauthorized',
      });
    key = undefined;
    assert.equal((await ask('GET', zonePath)).status, 401);
    assert.equal((await ask('GET', zonePath, undefined, { 'x-api-key': '' })).status, 401);
    key = 'secret';
    assert.equal((await ask('GET', zonePath)).status, 200);
  });

  it("takes what external-dns's provider sends (provider/pdns/pdns.go with go-powerdns)", async () => {
    const zones = (await ask('GET', '/api/v1/servers/localhost/zones')).body as Array<{
      id: string;
      name: string;
    }>;
    assert.deepEqual(
      zones.map(({ id, name }) => [id, name]),
      [['a.test.', 'a.test.']],
    );
    const create = {
      rrsets: [
        {
          name: 'web.a.test.',
          type: 'A',
          ttl: 300,
          changetype: 'REPLACE',
          records: [
            { content: '192.0.2.10', disabled: false },
            { content: '192.0.2.11', disabled: false },
          ],
        },
        {
          name: 'a-web.a.test.',
          type: 'TXT',
          ttl: 300,
          changetype: 'REPLACE',
          records: [
            {
              content:
                '"heritage=external-dns,external-dns/owner=default,external-dns/resource=service/default/web"',
              disabled: false,
            },
          ],
        },
        {
          name: '*.apps.a.test.',
          type: 'CNAME',
          ttl: 60,
          changetype: 'REPLACE',
          records: [{ content: 'web.a.test.', disabled: false }],
        },
      ],
    };
    assert.deepEqual(await ask('PATCH', zonePath, create), { status: 204, body: '' });
    assert.deepEqual(served('web.a.test', 'A'), ['192.0.2.10', '192.0.2.11']);
    assert.deepEqual(served('*.apps.a.test', 'CNAME'), ['web.a.test.']);
    const { rrsets } = (await ask('GET', zonePath)).body as {
      rrsets: Array<{ name: string; type: string; ttl: number; records: unknown[] }>;
    };
    assert.deepEqual(rrsets.find(({ name }) => name === 'a-web.a.test.')?.records, create.rrsets[1]?.records);
    const remove = {
      rrsets: create.rrsets.map(({ name, type, records }) => ({ name, type, changetype: 'DELETE', records })),
    };
    assert.equal((await ask('PATCH', zonePath, remove)).status, 204);
    assert.deepEqual(served('web.a.test', 'A'), []);
  });

  it('takes what lego sends for a challenge (providers/dns/pdns), and cert-manager through it', async () => {
    const json = { accept: 'application/json', 'content-type': 'application/json' };
    assert.deepEqual((await ask('GET', '/api', undefined, json)).body, [{ url: '/api/v1', version: 1 }]);
    const zone = (await ask('GET', zonePath, undefined, json)).body as { kind: string; rrsets: unknown[] };
    assert.equal(zone.kind, 'Master');
    const present = {
      rrsets: [
        {
          name: '_acme-challenge.a.test.',
          changetype: 'REPLACE',
          type: 'TXT',
          kind: 'Master',
          ttl: 120,
          records: [{ content: '"w6uP8Tcg6K2QR905Rms8iXTlksL6OD1KOWBxTK7wxPI"', disabled: false }],
        },
      ],
    };
    assert.equal((await ask('PATCH', zonePath, present, json)).status, 204);
    assert.equal(served('_acme-challenge.a.test', 'TXT').length, 1);
    assert.deepEqual(await ask('PUT', `${zonePath}/notify`, undefined, json), {
      status: 200,
      body: { result: 'Notification queued' },
    });
    assert.deepEqual(notified, ['a.test']);
    const cleanup = {
      rrsets: [{ name: '_acme-challenge.a.test.', changetype: 'DELETE', type: 'TXT', kind: 'Master' }],
    };
    assert.equal((await ask('PATCH', zonePath, cleanup, json)).status, 204);
    assert.deepEqual(served('_acme-challenge.a.test', 'TXT'), []);
  });

  it('adds to a set and takes from it, several times in one call', async () => {
    const change = (changetype: string, content: string) => ({
      name: 'set.a.test.',
      type: 'A',
      ttl: 60,
      changetype,
      records: [{ content, disabled: false }],
    });
    const rrsets = [
      change('EXTEND', '192.0.2.1'),
      change('EXTEND', '192.0.2.2'),
      change('EXTEND', '192.0.2.2'),
      change('PRUNE', '192.0.2.1'),
    ];
    assert.equal((await ask('PATCH', zonePath, { rrsets })).status, 204);
    assert.deepEqual(served('set.a.test', 'A'), ['192.0.2.2']);
    assert.equal((await ask('PATCH', zonePath, { rrsets: [change('PRUNE', '192.0.2.2')] })).status, 204);
    assert.deepEqual(served('set.a.test', 'A'), []);
  });

  it('refuses zones: they belong to the configuration, and it says where', async () => {
    const zones = '/api/v1/servers/localhost/zones';
    const made = await ask('POST', zones, { name: 'b.test.', kind: 'Native' });
    assert.equal(made.status, 422);
    assert.match(JSON.stringify(made.body), /dns\.cloudless\.dev\/zones=true/);
    assert.equal((await ask('POST', zones, { name: 'a.test.' })).status, 409);
    for (const method of ['PUT', 'DELETE']) assert.equal((await ask(method, zonePath, {})).status, 422);
  });

  it('refuses what the zone text has, with the words of the keeper, and makes nothing of that call', async () => {
    const rrset = (name: string) => ({
      name,
      type: 'A',
      ttl: 60,
      changetype: 'REPLACE',
      records: [{ content: '192.0.2.66', disabled: false }],
    });
    const answer = await ask('PATCH', zonePath, { rrsets: [rrset('x.a.test.'), rrset('ns1.a.test.')] });
    assert.equal(answer.status, 422);
    assert.match(JSON.stringify(answer.body), /ns1\.a\.test\. A is written in the text of zone a\.test\./);
    assert.deepEqual(served('x.a.test', 'A'), []);
  });

  it('bounds what it reads', async () => {
    const answer = await ask('PATCH', zonePath, `"${'x'.repeat(2 * 1024 * 1024)}"`).catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 413);
    assert.equal((await ask('GET', '/api')).status, 200);
    const search = await ask('GET', `/api/v1/servers/localhost/search-data?q=${'*a'.repeat(40)}`);
    assert.equal(search.status, 422);
  });

  it('outlives requests for what is no path, and bodies that are cut off', async () => {
    const { connect } = await import('node:net');
    const first = 'X-API-Key: secret\r\nHost: x\r\nConnection: close\r\n';
    for (const text of [
      `GET // HTTP/1.1\r\n${first}\r\n`,
      `GET http://[ HTTP/1.1\r\n${first}\r\n`,
      `GET /api/%zz HTTP/1.1\r\n${first}\r\n`,
      `PATCH ${zonePath} HTTP/1.1\r\n${first}Content-Length: 100\r\n\r\n{`,
      'nonsense\r\n\r\n',
    ]) {
      const socket = connect(api.port, '127.0.0.1');
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.on('error', () => undefined).resume();
      socket.end(text);
      await closed;
    }
    assert.equal((await ask('GET', '/api')).status, 200);
  });

  it('speaks TLS where it has a certificate', async () => {
    const { cert: certificate, key: privateKey } = await selfSigned();
    const secure = await startPowerDnsApi({
      ...started,
      addresses: ['127.0.0.1'],
      port: 0,
      key: () => 'secret',
      notify: () => undefined,
      version: '0.1.0',
      tls: { certificate, key: privateKey },
      log,
    });
    try {
      const { request } = await import('node:https');
      const status = await new Promise((resolve, reject) => {
        request(
          {
            port: secure.port,
            host: '127.0.0.1',
            path: '/api',
            ca: certificate,
            headers: { 'x-api-key': 'secret' },
          },
          (response) => resolve(response.resume().statusCode),
        )
          .once('error', reject)
          .end();
      });
      assert.equal(status, 200);
    } finally {
      await secure.stop();
    }
  });
});
