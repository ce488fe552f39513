// Small requests that ask for much: depth, size, cost. The bystander is asked after each.
import assert from 'node:assert/strict';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import type { Attack, AttackTable } from '../attack.ts';
import type { Answer, Asked } from '../send.ts';
import type { Victim, Who } from '../victim.ts';
import { definition, serve } from './objects.ts';

const configMaps = '/api/v1/namespaces/team/configmaps';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const pest = (plural: string): string => `/apis/pest.example.com/v1/namespaces/team/${plural}`;
const yaml = { 'content-type': 'application/yaml' };
const json = { 'content-type': 'application/json-patch+json' };
const merge = { 'content-type': 'application/merge-patch+json' };
const strategic = { 'content-type': 'application/strategic-merge-patch+json' };
const apply = { 'content-type': 'application/apply-patch+yaml' };
const megabyte = 1024 * 1024;

const bomb = (name: string, asked: Asked, code: number | number[] = 400, who: Who = 'alice'): Attack => ({
  name,
  outcome: typeof code === 'number' ? String(code) : code.join(' or '),
  code,
  send: (victim) => victim.ask(who, asked),
});

const create = (body: string, headers: Record<string, string> = {}): Asked => ({
  path: configMaps,
  headers,
  body,
});
const inData = (value: string): string => `{"metadata":{"name":"bomb"},"data":{"a":${value}}}`;
const deep = 100_000;

const laughs = (levels: number): string =>
  [
    'a0: &a0 [x,x,x,x,x,x,x,x,x,x]',
    ...Array.from(
      { length: levels },
      (_, i) => `a${i + 1}: &a${i + 1} [${Array.from({ length: 10 }, () => `*a${i}`).join(',')}]`,
    ),
    `data: {a: *a${levels}}`,
  ].join('\n');

const documents: Attack[] = [
  bomb('JSON lists 100,000 deep', create(inData('['.repeat(deep) + ']'.repeat(deep)))),
  bomb('JSON objects 100,000 deep', create(inData('{"a":'.repeat(deep) + '1' + '}'.repeat(deep)))),
  bomb('JSON of opening brackets only', create('['.repeat(2 * megabyte))),
  bomb('a number of 1,000,000 digits', create(inData('9'.repeat(1_000_000)))),
  bomb('an exponent beyond all', create(inData('1e999999999'))),
  bomb(
    '100,000 keys that are integers',
    create(
      `{"metadata":{"name":"bomb"},"data":{${Array.from({ length: 100_000 }, (_, i) => `"${i * 65_536}":1`).join(',')}}}`,
    ),
  ),
  bomb(
    '100,000 duplicate keys',
    create(`{"metadata":{"name":"bomb"},${'"a":1,'.repeat(100_000)}"b":1}`),
    [201, 400],
  ),
  bomb(
    '100,000 unknown fields',
    create(
      `{"metadata":{"name":"unknowns"},${Array.from({ length: 100_000 }, (_, i) => `"f${i}":1`).join(',')}}`,
    ),
    201,
  ),
  bomb('YAML: a billion laughs', create(laughs(9), yaml)),
  bomb('YAML: an anchor within itself', create('data: &a {b: *a}\n', yaml)),
  bomb('YAML: flow lists 100,000 deep', create('['.repeat(deep), yaml)),
  bomb('YAML: block lists 20,000 deep', create(`a: ${'- '.repeat(20_000)}x\n`, yaml)),
  bomb('YAML: 100,000 documents', create('---\na: 1\n'.repeat(100_000), yaml), [201, 400, 422]),
  bomb(
    'YAML: 100,000 anchors',
    create(
      `metadata: {name: anchors}\nx: [${Array.from({ length: 100_000 }, (_, i) => `&a${i} x`).join(',')}]\n`,
      yaml,
    ),
    [201, 400],
  ),
  {
    ...bomb(
      'YAML: a list of 3 MB',
      create(`metadata: {name: long}\nx: [${'a,'.repeat(1_450_000)}]\n`, yaml),
      [201, 400],
    ),
    // What the thread that reads it may take, and its end gives back.
    maxGrowthBytes: 400 * 1024 * 1024,
  },
  bomb('YAML in an apply: a billion laughs', {
    method: 'PATCH',
    path: `${configMaps}/board?fieldManager=x`,
    headers: apply,
    body: laughs(9),
  }),
];

