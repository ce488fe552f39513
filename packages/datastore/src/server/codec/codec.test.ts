import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KeyValue, RangeRequest, TxnRequest } from '@cloudless/kube/etcd/store';
import * as fc from 'fast-check';
import { decode, encode } from '../testing/raw-call.ts';
import { Reader } from './reader.ts';
import { decodePut, decodeRange, decodeTxn, decodeWatch } from './requests.ts';
import { encodeRange, encodeTxn, encodeWatch, headerOf, type LongFrame } from './responses.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(process.env['ITERATIONS'] ?? 200);
const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void): void =>
  fc.assert(fc.property(arbitrary, property), { seed, numRuns });

const bytes = fc.uint8Array({ maxLength: 300 });
const revision = fc.oneof(fc.nat(300), fc.maxSafeNat());
const lease = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const keyValue: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes,
  value: bytes,
  createRevision: revision,
  modRevision: revision,
  version: revision,
  lease,
});
const header = headerOf(2n ** 63n + 5n, 2n ** 64n - 1n, 7);

/** Buffers and arrays alike, numbers as bigint, and nothing that is a default. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value === 'number') return BigInt(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, plain(field)] as const);
  return Object.fromEntries(
    fields.filter(
      ([, field]) =>
        field !== undefined && field !== 0n && field !== '' && field !== false && !isEmptyList(field),
    ),
  );
}

/** The same over and over, with values of many lengths, some of them too long for one piece. */
const lengthened = (kvs: readonly KeyValue[]): KeyValue[] =>
  Array.from({ length: 60 }, (_, i) => {
    const kv = kvs[i % kvs.length] as KeyValue;
    return {
      ...kv,
      value: Buffer.concat([
        kv.value,
        Buffer.alloc((i * 7919) % 130, i),
        Buffer.alloc(i === 30 ? 3e5 : 9000),
      ]),
    };
  });

const isEmptyList = (field: unknown): boolean => Array.isArray(field) && field.length === 0;

/** All of a long answer, whose bytes must be as many as it said. */
function wholeOf(frame: Buffer | LongFrame): Buffer {
  if (frame instanceof Uint8Array) return frame;
  const pieces: Buffer[] = [];
  for (let next = frame.pieces.next(); next.done !== true; next = frame.pieces.next())
    pieces.push(Buffer.from(next.value));
  assert.ok(pieces.length > 2);
  const whole = Buffer.concat(pieces);
  assert.equal(whole.length, frame.bytes);
  return whole;
}

/** Takes gRPC's prefix off, which must be right. */
function messageOf(answer: Buffer | LongFrame): Buffer {
  const frame = wholeOf(answer);
  assert.equal(frame[0], 0);
  assert.equal(frame.readUInt32BE(1), frame.length - 5);
  return frame.subarray(5);
}

