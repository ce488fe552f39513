import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import protobuf from 'protobufjs/light.js';
import { type PackageFacts, camelCase, loadRoot, messageCodec, serviceDefinition } from './facts.ts';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../data/${name}`, import.meta.url), 'utf8'));
const cri = loadRoot([read('cri-v1-proto.json') as PackageFacts], { camelCase: true });
const etcd = loadRoot(Object.values(read('etcd-v3-proto.json') as Record<string, PackageFacts>), {
  camelCase: true,
});

/** Messages of a root, by full name. */
function typesOf(scope: protobuf.NamespaceBase): protobuf.Type[] {
  return scope.nestedArray.flatMap((item) => [
    ...(item instanceof protobuf.Type ? [item] : []),
    ...(item instanceof protobuf.Namespace ? typesOf(item) : []),
  ]);
}

/** Messages as they come out of a decoder: defaults present, nested messages at will. */
function arbitraryOf(type: protobuf.Type, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const single = (field: protobuf.Field): fc.Arbitrary<unknown> => {
    const { resolvedType } = field;
    if (resolvedType instanceof protobuf.Enum) return fc.constantFrom(...Object.values(resolvedType.values));
    if (resolvedType instanceof protobuf.Type) return arbitraryOf(resolvedType, depth - 1);
    switch (field.type) {
      case 'int64':
        return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
      case 'uint64':
        return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
      case 'int32':
        return fc.integer();
      case 'uint32':
        return fc.nat();
      case 'bool':
        return fc.boolean();
      case 'double':
        return fc.double({ noNaN: true });
      case 'bytes':
        return fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes));
      default:
        return fc.string({ unit: 'grapheme', maxLength: 9 });
    }
  };
  const shape: Record<string, fc.Arbitrary<unknown>> = {};
  const optional: string[] = [];
  for (const field of type.fieldsArray) {
    field.resolve();
    if (field.partOf && field.partOf.fieldsArray[0] !== field) continue;
    const nested = field.resolvedType instanceof protobuf.Type;
    if (field.map)
      shape[field.name] = fc.dictionary(fc.string({ maxLength: 5 }), single(field), { maxKeys: 2 });
    else if (field.repeated)
      shape[field.name] = nested && depth <= 0 ? fc.constant([]) : fc.array(single(field), { maxLength: 2 });
    else if (nested || field.partOf) {
      if (nested && depth <= 0) continue;
      optional.push(field.name);
      shape[field.name] = single(field);
    } else shape[field.name] = single(field);
  }
  const required = Object.keys(shape).filter((key) => !optional.includes(key));
  return fc.record(shape, { requiredKeys: required, noNullPrototype: true });
}

/** Dictionaries from fast-check may have no prototype; nothing else differs. */
const plain = (value: unknown): unknown => structuredClone(value);

describe('messageCodec', () => {
  for (const type of [...typesOf(cri), ...typesOf(etcd)]) {
    const name = type.fullName.slice(1);
    it(`round-trips ${name}, and protobufjs reads and writes the same bytes`, () => {
      const codec = messageCodec(name.startsWith('runtime') ? cri : etcd, name);
      fc.assert(
        fc.property(arbitraryOf(type, 2), (message) => {
          const bytes = codec.encode(message);
          assert.deepEqual(plain(codec.decode(bytes)), plain(message));
          assert.deepEqual(plain(codec.decode(type.encode(type.decode(bytes)).finish())), plain(message));
        }),
        { numRuns: 10 },
      );
    });
  }

  it('gives defaults for what was not sent, and leaves messages out', () => {
    assert.deepEqual(messageCodec(cri, 'runtime.v1.PodSandboxStatus').decode(Buffer.alloc(0)), {
      id: '',
      state: 0,
      createdAt: 0n,
      labels: {},
      annotations: {},
      runtimeHandler: '',
    });
  });

  it('sends a chosen member of a oneof though it is the default, and the last one sent wins', () => {
    const compare = messageCodec(etcd, 'etcdserverpb.Compare');
    const sent = compare.encode({ key: Buffer.from('k'), modRevision: 0 });
    assert.equal(compare.decode(sent)['modRevision'], 0n);
    const two = compare.decode(Buffer.concat([sent, compare.encode({ version: 3n })]));
    assert.deepEqual([two['modRevision'], two['version']], [undefined, 3n]);
  });

  it('skips unknown fields', () => {
    const unknown = new protobuf.Writer()
      .uint32((900 << 3) | 2)
      .string('later')
      .uint32((901 << 3) | 1)
      .double(1);
    const version = messageCodec(cri, 'runtime.v1.VersionRequest');
    const bytes = Buffer.concat([unknown.finish(), version.encode({ version: 'v1' })]);
    assert.deepEqual(version.decode(bytes), { version: 'v1' });
  });

  it('names message and field of a wrong value', () => {
    const codec = messageCodec(cri, 'runtime.v1.RunPodSandboxRequest');
    assert.throws(() => codec.encode({ config: { hostname: 7 } }), {
      name: 'TypeError',
      message:
        'runtime.v1.RunPodSandboxRequest.config: runtime.v1.PodSandboxConfig.hostname: expected string, got number',
    });
    assert.throws(
      () => messageCodec(cri, 'runtime.v1.PortMapping').encode({ hostPort: 2 ** 40 }),
      /runtime.v1.PortMapping.hostPort: 1099511627776 exceeds int32/,
    );
  });

  it('refuses truncated bytes', () => {
    const codec = messageCodec(cri, 'runtime.v1.VersionResponse');
    const bytes = codec.encode({ version: '0.1.0', runtimeName: 'containerd' });
    for (let end = 1; end < bytes.length; end++) {
      const cut = bytes.subarray(0, end);
      try {
        assert.ok(
          codec.encode(codec.decode(cut)).length <= end,
          'a cut at a field boundary is a shorter message',
        );
      } catch (error) {
        assert.match(String(error), /index out of range|truncated/);
      }
    }
  });
});

describe('serviceDefinition', () => {
  it('has the path and the streaming of each method', () => {
    const runtime = serviceDefinition(cri, 'runtime.v1.RuntimeService');
    assert.equal(runtime['RunPodSandbox']?.path, '/runtime.v1.RuntimeService/RunPodSandbox');
    assert.equal(runtime['GetContainerEvents']?.responseStream, true);
    const request = runtime['Version']?.requestSerialize({ version: 'v1' }) as Buffer;
    assert.deepEqual(runtime['Version']?.requestDeserialize(request), { version: 'v1' });
    const watch = serviceDefinition(etcd, 'etcdserverpb.Watch')['Watch'];
    assert.deepEqual([watch?.requestStream, watch?.responseStream], [true, true]);
  });

  it('names fields in camel case', () => {
    assert.deepEqual(['pod_sandbox_id', 'memberID', 'CDI_devices'].map(camelCase), [
      'podSandboxId',
      'memberID',
      'CDIDevices',
    ]);
  });
});