const patches: Attack[] = [
  bomb(
    'JSON patch of 10,001 operations',
    {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: json,
      body: Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/kind', value: 'ConfigMap' })),
    },
    413,
  ),
  bomb(
    'JSON patch that doubles by copying',
    {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: json,
      body: [
        { op: 'add', path: '/data/a', value: 'x'.repeat(1000) },
        ...Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '/data', path: `/data/c${i}` })),
      ],
    },
    [400, 413, 422],
  ),
  bomb(
    'JSON patch with 10,000 insertions at the front',
    {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: json,
      body: [
        { op: 'add', path: '/metadata/finalizers', value: [] },
        ...Array.from({ length: 9_000 }, () => ({ op: 'add', path: '/metadata/finalizers/0', value: 'a/b' })),
      ],
    },
    [200, 422],
  ),
  bomb('merge patch 100,000 deep', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: merge,
    body: '{"a":'.repeat(deep) + '1' + '}'.repeat(deep),
  }),
  bomb(
    'strategic patch 900 deep',
    {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: strategic,
      body: '{"a":'.repeat(900) + '1' + '}'.repeat(900),
    },
    [200, 400, 422],
  ),
  bomb(
    'managedFields of 2 MB',
    {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: merge,
      body: {
        metadata: {
          managedFields: [
            {
              manager: 'x',
              operation: 'Update',
              apiVersion: 'v1',
              fieldsType: 'FieldsV1',
              fieldsV1: Object.fromEntries(
                Array.from({ length: 60_000 }, (_, i) => [`f:field-number-${i}`, {}]),
              ),
            },
          ],
        },
      },
    },
    [413, 422, 500],
  ),
];

const queries: Attack[] = [
  bomb(
    'a label selector of 1,000 terms',
    { path: `${configMaps}?labelSelector=${Array.from({ length: 1_000 }, (_, i) => `k${i}%3Dv`).join(',')}` },
    200,
  ),
  bomb(
    'a label selector of open parentheses',
    { path: `${configMaps}?labelSelector=a%20in%20${'('.repeat(10_000)}` },
    400,
  ),
  bomb(
    'a field selector of commas',
    { path: `${configMaps}?fieldSelector=${','.repeat(10_000)}` },
    [200, 400],
  ),
  bomb('a continue token of 12 KB', { path: `${configMaps}?limit=1&continue=${'A'.repeat(12_000)}` }, 400),
  bomb('a limit of 2^63', { path: `${configMaps}?limit=9223372036854775808` }, 400),
  bomb('a negative limit', { path: `${configMaps}?limit=-1` }, [200, 400, 422]),
  bomb(
    'a resourceVersion of 400 digits',
    { path: `${configMaps}?resourceVersion=${'9'.repeat(400)}` },
    [400, 504],
  ),
  bomb('a timeout of 2^53', { path: `${configMaps}?timeoutSeconds=9007199254740991` }, [200, 400]),
  bomb(
    'an Accept header of 3,000 clauses',
    {
      path: configMaps,
      headers: { accept: Array.from({ length: 3_000 }, (_, i) => `a/b;q=0.${i}`).join(',') },
    },
    406,
  ),
  bomb(
    '3,000 query parameters',
    { path: `${configMaps}?${Array.from({ length: 3_000 }, (_, i) => `p${i}`).join('&')}` },
    414,
  ),
];

/** A definition with a rule, then one object: refused at one of the two. */
const costly = (
  name: string,
  plural: string,
  schema: object,
  spec: unknown,
  outcome = 'refused, or judged and the bystander served after it',
): Attack => ({
  name,
  outcome,
  async send(victim) {
    const { code, body } = await serve(victim, plural, { properties: { spec: schema } });
    if (code !== 201) return assert.equal(code, 422, body);
    const answer = await victim.ask('alice', {
      path: pest(plural),
      body: {
        apiVersion: 'pest.example.com/v1',
        kind: plural[0]?.toUpperCase() + plural.slice(1),
        metadata: { name: 'a' },
        spec,
      },
    });
    assert.ok([201, 422].includes(answer.code), answer.body);
  },
});

const ruled = (rule: string, schema: object): object => ({
  ...schema,
  'x-kubernetes-validations': [{ rule }],
});
const strings = (maxItems?: number): object => ({
  type: 'array',
  ...(maxItems === undefined ? {} : { maxItems }),
  items: { type: 'string' },
});
const manyStrings = Array.from({ length: 20_000 }, (_, i) => `s${i}`);

