import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { arbitraryObject } from '../schema/arbitrary.ts';
import { decodeObject } from '../schema/decode.ts';
import { type StructSchema, knownKinds, schemaOf, schemaOfObject, structOf } from '../schema/schema.ts';
import { parseJson, stringifyJson } from './json.ts';
import {
  decodeMessage,
  decodeProtobuf,
  encodeMessage,
  encodeProtobuf,
  encodeProtobufList,
  envelope,
  hasProtobuf,
  openEnvelope,
} from './protobuf.ts';
import { maxFrameBytes, readWatchFrames, watchFrame } from './protobuf-watch.ts';

const numRuns = Number(process.env['ITERATIONS'] ?? 10);

type Typed = Record<string, unknown> & { apiVersion: string; kind: string };

/** Through our decoder: upstream's nulls for lists become what we keep. */
const inOurForm = (object: Typed): Typed => ({
  apiVersion: object.apiVersion,
  kind: object.kind,
  ...decodeObject(schemaOfObject(object) as StructSchema, object).object,
});

describe('every built-in kind', () => {
  for (const kind of knownKinds()) {
    it(`${kind.group}/${kind.version} ${kind.kind} survives protobuf and JSON`, () => {
      assert.ok(hasProtobuf(kind));
      fc.assert(
        fc.property(arbitraryObject(kind), (object) => {
          assert.deepEqual(decodeProtobuf(encodeProtobuf(object)), object);
          const parsed = parseJson(stringifyJson(object)) as Typed;
          assert.deepEqual(decodeObject(schemaOf(kind) as StructSchema, parsed).strictErrors, []);
          assert.deepEqual(inOurForm(parsed), object);
        }),
        { numRuns },
      );
    });
  }
});

describe('a list that is encoded slice by slice', () => {
  const types = { apiVersion: 'v1', kind: 'ConfigMapList' };
  const items = Array.from({ length: 7 }, (_, i) => ({
    metadata: { name: `a-${i}` },
    data: { text: 'x'.repeat(i * 100) },
  }));
  for (const [what, slices] of [
    ['one slice', [items]],
    ['many', [items.slice(0, 1), items.slice(1, 4), [], items.slice(4)]],
    ['none', []],
  ] as const) {
    it(`is the same bytes as one encoded at once: ${what}`, () => {
      for (const metadata of [{ resourceVersion: '300' }, {}]) {
        const whole = encodeProtobuf({ ...types, metadata, items: slices.flat() });
        const chunks = [...encodeProtobufList({ ...types, metadata }, slices)];
        assert.deepEqual(Buffer.concat(chunks), whole);
        assert.ok(chunks.filter(({ length }) => length === 0).length >= slices.length);
      }
    });
  }
});

describe('vectors made with the Go types of k8s.io/api v0.36.0', () => {
  const vectors = readFileSync(new URL('testdata/kinds.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { json: string; protobuf: string });

  it('cover every kind', () => {
    const kinds = new Set(
      vectors.map(
        ({ json }) => `${(JSON.parse(json) as Typed).apiVersion} ${(JSON.parse(json) as Typed).kind}`,
      ),
    );
    assert.equal(kinds.size, knownKinds().length);
  });

  for (const { json, protobuf } of vectors) {
    const object = parseJson(json) as Typed;
    it(`${object.apiVersion} ${object.kind}: Go's protobuf and Go's JSON are the same object`, () => {
      const bytes = Buffer.from(protobuf, 'base64');
      assert.deepEqual(decodeProtobuf(bytes), inOurForm(object));
      assert.deepEqual(decodeProtobuf(encodeProtobuf(decodeProtobuf(bytes) as Typed)), inOurForm(object));
    });
  }
});

describe('encodeProtobuf', () => {
  const configMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a' },
    data: { b: '2', a: '1' },
  };

  it('writes magic, envelope and message', () => {
    const opened = openEnvelope(encodeProtobuf(configMap));
    assert.deepEqual([opened.apiVersion, opened.kind, opened.contentType], ['v1', 'ConfigMap', '']);
    assert.equal(Buffer.from(opened.raw).toString('hex'), '0a030a016112060a016112013112060a0162120132');
  });

  it('writes equal objects as equal bytes, whatever the order of keys', () => {
    const other = { kind: 'ConfigMap', data: { a: '1', b: '2' }, metadata: { name: 'a' }, apiVersion: 'v1' };
    assert.deepEqual(encodeProtobuf(configMap), encodeProtobuf(other));
  });

  it('tells a pointer to zero from nothing', () => {
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {},
      spec: { replicas: 0, minReadySeconds: 0 },
    };
    const spec = decodeProtobuf(encodeProtobuf(deployment))['spec'] as Record<string, unknown>;
    assert.equal(spec['replicas'], 0);
    assert.equal('minReadySeconds' in spec, false);
  });

  it('refuses kinds without a protobuf form, and names the field of a wrong value', () => {
    assert.throws(
      () => encodeProtobuf({ apiVersion: 'example.com/v1', kind: 'Foo' }),
      /Foo in example.com\/v1 has no protobuf form/,
    );
    assert.throws(() => encodeProtobuf({ apiVersion: 'meta.k8s.io/v1', kind: 'Table' }), /no protobuf form/);
    const wrong = { apiVersion: 'v1', kind: 'Pod', spec: { containers: [{ name: 7 }] } };
    assert.throws(() => encodeProtobuf(wrong), {
      name: 'ProtobufError',
      message: 'spec: containers: name: expected string, got number',
    });
  });

  it('reads the common kinds of any group', () => {
    const options = {
      apiVersion: 'policy/v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      dryRun: ['All'],
    };
    assert.deepEqual(decodeProtobuf(encodeProtobuf(options)), options);
  });
});

