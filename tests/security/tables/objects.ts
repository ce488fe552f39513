// Objects, patches and schemas that try to be more than data.
import assert from 'node:assert/strict';
import type { Attack, AttackTable } from '../attack.ts';
import type { Answer, Asked } from '../send.ts';
import type { Victim } from '../victim.ts';

const configMaps = '/api/v1/namespaces/team/configmaps';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const patchOf = (type: string): Record<string, string> => ({ 'content-type': type });
const merge = patchOf('application/merge-patch+json');
const json = patchOf('application/json-patch+json');
const strategic = patchOf('application/strategic-merge-patch+json');
const apply = patchOf('application/apply-patch+yaml');
const yaml = patchOf('application/yaml');

/** No object of the server's own may have got a member from outside. */
function nothingPolluted(): void {
  for (const name of ['polluted', 'isAdmin', 'allowed'])
    assert.equal(({} as Record<string, unknown>)[name], undefined, `Object.prototype.${name}`);
  assert.equal(typeof Object.prototype.toString, 'function');
  assert.equal({}.constructor, Object);
}

const asData = (name: string, asked: Asked, more: Partial<Attack> = {}): Attack => ({
  name,
  outcome: 'data or refused, no prototype changes',
  code: [200, 201, 400, 409, 415, 422],
  async send(victim) {
    const answer = await victim.ask('alice', asked);
    nothingPolluted();
    assert.doesNotMatch(
      answer.body,
      /is not a function|Cannot read prop|undefined \(reading|is not iterable/,
    );
    return answer;
  },
  ...more,
});

const keys = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
];