const expressions: Attack[] = [
  costly(
    'CEL: three loops within each other',
    'loops',
    ruled('self.all(a, self.all(b, self.all(c, a + b != c)))', strings()),
    manyStrings,
  ),
  costly(
    'CEL: two loops over a list that is said to be short',
    'shorts',
    ruled('self.all(a, self.exists(b, a == b))', strings(1000)),
    manyStrings.slice(0, 1000),
  ),
  costly(
    'CEL: strings that double',
    'doubles',
    ruled(`self.map(x, x + x)${'.map(x, x + x)'.repeat(40)}.size() > 0`, strings(5)),
    ['x'.repeat(1000)],
  ),
  costly(
    'CEL: a regular expression that backtracks',
    'backs',
    ruled("self.matches('^(a+)+$')", { type: 'string', maxLength: 100_000 }),
    `${'a'.repeat(90_000)}!`,
  ),
  costly(
    'CEL: a pattern that the object brings along',
    'brings',
    ruled('self.text.matches(self.pattern)', {
      type: 'object',
      properties: { text: { type: 'string', maxLength: 1000 }, pattern: { type: 'string', maxLength: 1000 } },
    }),
    { text: 'a'.repeat(1000), pattern: `${'(a{0,30}){0,30}'.repeat(20)}$` },
  ),
  costly(
    'CEL: parentheses 10,000 deep',
    'parens',
    ruled(`${'('.repeat(10_000)}true${')'.repeat(10_000)}`, { type: 'string' }),
    'x',
  ),
  costly(
    'CEL: 20,000 terms',
    'terms',
    ruled(Array.from({ length: 20_000 }, () => 'true').join('&&'), { type: 'string' }),
    'x',
  ),
  costly('CEL: negations 50,000 deep', 'nots', ruled(`${'!'.repeat(50_000)}true`, { type: 'string' }), 'x'),
  costly(
    'CEL: a duration, a quantity and an address of 100 KB',
    'units',
    ruled('isQuantity(self) || isIP(self) || isURL(self)', { type: 'string', maxLength: 200_000 }),
    '1'.repeat(100_000),
  ),
  costly(
    'a schema pattern that backtracks',
    'patterns',
    { type: 'string', pattern: '^(([a-z])+.)+[A-Z]([a-z])+$' },
    'a'.repeat(100_000),
  ),
  costly(
    'a schema pattern of counted repetitions',
    'counts',
    { type: 'string', pattern: '((a{0,1000}){0,1000}){0,1000}' },
    'a',
  ),
  ...[
    'hostname',
    'email',
    'uri',
    'ipv6',
    'date-time',
    'duration',
    'byte',
    'uuid',
    'isbn',
    'creditcard',
    'cidr',
    'mac',
    'rgbcolor',
  ].map((format, i) =>
    costly(
      `the format ${format} of 1 MB`,
      `format${String.fromCharCode(97 + i)}s`,
      { type: 'string', format },
      `${'a.-1:'.repeat(200_000)}!`,
      'judged, and the bystander served after it',
    ),
  ),
  bomb(
    'a CRD schema 400 deep',
    {
      path: definitions,
      body: definition('deeps', {
        properties: {
          a: Array.from({ length: 400 }).reduce<object>(
            (inner) => ({ type: 'object', properties: { a: inner } }),
            { type: 'string' },
          ),
        },
      }),
    },
    [201, 422],
    'admin',
  ),
  bomb(
    'a CRD schema 5,000 deep',
    {
      path: definitions,
      body: JSON.stringify(definition('deepest', { properties: { a: 'HERE' } })).replace(
        '"HERE"',
        `${'{"type":"object","properties":{"a":'.repeat(5_000)}{"type":"string"}${'}}'.repeat(5_000)}`,
      ),
    },
    400,
    'admin',
  ),
  bomb(
    'a CRD with 20,000 properties',
    {
      path: definitions,
      body: definition('wides', {
        properties: Object.fromEntries(
          Array.from({ length: 20_000 }, (_, i) => [`p${i}`, { type: 'string', maxLength: 10 }]),
        ),
      }),
    },
    [201, 422],
    'admin',
  ),
  bomb(
    'a CRD with $ref',
    { path: definitions, body: definition('refs', { properties: { a: { $ref: '#/definitions/x' } } }) },
    422,
    'admin',
  ),
  bomb(
    'a CRD with anyOf that multiplies',
    {
      path: definitions,
      body: definition('anies', {
        properties: {
          a: Array.from({ length: 12 }).reduce<object>((inner) => ({ anyOf: [inner, inner] }), {
            minLength: 1,
          }),
        },
      }),
    },
    [201, 413, 422],
    'admin',
  ),
  {
    name: '40 CRDs at once',
    outcome: 'all created',
    async send(victim) {
      const made = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          victim.ask('admin', {
            path: definitions,
            body: definition(`crowd${String.fromCharCode(97 + (i % 26))}${i < 26 ? 'a' : 'b'}`, {
              properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
            }),
          }),
        ),
      );
      for (const { code, body } of made) assert.equal(code, 201, body);
    },
  },
];