describe('decodeProtobuf', () => {
  it('reads an object in its envelope inside a raw field', () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [] },
      status: {},
    };
    const list = Buffer.concat([Buffer.from([0x12, 0]), encodeProtobuf(pod)]);
    const raw = encodeProtobuf(pod);
    const item = Buffer.concat([Buffer.from([0x0a, raw.length]), raw]);
    const bytes = Buffer.concat([Buffer.from([0x12, item.length]), item]);
    assert.ok(list.length > 0 && raw.length < 100);
    const decoded = decodeMessage(structOf('core.v1.List'), bytes);
    assert.deepEqual(decoded['items'], [pod]);
  });

  it('takes kind and version from the caller where the envelope has none', () => {
    const raw = encodeMessage(structOf('core.v1.Secret'), { metadata: { name: 's' }, data: { k: 'dg==' } });
    const bytes = envelope({ apiVersion: '', kind: '' }, raw);
    assert.throws(() => decodeProtobuf(bytes), /no protobuf form/);
    const secret = decodeProtobuf(bytes, { apiVersion: 'v1', kind: 'Secret' });
    assert.deepEqual(secret['data'], { k: 'dg==' });
  });

  it('refuses other bytes, and survives every mutilation', () => {
    assert.throws(
      () => decodeProtobuf(Buffer.from('{"kind":"Pod"}')),
      /does not appear to be a protobuf message/,
    );
    const bytes = encodeProtobuf({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', labels: { a: 'b' }, creationTimestamp: '2024-01-02T03:04:05Z' },
      spec: {
        containers: [{ name: 'c', resources: { requests: { cpu: '100m' } }, ports: [{ containerPort: 80 }] }],
      },
    });
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 5 }), fc.nat({ max: 255 }), fc.boolean(), (at, byte, cut) => {
        const mutilated = Buffer.from(cut ? bytes.subarray(0, at + 4) : bytes);
        if (!cut) mutilated[at + 4] = byte;
        try {
          decodeProtobuf(mutilated);
        } catch (error) {
          assert.match(String(error), /ProtobufError|QuantityError/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('stops at messages that nest too deep', () => {
    const schema = structOf('apiextensions.v1.JSONSchemaProps');
    let value: Record<string, unknown> = {};
    for (let i = 0; i < 600; i++) value = { not: value };
    assert.throws(() => encodeMessage(schema, value), /nest too deep/);
    assert.ok(encodeMessage(schema, { not: {} }).length > 0);
  });
});

describe('watch frames', () => {
  const events = [
    { type: 'ADDED', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } } },
    {
      type: 'DELETED',
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b' }, data: { x: 'y'.repeat(300) } },
    },
    {
      type: 'ERROR',
      object: { apiVersion: 'v1', kind: 'Status', metadata: {}, code: 410, reason: 'Expired' },
    },
  ];
  const stream = Buffer.concat(events.map(({ type, object }) => watchFrame(type, encodeProtobuf(object))));

  async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const readAll = async (bytes: Buffer, size: number): Promise<unknown[]> => {
    const out: unknown[] = [];
    for await (const event of readWatchFrames(inChunks(bytes, size))) out.push(event);
    return out;
  };

  it('are read however the bytes arrive', async () => {
    for (const size of [1, 3, 7, 100, 10_000]) assert.deepEqual(await readAll(stream, size), events);
  });

  it('start with four bytes of length', () => {
    assert.equal(
      stream.readUInt32BE(0),
      watchFrame('ADDED', encodeProtobuf(events[0]?.object ?? {})).length - 4,
    );
  });

  it('are refused when cut short or too large', async () => {
    await assert.rejects(readAll(stream.subarray(0, -1), 50), /ended inside a frame/);
    const huge = Buffer.alloc(8);
    huge.writeUInt32BE(maxFrameBytes + 1);
    await assert.rejects(readAll(huge, 8), /too large/);
  });
});