const prototypes: Attack[] = [
  ...keys.map((key) =>
    asData(
      `a ConfigMap with the key ${key}`,
      {
        path: configMaps,
        body: `{"metadata":{"name":"key-${keys.indexOf(key)}"},"data":{"${key}":"polluted"}}`,
      },
      { code: 201, says: new RegExp(`"${key}":"polluted"`), outcome: 'stored as data' },
    ),
  ),
  ...keys.map((key) =>
    asData(`${key} as a label, annotation and top-level field`, {
      path: configMaps,
      body: `{"${key}":{"polluted":1},"metadata":{"${key}":{"polluted":1},"name":"label-${keys.indexOf(key)}","labels":{"${key}":"x"},"annotations":{"${key}":"x"}},"data":{"a":"b"}}`,
    }),
  ),
  asData('__proto__ as data that is an object', {
    path: configMaps,
    body: '{"metadata":{"name":"p1"},"data":{"__proto__":{"polluted":"1"}}}',
  }),
  asData('__proto__ by escapes', {
    path: configMaps,
    body: '{"metadata":{"name":"p2"},"data":{"\\u005f_proto__":"1"}}',
  }),
  asData('__proto__ in YAML', {
    path: configMaps,
    headers: yaml,
    body: 'metadata: {name: p3, __proto__: {polluted: 1}}\ndata: {__proto__: "1"}\n',
  }),
  asData('a YAML merge key that merges __proto__', {
    path: configMaps,
    headers: yaml,
    body: 'metadata:\n  name: p4\n  <<: {__proto__: {polluted: 1}}\ndata: {a: "1"}\n',
  }),
  asData('merge patch with __proto__', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: merge,
    body: '{"__proto__":{"polluted":1},"data":{"__proto__":"1"}}',
  }),
  asData('merge patch with constructor.prototype', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: merge,
    body: '{"constructor":{"prototype":{"polluted":1}}}',
  }),
  asData('strategic patch with __proto__', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: strategic,
    body: '{"__proto__":{"polluted":1},"metadata":{"__proto__":{"polluted":1},"labels":{"__proto__":null}}}',
  }),
  asData('strategic patch with a directive for everything', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: strategic,
    body: '{"$patch":"delete"}',
  }),
  asData('strategic patch that retains keys of the prototype', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: strategic,
    body: '{"data":{"$retainKeys":["__proto__"],"__proto__":"1"}}',
  }),
  ...[
    '/__proto__/polluted',
    '/constructor/prototype/polluted',
    '/metadata/__proto__/polluted',
    '/data/__proto__',
    '/metadata/labels/__proto__',
  ].map((path) =>
    asData(`JSON patch adds ${path}`, {
      method: 'PATCH',
      path: `${configMaps}/board`,
      headers: json,
      body: [{ op: 'add', path, value: '1' }],
    }),
  ),
  asData('JSON patch copies the prototype', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: json,
    body: [{ op: 'copy', from: '/__proto__', path: '/data/x' }],
  }),
  asData('JSON patch moves the constructor', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: json,
    body: [{ op: 'move', from: '/constructor', path: '/data/x' }],
  }),
  asData('JSON patch at an index beyond all', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: json,
    body: [{ op: 'add', path: '/metadata/finalizers/99999999999', value: 'x' }],
  }),
  asData('JSON patch into the length of a list', {
    method: 'PATCH',
    path: `${configMaps}/board`,
    headers: json,
    body: [{ op: 'add', path: '/metadata/managedFields/length', value: 1e9 }],
  }),
  asData(
    'server-side apply with __proto__',
    {
      method: 'PATCH',
      path: `${configMaps}/board?fieldManager=x&force=true`,
      headers: apply,
      body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"board"},"data":{"__proto__":"1"},"__proto__":{"polluted":1}}',
    },
    {
      code: 500,
      says: /field not declared in schema/,
      outcome: 'refused as upstream does: 500, field not declared in schema',
    },
  ),
  asData('label selector with __proto__', { path: `${configMaps}?labelSelector=__proto__%3Dx,constructor` }),
  asData('field selector with __proto__', { path: `${configMaps}?fieldSelector=__proto__%3Dx` }),
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty'].flatMap((name) => [
    asData(
      `a resource called ${name}`,
      { path: `/api/v1/namespaces/team/${name}` },
      { code: [403, 404], outcome: '403 or 404' },
    ),
    asData(
      `an API group called ${name}`,
      { path: `/apis/${name}/v1/x` },
      { code: [403, 404], outcome: '403 or 404' },
    ),
    asData(`an object called ${name}`, { path: `${configMaps}/${name}` }, { code: 404, outcome: '404' }),
    asData(
      `a subresource called ${name}`,
      { path: `${configMaps}/board/${name}` },
      { code: [403, 404], outcome: '403 or 404' },
    ),
    asData(
      `a body of the kind ${name}`,
      { path: configMaps, body: { apiVersion: 'v1', kind: name, metadata: { name: 'x' } } },
      { code: 400, outcome: '400' },
    ),
    asData(
      `a content type called ${name}`,
      { path: configMaps, headers: { 'content-type': name }, body: '{}' },
      { code: [400, 415], outcome: '415' },
    ),
    asData(
      `a patch of the type ${name}`,
      { method: 'PATCH', path: `${configMaps}/board`, headers: { 'content-type': name }, body: '{}' },
      { code: 415, outcome: '415' },
    ),
    asData(
      `a YAML tag ${name}`,
      {
        path: configMaps,
        headers: yaml,
        body: `metadata: {name: tagged-${name.toLowerCase().replaceAll('_', '')}}\ndata: {a: !<${name}> "text"}\n`,
      },
      { code: 201, says: /"a":"text"/, outcome: 'stored as text' },
    ),
    asData(
      `an Accept of ${name}`,
      { path: configMaps, headers: { accept: name } },
      { code: 406, outcome: '406' },
    ),
    asData(
      `an Accept of as=${name}`,
      { path: configMaps, headers: { accept: `application/json;as=${name};v=v1;g=meta.k8s.io` } },
      { code: 406, outcome: '406' },
    ),
    asData(
      `OpenAPI of the group ${name}`,
      { path: `/openapi/v3/apis/${name}/v1` },
      { code: [403, 404], outcome: '404' },
    ),
  ]),
];

const meta = (more: object): object => ({ metadata: { name: 'meta', ...more }, data: { a: 'b' } });