/** Idle watches by HTTP/2, 200 on each connection. */
async function openWatches(victim: Victim, count: number): Promise<ClientHttp2Session[]> {
  const perSession = 200;
  const sessions: ClientHttp2Session[] = [];
  for (let left = count; left > 0; left -= perSession) {
    const session = connectHttp2(victim.url, { ca: victim.ca, ...victim.identity('alice') });
    session.on('error', () => {});
    sessions.push(session);
    await Promise.all(
      Array.from({ length: Math.min(perSession, left) }, () => {
        const stream = session.request({
          ':path': `${configMaps}?watch=1&fieldSelector=metadata.name%3Dnone`,
        });
        stream.on('error', () => {});
        stream.resume();
        return new Promise<void>((resolve, reject) => {
          stream.once('response', (headers) =>
            headers[':status'] === 200 ? resolve() : reject(new Error(`${headers[':status']}`)),
          );
        });
      }),
    );
  }
  return sessions;
}

/** Ten thousand by `IDLE_WATCHES=10000`; what one costs does not depend on how many there are. */
const idleWatches = Number(process.env['IDLE_WATCHES'] ?? 2_000);

const watches: Attack[] = [
  {
    name: 'thousands of idle watches (10,000 by IDLE_WATCHES)',
    outcome: 'under 40 KiB each, writes go on, none is registered after they close',
    maxGrowthBytes: 450 * megabyte,
    async send(victim) {
      const before = victim.rssBytes();
      const sessions = await openWatches(victim, idleWatches);
      const each = (victim.rssBytes() - before) / idleWatches;
      const answers: Answer[] = [];
      const startedMs = performance.now();
      for (let i = 0; i < 20; i++)
        answers.push(
          await victim.ask('alice', { path: configMaps, body: { metadata: { generateName: 'busy-' } } }),
        );
      const writeMs = (performance.now() - startedMs) / 20;
      for (const session of sessions) session.destroy();
      assert.ok(answers.every(({ code }) => code === 201));
      console.log(
        `${idleWatches} watches: ${(each / 1024).toFixed(1)} KiB each, a write ${writeMs.toFixed(1)} ms`,
      );
      assert.ok(each < 40 * 1024, `${Math.round(each / 1024)} KiB each`);
      const metric = /apiserver_registered_watchers\{[^}]*kind="ConfigMap"[^}]*\} (\d+)/;
      const deadline = performance.now() + 10_000;
      for (;;) {
        const { body } = await victim.ask('admin', { path: '/metrics' });
        if (Number(metric.exec(body)?.[1] ?? 0) < 10) break;
        assert.ok(performance.now() < deadline, String(metric.exec(body)?.[0]));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
  },
  {
    name: '50 watchers that read nothing while objects change',
    outcome: 'memory stays within 400 MiB',
    maxGrowthBytes: 400 * megabyte,
    async send(victim) {
      const session = connectHttp2(victim.url, {
        ca: victim.ca,
        ...victim.identity('alice'),
        settings: { initialWindowSize: 0 },
      });
      session.on('error', () => {});
      for (let i = 0; i < 50; i++)
        session.request({ ':path': `${configMaps}?watch=1` }).on('error', () => {});
      const data = { a: 'x'.repeat(200_000) };
      await victim.ask('alice', { path: configMaps, body: { metadata: { name: 'churn' }, data } });
      for (let i = 0; i < 150; i++)
        await victim.ask('alice', {
          method: 'PATCH',
          path: `${configMaps}/churn`,
          headers: merge,
          body: { data: { b: String(i) } },
        });
      session.destroy();
    },
  },
];

export const bombs: AttackTable = {
  title: 'Resources',
  attacks: [...documents, ...patches, ...queries, ...expressions, ...watches],
};
