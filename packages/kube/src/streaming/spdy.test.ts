import assert from 'node:assert/strict';
import { duplexPair, type Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { createInflate } from 'node:zlib';
import * as fc from 'fast-check';
import { SpdyClient } from './spdy.ts';

const control = (type: number, flags: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8003, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(flags * 0x1000000 + payload.length, 4);
  return Buffer.concat([head, payload]);
};
const data = (id: number, flags: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(id, 0);
  head.writeUInt32BE(flags * 0x1000000 + payload.length, 4);
  return Buffer.concat([head, payload]);
};
const number = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
};

const connected = (): { client: SpdyClient; far: Duplex } => {
  const [near, far] = duplexPair();
  return { client: new SpdyClient(near), far };
};

/** Every frame in what has been written to the far side. */
function framesIn(bytes: Buffer): Array<{ head: Buffer; payload: Buffer }> {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 4) & 0xffffff;
    found.push({ head: bytes.subarray(at, at + 8), payload: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return found;
}

/** The frames that have arrived, once there are `count`. */
async function arrived(far: Duplex, count: number): Promise<ReturnType<typeof framesIn>> {
  const parts: Buffer[] = [];
  far.on('data', (chunk: Buffer) => parts.push(chunk));
  for (let turn = 0; turn < 1000; turn += 1) {
    const frames = framesIn(Buffer.concat(parts));
    if (frames.length >= count) return frames;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`only ${framesIn(Buffer.concat(parts)).length} of ${count} frames`);
}

const text = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const chunk of stream) parts.push(chunk);
  return Buffer.concat(parts).toString('hex');
};

describe('a SPDY client', () => {
  it('opens streams whose headers any inflater reads, one stream of zlib for all', async () => {
    const { client, far } = connected();
    client.open({ streamType: 'error' });
    const stdin = client.open({ streamtype: 'stdin', port: '80' });
    stdin.end('hello');
    const frames = await arrived(far, 4);
    assert.deepEqual(
      frames.slice(0, 2).map(({ head, payload }) => [head.readUInt16BE(2), payload.readUInt32BE(0)]),
      [
        [1, 1],
        [1, 3],
      ],
    );
    const inflate = createInflate();
    for (const { payload } of frames.slice(0, 2)) inflate.write(payload.subarray(10));
    const plain: Buffer[] = [];
    inflate.on('data', (chunk: Buffer) => plain.push(chunk));
    await new Promise<void>((resolve) => inflate.flush(() => resolve()));
    const word = (value: string): Buffer => Buffer.concat([number(value.length), Buffer.from(value)]);
    assert.deepEqual(
      Buffer.concat(plain),
      Buffer.concat([
        number(1),
        ...['streamtype', 'error'].map(word),
        number(2),
        ...['streamtype', 'stdin', 'port', '80'].map(word),
      ]),
    );
    assert.deepEqual(
      frames.slice(2).map(({ head, payload }) => [head.readUInt32BE(0), head[4], payload.toString()]),
      [
        [3, 0, 'hello'],
        [3, 1, ''],
      ],
    );
  });

  it('gives each stream its bytes, however the connection cuts them', async () => {
    const piece = fc.record({ stream: fc.constantFrom(1, 3), bytes: fc.uint8Array({ maxLength: 200 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        async (pieces, step) => {
          const { client, far } = connected();
          const streams = new Map([
            [1, client.open({ streamtype: 'stdout' })],
            [3, client.open({ streamtype: 'stderr' })],
          ]);
          far.resume();
          const wire = Buffer.concat([
            control(2, 0, number(1)),
            ...pieces.map(({ stream, bytes }) => data(stream, 0, bytes)),
            data(1, 1, Buffer.alloc(0)),
            control(3, 0, number(3, 5)),
          ]);
          for (let at = 0; at < wire.length; at += step) far.write(wire.subarray(at, at + step));
          for (const [id, stream] of streams) {
            const expected = Buffer.concat(
              pieces.filter((each) => each.stream === id).map((each) => each.bytes),
            );
            assert.equal(await text(stream), expected.toString('hex'));
          }
          client.destroy();
        },
      ),
      {
        numRuns: Number(process.env['ITERATIONS'] ?? 30),
        ...(process.env['SEED'] ? { seed: Number(process.env['SEED']) } : {}),
      },
    );
  });

  it('answers pings, and ends its streams with the connection', async () => {
    const { client, far } = connected();
    const stream = client.open({ streamtype: 'stdout' });
    far.write(control(6, 0, number(2)));
    far.write(control(9, 0, number(1, 1000)));
    far.end(data(1, 0, Buffer.from('last')));
    assert.equal(Buffer.from(await text(stream), 'hex').toString(), 'last');
    const frames = await arrived(far, 2);
    assert.deepEqual(frames.at(-1)?.head.readUInt16BE(2), 6);
    assert.deepEqual(frames.at(-1)?.payload, number(2));
  });
});