const metadata: Attack[] = [
  {
    name: 'uid, resourceVersion, creationTimestamp and deletionTimestamp of one’s own at create',
    outcome: 'the server’s own, or refused',
    async send(victim) {
      const { body, code } = await victim.ask('alice', {
        path: configMaps,
        body: meta({
          uid: 'mine',
          creationTimestamp: '2000-01-01T00:00:00Z',
          selfLink: '/x',
          deletionTimestamp: '2000-01-01T00:00:00Z',
        }),
      });
      assert.equal(code, 201, body);
      assert.doesNotMatch(body, /"mine"|2000-01-01|selfLink/);
    },
  },
  {
    name: 'a uid of another object at update',
    outcome: '409',
    code: 409,
    send: (v) =>
      v.ask('alice', {
        method: 'PUT',
        path: `${configMaps}/board`,
        body: { metadata: { name: 'board', uid: 'f8c62f40-0000-0000-0000-000000000000' } },
      }),
  },
  {
    name: 'managedFields that blame another',
    outcome: 'who wrote is noted as who wrote',
    async send(victim) {
      const forged = [
        {
          manager: 'kube-controller-manager',
          operation: 'Apply',
          apiVersion: 'v1',
          time: '2020-01-01T00:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:data': { 'f:a': {} } },
        },
      ];
      const { body } = await victim.ask('alice', {
        path: `${configMaps}?fieldManager=alice`,
        body: { metadata: { name: 'blame', managedFields: forged }, data: { b: 'c' } },
      });
      assert.match(body, /"manager":"alice"/);
      return undefined;
    },
  },
  {
    name: 'managedFields that are no sets',
    outcome: 'ignored or refused',
    code: [200, 400, 422],
    send: (v) =>
      v.ask('alice', {
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
                fieldsV1: { 'k:{"__proto__":1}': { 'v:{': {} } },
              },
            ],
          },
        },
      }),
  },
  {
    name: 'an owner reference without a kind',
    outcome: '422',
    code: 422,
    send: (v) =>
      v.ask('alice', {
        path: configMaps,
        body: meta({ name: 'owned', ownerReferences: [{ apiVersion: 'v1', kind: '', name: '', uid: '' }] }),
      }),
  },
  {
    name: 'a finalizer with a slash too many',
    outcome: '422',
    code: 422,
    send: (v) => v.ask('alice', { path: configMaps, body: meta({ name: 'final', finalizers: ['a/b/c'] }) }),
  },
  {
    name: 'a finalizer added to what is being deleted',
    outcome: '422',
    code: 422,
    async send(v) {
      await v.ask('alice', {
        path: configMaps,
        body: meta({ name: 'dying', finalizers: ['example.com/a'] }),
      });
      await v.ask('alice', { path: `${configMaps}/dying`, method: 'DELETE' });
      return await v.ask('alice', {
        path: `${configMaps}/dying`,
        method: 'PATCH',
        headers: merge,
        body: { metadata: { finalizers: ['example.com/a', 'example.com/b'] } },
      });
    },
  },
  {
    name: 'a label whose key is a prefix of 300 characters',
    outcome: '422',
    code: 422,
    send: (v) =>
      v.ask('alice', {
        path: configMaps,
        body: meta({ name: 'label', labels: { [`${'a'.repeat(300)}/b`]: 'c' } }),
      }),
  },
  {
    name: 'annotations of 300 KB',
    outcome: '422',
    code: 422,
    send: (v) =>
      v.ask('alice', {
        path: configMaps,
        body: meta({ name: 'notes', annotations: { a: 'x'.repeat(300 * 1024) } }),
      }),
  },
  {
    name: 'a ConfigMap of 2 MB',
    outcome: '422',
    code: [413, 422],
    send: (v) =>
      v.ask('alice', {
        path: configMaps,
        body: { metadata: { name: 'large' }, data: { a: 'x'.repeat(2 * 1024 * 1024) } },
      }),
  },
  {
    name: 'a field manager with control characters',
    outcome: '422',
    code: 422,
    send: (v) =>
      v.ask('alice', { path: `${configMaps}?fieldManager=a%0d%0ab`, body: meta({ name: 'crlf' }) }),
  },
  {
    name: 'CR and LF in what comes back as a Warning header',
    outcome: 'no header is added',
    async send(v) {
      const { headers } = await v.ask('alice', {
        path: configMaps,
        body: '{"metadata":{"name":"warned"},"data":{},"x\\r\\nX-Injected: 1":1}',
      });
      assert.equal(headers['x-injected'], undefined);
    },
  },
  {
    name: 'CR and LF in the Audit-ID',
    outcome: 'another one is made',
    async send(v) {
      const { headers } = await v.ask('alice', { path: configMaps, headers: { 'audit-id': 'a b<script>' } });
      assert.match(String(headers['audit-id']), /^[-\w]+$/);
    },
  },
  {
    name: 'script in a path that the error repeats',
    outcome: 'JSON with its own content type',
    async send(v) {
      const { headers, code } = await v.ask('alice', {
        path: `${configMaps}/%3Cscript%3Ealert(1)%3C%2fscript%3E`,
      });
      assert.ok(code >= 400);
      assert.match(String(headers['content-type']), /^application\/json/);
    },
  },
];

const protobuf = patchOf('application/vnd.kubernetes.protobuf');
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
const field = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.from([(number << 3) | 2, ...varint(bytes.length), ...bytes]);
const unknown = (kind: string, raw: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, Buffer.from('v1')), field(2, Buffer.from(kind))])),
    field(2, raw),
  ]);

