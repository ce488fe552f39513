import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { type PowerDnsApi, startPowerDnsApi } from './api.ts';
import { type ApiCall, askApi } from './testing/ask-api.ts';
import { startKeeperZone } from './testing/keeper-zone.ts';
import { type RealPowerDns, startRealPowerDns } from './testing/real-powerdns.ts';

const base = '/api/v1/servers/localhost';
const zone = `${base}/zones/a.test.`;
const www = {
  name: 'www.a.test.',
  type: 'A',
  ttl: 60,
  changetype: 'REPLACE',
  records: [{ content: '192.0.2.7', disabled: false }],
};
const patch = (...rrsets: unknown[]): ApiCall => ({ method: 'PATCH', path: zone, body: { rrsets } });
const get = (path: string): ApiCall => ({ method: 'GET', path });
const record = (content: string): typeof www.records => [{ content, disabled: false }];

/** Calls whose answer is the same to the letter. */
const same: Record<string, ApiCall> = {
  'the wrong key': { ...get(`${base}/zones`), headers: { 'x-api-key': 'wrong' } },
  versions: get('/api'),
  'version 1': get('/api/v1'),
  'another server': get('/api/v1/servers/other'),
  'no such path': get('/nope'),
  'no such path, JSON': { ...get('/nope'), headers: { accept: 'application/json' } },
  'a method that is not there': { method: 'DELETE', path: '/api/v1/servers' },
  'a zone that is there': {
    method: 'POST',
    path: `${base}/zones`,
    body: { name: 'a.test.', kind: 'Master' },
  },
  'a zone without a dot': { method: 'POST', path: `${base}/zones`, body: { name: 'b.test', kind: 'Master' } },
  'a zone without a name': { method: 'POST', path: `${base}/zones`, body: { kind: 'Master' } },
  'a list without matches': get(`${base}/zones?zone=b.test.`),
  'a zone that is not there': get(`${base}/zones/b.test.`),
  'a record': patch(www),
  'the same again': patch(www),
  'a name without a dot': patch({ ...www, name: 'www.a.test' }),
  'an unknown type': patch({ ...www, type: 'FOO' }),
  'no change type': patch({ ...www, changetype: undefined }),
  'another zone': patch({ ...www, name: 'b.test.' }),
  'no TTL': patch({ ...www, ttl: undefined }),
  'a TTL in quotes': patch({ ...www, ttl: '5' }),
  'a record twice': patch({ ...www, records: [...www.records, ...www.records] }),
  'a set twice': patch(www, www),
  'a target without a dot': patch({
    ...www,
    name: 'm.a.test.',
    type: 'MX',
    records: record('10 mail.a.test'),
  }),
  'text without quotes': patch({ ...www, name: 't.a.test.', type: 'TXT', records: record('text') }),
  'no records': patch({ ...www, records: undefined }),
  'a set of none': patch({ ...www, name: 'none.a.test.', records: [] }),
  'deleting nothing': patch({ ...www, name: 'none.a.test.', changetype: 'DELETE' }),
  'no sets': { method: 'PATCH', path: zone, body: {} },
  'a list as body': { method: 'PATCH', path: zone, body: [] },
  'no JSON': { method: 'PATCH', path: zone, body: '{' },
  'changing what is not there': { method: 'PATCH', path: `${base}/zones/b.test.`, body: { rrsets: [www] } },
  'several types': patch(
    { ...www, name: 'mail.a.test.', type: 'AAAA', records: record('2001:db8::1') },
    { ...www, name: 'm.a.test.', type: 'MX', records: record('10 mail.a.test.') },
    { ...www, name: 't.a.test.', type: 'TXT', records: record('"a b" "c\\"d"') },
    { ...www, name: 's.a.test.', type: 'SRV', records: record('0 5 5060 mail.a.test.') },
    { ...www, name: 'c.a.test.', type: 'CAA', records: record('0 issue "ca.test"') },
    { ...www, name: '*.w.a.test.', type: 'CNAME', records: record('mail.a.test.') },
    { ...www, name: 'l.a.test.', type: 'TLSA', records: record(`3 1 1 ${'ab'.repeat(32)}`) },
    { ...www, name: 'x.a.test.', type: 'TYPE65280', records: record('\\# 3 010203') },
  ),
  'a query': get(`${zone}?rrset_name=t.a.test.&rrset_type=TXT`),
  notify: { method: 'PUT', path: `${zone}/notify` },
  rectify: { method: 'PUT', path: `${zone}/rectify` },
  metadata: get(`${zone}/metadata`),
  'metadata of a kind': get(`${zone}/metadata/ALSO-NOTIFY`),
  'keys of an unsigned zone': get(`${zone}/cryptokeys`),
  'a key that is not there': get(`${zone}/cryptokeys/1`),
  'a search': get(`${base}/search-data?q=www.a.test&object_type=record`),
  'a search for nothing': get(`${base}/search-data?q=`),
  'a search for what is none': get(`${base}/search-data?q=a&object_type=x`),
  'a search without end': get(`${base}/search-data?q=a&max=0`),
  'an unknown statistic': get(`${base}/statistics?statistic=x`),
};