describe(`the codecs beside protobufjs (SEED=${seed})`, () => {
  it('read a range request', () => {
    const orders = ['none', 'ascend', 'descend'] as const;
    const targets = ['key', 'version', 'create', 'mod', 'value'] as const;
    const request: fc.Arbitrary<RangeRequest> = fc.record({
      key: bytes,
      rangeEnd: bytes,
      limit: revision,
      revision,
      sortOrder: fc.constantFrom(...orders),
      sortTarget: fc.constantFrom(...targets),
      serializable: fc.boolean(),
      keysOnly: fc.boolean(),
      countOnly: fc.boolean(),
      minModRevision: revision,
      maxModRevision: revision,
      minCreateRevision: revision,
      maxCreateRevision: revision,
    });
    check(request, (value) => {
      const wire = {
        ...value,
        sortOrder: orders.indexOf(value.sortOrder ?? 'none'),
        sortTarget: targets.indexOf(value.sortTarget ?? 'key'),
      };
      const read = decodeRange(encode('RangeRequest', wire));
      const expected = { sortOrder: 'none', sortTarget: 'key', ...read };
      assert.deepEqual(plain(expected), plain(value));
    });
  });

  it('read a put', () => {
    const put = fc.record({
      key: bytes,
      value: bytes,
      lease,
      prevKv: fc.boolean(),
      ignoreValue: fc.boolean(),
    });
    check(put, (value) => assert.deepEqual(plain(decodePut(encode('PutRequest', value))), plain(value)));
  });

  for (const [what, kvs] of [
    ['the answer to a range', fc.array(keyValue, { maxLength: 20 })],
    ['a long answer in pieces', fc.array(keyValue, { minLength: 1, maxLength: 5 }).map(lengthened)],
  ] as const)
    it(`write ${what}`, () => {
      const response = fc.record({
        revision,
        kvs,
        more: fc.boolean(),
        count: revision,
      });
      check(response, ({ revision: at, ...rest }) => {
        const read = decode('RangeResponse', messageOf(encodeRange(header, { revision: at, ...rest })));
        const { clusterId, memberId, raftTerm } = header;
        assert.deepEqual(
          plain(read),
          plain({ header: { clusterId, memberId, raftTerm, revision: at }, ...rest }),
        );
      });
    });

  it('write the events of a watch', () => {
    const event = fc.record({ type: fc.constantFrom('put', 'delete'), kv: keyValue, prevKv: keyValue });
    check(fc.tuple(fc.array(event, { maxLength: 20 }), revision), ([events, at]) => {
      const frame = encodeWatch(header, { revision: at, watchId: -1n, events });
      const read = decode<{ watchId: bigint; events: unknown }>('WatchResponse', messageOf(frame));
      assert.equal(read.watchId, -1n);
      const expected = events.map(({ type, ...rest }) => ({ type: type === 'delete' ? 1 : 0, ...rest }));
      assert.deepEqual(plain(read.events), plain(expected));
    });
  });

  it('read a transaction and write its answer', () => {
    const key = Buffer.from('k');
    const nested = { compare: [], success: [{ requestRange: { key } }], failure: [] };
    const read = decodeTxn(
      encode('TxnRequest', {
        compare: [
          { key, target: 3, result: 3, value: Buffer.from('v') },
          { key, target: 4, result: 1, lease: 5n },
          { key, target: 0, result: 0, modRevision: 9 },
        ],
        success: [{ requestPut: { key, value: key } }, { requestTxn: nested }],
        failure: [{ requestDeleteRange: { key, prevKv: true } }],
      }),
    );
    const expected: TxnRequest = {
      compare: [
        { key, target: 'value', result: 'not-equal', operand: Buffer.from('v') },
        { key, target: 'lease', result: 'greater', operand: 5n },
        // The operand of another target is none.
        { key, target: 'version', result: 'equal', operand: 0 },
      ],
      success: [
        { put: { key, value: key } },
        { txn: { compare: [], success: [{ range: { key } }], failure: [] } },
      ],
      failure: [{ deleteRange: { key, prevKv: true } }],
    };
    assert.deepEqual(plain(read), plain(expected));
    const frame = encodeTxn(header, {
      revision: 5,
      succeeded: true,
      responses: [
        { put: { revision: 5 } },
        {
          txn: {
            revision: 5,
            succeeded: true,
            responses: [{ range: { revision: 5, kvs: [], more: false, count: 2 } }],
          },
        },
      ],
    });
    const answer = decode<{ responses: Array<Record<string, { header: { revision: bigint } }>> }>(
      'TxnResponse',
      messageOf(frame),
    );
    assert.equal(answer.responses[0]?.['responsePut']?.header.revision, 5n);
    // As etcd's: the header of a nested transaction is there and empty.
    assert.equal(answer.responses[1]?.['responseTxn']?.header.revision, 0n);
  });

  it('read every integer of 64 bits, and cut what no number holds', () => {
    check(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const read = decodePut(encode('PutRequest', { lease: value }));
      assert.equal(read.lease ?? 0n, value);
      const { limit = 0 } = decodeRange(encode('RangeRequest', { limit: value }));
      const most = BigInt(Number.MAX_SAFE_INTEGER);
      assert.equal(BigInt(limit), value > most ? most : value < -most ? -most : value);
    });
  });

  it('refuse or read any bytes, and end', () => {
    check(fc.uint8Array({ maxLength: 100 }), (junk) => {
      for (const read of [decodeRange, decodePut, decodeTxn, decodeWatch]) {
        try {
          read(junk);
        } catch (error) {
          assert.ok(['WireError', 'EtcdError'].includes((error as Error).name), String(error));
        }
      }
    });
    const deep = (depth: number): object =>
      depth === 0 ? {} : { success: [{ requestTxn: deep(depth - 1) }] };
    assert.throws(() => decodeTxn(encode('TxnRequest', deep(150))), /nested more than 100 deep/);
    assert.equal(new Reader(new Uint8Array(0)).next(), 0);
  });
});