const malformed: ReadonlyArray<readonly [string, Buffer]> = [
  ['that ends at once', Buffer.from('k8s\0')],
  ['whose length is 2^32', Buffer.from([0x6b, 0x38, 0x73, 0, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
  ['whose varint never ends', Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(1000, 0xff)])],
  ['of another kind', unknown('Secret', Buffer.alloc(0))],
  ['of groups', Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(100_000, 0x0b)])],
  ['with a truncated object', unknown('ConfigMap', Buffer.from([0x0a, 0x7f]))],
];

const binary: Attack[] = malformed.map(([what, bytes]): Attack => ({
  name: `protobuf ${what}`,
  outcome: '400',
  code: 400,
  send: (v) => v.ask('alice', { path: configMaps, headers: protobuf, body: bytes }),
}));

binary.push({
  name: 'protobuf JSONSchemaProps nested 3,000 deep',
  outcome: '400',
  code: [400, 413, 422],
  send: (v) => {
    // spec.versions[].schema.openAPIV3Schema.items.schema…: lengths are written from the inside.
    let schema: Buffer = Buffer.alloc(0);
    for (let i = 0; i < 3_000; i++) schema = field(27, field(1, schema));
    const definition = field(
      2,
      field(7, Buffer.concat([field(1, Buffer.from('v1')), field(4, field(1, schema))])),
    );
    const kind = Buffer.concat([
      field(1, Buffer.from('apiextensions.k8s.io/v1')),
      field(2, Buffer.from('CustomResourceDefinition')),
    ]);
    return v.ask('admin', {
      path: definitions,
      headers: protobuf,
      body: Buffer.concat([Buffer.from('k8s\0'), field(1, kind), field(2, definition)]),
    });
  },
});

/** A definition of `plural.pest.example.com`. */
export function definition(plural: string, schema: object, more: object = {}): object {
  const kind = plural[0]?.toUpperCase() + plural.slice(1);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.pest.example.com` },
    spec: {
      group: 'pest.example.com',
      scope: 'Namespaced',
      names: { plural, singular: plural.slice(0, -1), kind, listKind: `${kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', ...schema } },
          ...more,
        },
      ],
    },
  };
}

/** Creates a definition and waits until it is served. */
export async function serve(
  victim: Victim,
  plural: string,
  schema: object,
  more: object = {},
): Promise<Answer> {
  const made = await victim.ask('admin', { path: definitions, body: definition(plural, schema, more) });
  if (made.code !== 201) return made;
  await untilServed(victim, plural);
  return made;
}