/** Calls whose status and keys are the same; the words are ours. */
const alike: Record<string, ApiCall> = {
  servers: get('/api/v1/servers'),
  'this server': get(base),
  zones: get(`${base}/zones`),
  'zones without DNSSEC': get(`${base}/zones?dnssec=false`),
  'the zone': get(zone),
  'the zone without its sets': get(`${zone}?rrsets=false`),
  'a change of another kind': patch({ ...www, changetype: 'FROB' }),
  'an address that is none': patch({ ...www, records: record('192.0.2') }),
  'a CNAME beside others': patch({ ...www, name: 'ns1.a.test.', type: 'CNAME', records: record('b.test.') }),
  'a transfer in': { method: 'PUT', path: `${zone}/axfr-retrieve` },
  uptime: get(`${base}/statistics?statistic=uptime`),
  'the text': { ...get(`${zone}/export`), headers: { accept: 'application/json' } },
};

describe("PowerDNS's API, ours beside the real one", { skip: missingPeer('pdns_server') }, () => {
  let ours: Awaited<ReturnType<typeof startKeeperZone>>;
  let api: PowerDnsApi;
  let real: RealPowerDns;
  let server: { url: string; key: string };
  before(async () => {
    ours = await startKeeperZone(
      'a.test',
      '$ORIGIN a.test.\n@ 300 IN SOA ns1 h 1 900 600 172800 60\n@ 300 IN NS ns1\nns1 300 IN A 192.0.2.1\n',
    );
    const log = logger('test').child({}, { level: 'silent' });
    const rest = { addresses: ['127.0.0.1'], port: 0, notify: () => undefined, version: '1', log };
    api = await startPowerDnsApi({ ...ours, ...rest, key: () => 'key' });
    server = { url: `http://127.0.0.1:${api.port}`, key: 'key' };
    real = await startRealPowerDns();
    const made = await askApi(real, {
      method: 'POST',
      path: `${base}/zones`,
      body: {
        name: 'a.test.',
        kind: 'Master',
        soa_edit_api: 'DEFAULT',
        rrsets: [
          {
            name: 'a.test.',
            type: 'SOA',
            ttl: 300,
            records: record('ns1.a.test. h.a.test. 1 900 600 172800 60'),
          },
          { name: 'a.test.', type: 'NS', ttl: 300, records: record('ns1.a.test.') },
          { name: 'ns1.a.test.', type: 'A', ttl: 300, records: record('192.0.2.1') },
        ],
      },
    });
    assert.equal(made.status, 201);
  });
  after(async () => {
    await real?.stop();
    await api?.stop();
    await ours?.stop();
  });

  for (const [what, call] of Object.entries(same))
    it(`${what}: the same answer`, async () => {
      assert.deepEqual(withoutNumbers(await askApi(server, call)), withoutNumbers(await askApi(real, call)));
    });

  for (const [what, call] of Object.entries(alike))
    it(`${what}: the same status and keys`, async () => {
      const [mine, theirs] = [await askApi(server, call), await askApi(real, call)];
      assert.deepEqual([mine.status, shapeOf(mine.body)], [theirs.status, shapeOf(theirs.body)]);
    });

  it('the same record sets after all that', async () => {
    const sets = async (peer: { url: string; key: string }): Promise<unknown[]> => {
      const { rrsets } = (await askApi(peer, get(zone))).body as {
        rrsets: Array<{ name: string; type: string }>;
      };
      return rrsets
        .filter(({ type }) => type !== 'SOA')
        .sort((a, b) => (`${a.name} ${a.type}` < `${b.name} ${b.type}` ? -1 : 1));
    };
    // Hexadecimal digits are upper case here and lower case there.
    const text = async (peer: { url: string; key: string }): Promise<string> =>
      JSON.stringify(await sets(peer), null, 1).toLowerCase();
    assert.equal(await text(server), await text(real));
  });
});

/** Serials rise in another way. */
function withoutNumbers(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, one: unknown) => (key.endsWith('serial') ? 'a serial' : one)),
  );
}

/** The keys of objects, of lists those of the first item. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, shapeOf(one)]),
  );
}
