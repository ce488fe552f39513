// A client of etcd's gRPC API that does as little as can be done: the usual one takes longer to read an answer than a
// server to give it, and would hide the difference between two servers. One connection, no decoding.
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Target } from './subject.ts';

/** A message of these length-delimited fields, behind gRPC's five bytes. */
function message(fields: ReadonlyArray<readonly [field: number, bytes: Uint8Array]>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [field, bytes] of fields)
    parts.push(Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes);
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** Bytes of the answer. */
function call(session: ClientHttp2Session, method: string, request: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/etcdserverpb.KV/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let bytes = 0;
    let status: unknown;
    const take = (headers: Record<string, unknown>): void => void (status = headers['grpc-status'] ?? status);
    stream.on('data', (piece: Buffer) => (bytes += piece.length));
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('end', () =>
      status === '0' ? resolve(bytes) : reject(new Error(`${method}: gRPC status ${String(status)}`)),
    );
    stream.on('error', reject);
    stream.end(request);
  });
}

/** `url`: http://HOST:PORT. `list` tells no number of keys, but the answer's bytes in kilobytes. */
export function leanTarget(url: string): Target & { close(): void } {
  const windowBytes = 16 * 1024 * 1024;
  const session = connect(url, { settings: { initialWindowSize: windowBytes } });
  session.once('connect', () => {
    if (!session.destroyed) session.setLocalWindowSize(windowBytes);
  });
  session.on('error', () => session.destroy());
  return {
    async put(key, value) {
      await call(
        session,
        'Put',
        message([
          [1, Buffer.from(key)],
          [2, value],
        ]),
      );
    },
    get: (key) => call(session, 'Range', message([[1, Buffer.from(key)]])),
    async list(prefix) {
      const range = message([
        [1, Buffer.from(prefix)],
        [2, Buffer.from(`${prefix}~`)],
      ]);
      return (await call(session, 'Range', range)) / 1024;
    },
    compactTo: () => Promise.reject(new Error('not by this client')),
    close: () => session.close(),
  };
}