async function untilServed(victim: Victim, plural: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while ((await victim.ask('admin', { path: `/apis/pest.example.com/v1/${plural}` })).code !== 200) {
    assert.ok(performance.now() < deadline, `${plural} was never served`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const pest = (plural: string): string => `/apis/pest.example.com/v1/namespaces/team/${plural}`;
const typed = (plural: string, body: string): Asked => ({
  path: pest(plural),
  body: `{"apiVersion":"pest.example.com/v1","kind":"${plural[0]?.toUpperCase()}${plural.slice(1)}",${body.slice(1)}`,
});

const custom: Attack[] = [
  {
    name: 'a schema whose properties are __proto__ and constructor, with defaults',
    outcome: 'data, no prototype changes',
    async send(victim) {
      const { body, code } = await serve(
        victim,
        'protos',
        JSON.parse(
          '{"properties":{"__proto__":{"type":"string","default":"polluted"},"constructor":{"type":"object","properties":{"prototype":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}',
        ) as object,
      );
      nothingPolluted();
      if (code !== 201) return assert.equal(code, 422, body);
      const made = await victim.ask(
        'alice',
        typed(
          'protos',
          '{"metadata":{"name":"a"},"__proto__":"x","constructor":{"prototype":{"polluted":1}}}',
        ),
      );
      nothingPolluted();
      assert.ok([201, 400, 422].includes(made.code), made.body);
      assert.ok(
        [200, 415, 422].includes(
          (
            await victim.ask('alice', {
              method: 'PATCH',
              path: `${pest('protos')}/a`,
              headers: merge,
              body: '{"__proto__":{"polluted":1}}',
            })
          ).code,
        ),
      );
      nothingPolluted();
    },
  },
  {
    name: 'preserveUnknownFields and __proto__ in a custom object',
    outcome: 'data, no prototype changes',
    async send(victim) {
      await serve(victim, 'wilds', { 'x-kubernetes-preserve-unknown-fields': true });
      const made = await victim.ask(
        'alice',
        typed(
          'wilds',
          '{"metadata":{"name":"a"},"__proto__":{"polluted":1},"spec":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}',
        ),
      );
      assert.equal(made.code, 201, made.body);
      nothingPolluted();
      for (const [headers, path, body] of [
        [merge, '', '{"spec":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}}}}'],
        [json, '', '[{"op":"add","path":"/spec/__proto__/polluted","value":1}]'],
        [
          apply,
          '?fieldManager=x&force=true',
          '{"apiVersion":"pest.example.com/v1","kind":"Wilds","metadata":{"name":"a"},"spec":{"__proto__":{"polluted":1}}}',
        ],
      ] as const) {
        const { code, body: text } = await victim.ask('alice', {
          method: 'PATCH',
          path: `${pest('wilds')}/a${path}`,
          headers,
          body,
        });
        assert.ok([200, 422].includes(code), `${code} ${text}`);
        nothingPolluted();
      }
    },
  },
  ...[
    ['a group that is the server’s own', { group: 'apps' }],
    ['a group under k8s.io without approval', { group: 'x.k8s.io' }],
    ['a plural with a slash', { names: { plural: 'a/b', kind: 'X', listKind: 'XList', singular: 'x' } }],
    ['a plural __proto__', { names: { plural: '__proto__', kind: 'X', listKind: 'XList', singular: 'x' } }],
  ].map(([what, change]): Attack => ({
    name: `a CRD with ${what as string}`,
    outcome: '422',
    code: 422,
    send: (victim) => {
      const base = definition('tricks', {}) as {
        metadata: { name: string };
        spec: { group: string; names: { plural: string } };
      };
      Object.assign(base.spec, change);
      base.metadata.name = `${base.spec.names.plural}.${base.spec.group}`;
      return victim.ask('admin', { path: definitions, body: base });
    },
  })),
  {
    name: 'a CRD of the kind Constructor whose string has the format constructor',
    outcome: 'data',
    async send(victim) {
      const kind = {
        names: {
          plural: 'constructors',
          singular: 'constructor',
          kind: 'constructor',
          listKind: 'constructorList',
        },
      };
      const base = definition('constructors', {
        properties: {
          spec: {
            type: 'object',
            properties: { a: { type: 'string', format: 'constructor' } },
            'x-kubernetes-validations': [{ rule: "self.a == 'x'" }],
          },
        },
      }) as { spec: object };
      Object.assign(base.spec, kind);
      const made = await victim.ask('admin', { path: definitions, body: base });
      assert.equal(made.code, 201, made.body);
      await untilServed(victim, 'constructors');
      const body = (name: string, a: string): object => ({
        apiVersion: 'pest.example.com/v1',
        kind: 'constructor',
        metadata: { name },
        spec: { a },
      });
      const path = pest('constructors');
      assert.equal((await victim.ask('alice', { path, body: body('good', 'x') })).code, 201);
      const refusal = await victim.ask('alice', { path, body: body('bad', 'y') });
      assert.equal(refusal.code, 422, refusal.body);
      assert.match(refusal.body, /failed rule/);
      assert.equal(
        (
          await victim.ask('alice', {
            method: 'PATCH',
            path: `${path}/good`,
            headers: merge,
            body: { metadata: { labels: { a: 'b' } } },
          })
        ).code,
        200,
      );
    },
  },
  {
    name: 'printer columns and selectable fields that reach for the prototype',
    outcome: 'shown as nothing, or refused',
    async send(victim) {
      const { code, body } = await serve(
        victim,
        'columns',
        { properties: { spec: { type: 'object', properties: { a: { type: 'string' } } } } },
        {
          additionalPrinterColumns: [
            '.__proto__.polluted',
            '.constructor.name',
            '.metadata.constructor',
            '.spec.a.length',
          ].map((jsonPath, i) => ({ name: `c${i}`, type: 'string', jsonPath })),
        },
      );
      if (code !== 201) return assert.equal(code, 422, body);
      await victim.ask('alice', typed('columns', '{"metadata":{"name":"a"},"spec":{"a":"x"}}'));
      const table = await victim.ask('alice', {
        path: pest('columns'),
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      });
      assert.equal(table.code, 200, table.body);
      assert.doesNotMatch(table.body, /"Object"|native code|function/);
    },
  },
];

export const objects: AttackTable = {
  title: 'Objects',
  attacks: [...prototypes, ...metadata, ...binary, ...custom],
};
