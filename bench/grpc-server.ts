// `node bench/grpc-server.ts [SECONDS]`: the gRPC framing of the datastore's server against @grpc/grpc-js,
// both over the same engine in memory and with the same codecs. The server is a process of its own; one connection with
// 64 calls at a time, made by node:http2 with as little as can be. On a machine that others use, the processor time that
// the server takes for a call says more than calls a second, which the client limits too.
import { type ChildProcess, fork } from 'node:child_process';
import { type ClientHttp2Session, connect } from 'node:http2';
import grpc from '@grpc/grpc-js';
import { logger } from '../packages/kube/src/logger.ts';
import { openMemoryDatastore } from '../packages/datastore/src/memory.ts';
import { headerOf } from '../packages/datastore/src/server/codec/responses.ts';
import type { Method } from '../packages/datastore/src/server/grpc/method.ts';
import { serveDatastore } from '../packages/datastore/src/server/serve.ts';
import { kvService } from '../packages/datastore/src/server/services/kv.ts';
import { encode, framed } from '../packages/datastore/src/server/testing/raw-call.ts';

const framings = ['ours', 'grpc-js'] as const;
type Framing = (typeof framings)[number];
const calls = 64;
const keys = 1000;
const keyOf = (i: number): Buffer => Buffer.from(`/registry/configmaps/default/name-${i % keys}`);
const log = logger('bench').child({}, { level: 'silent' });

/** The server's process. It tells its processor time, microseconds, when asked. */
async function serve(framing: Framing): Promise<void> {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  const store = await openMemoryDatastore({ log });
  const value = new Uint8Array(1024).fill(0x61);
  for (let i = 0; i < keys; i++) await store.put({ key: keyOf(i), value });
  if (framing === 'ours') {
    const server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    process.send?.(server.url);
    return;
  }
  const { clusterId, memberId } = await store.identity();
  const header = headerOf(clusterId, memberId, 2);
  const server = new grpc.Server();
  server.addService(...grpcJsService(kvService(store, header)));
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.send?.(`http://127.0.0.1:${port}`);
  });
}

/** The unary calls of a service as grpc-js takes them: messages stay bytes, as the codecs are ours. */
function grpcJsService(
  methods: Record<string, Method>,
): [grpc.ServiceDefinition, grpc.UntypedServiceImplementation] {
  const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
  const handlers: grpc.UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods)) {
    if (method.type !== 'unary') continue;
    definition[name] = {
      path: `/etcdserverpb.KV/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes) => bytes,
      requestDeserialize: (bytes) => bytes,
      responseSerialize: (frame) => frame.subarray(5),
      responseDeserialize: (bytes) => bytes,
    };
    const answer = async (request: Buffer, done: grpc.sendUnaryData<Buffer>): Promise<void> => {
      try {
        done(null, (await method.call(request)) as Buffer);
      } catch (error) {
        done(error as Error);
      }
    };
    handlers[name] = ({ request }: { request: Buffer }, done: grpc.sendUnaryData<Buffer>) =>
      void answer(request, done);
  }
  return [definition, handlers];
}

/** Calls a second, with so many under way all the time. */
async function measure(
  session: ClientHttp2Session,
  path: string,
  bodies: readonly Buffer[],
  seconds: number,
): Promise<{ count: number; perSecond: number }> {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  let done = 0;
  let next = 0;
  const end = performance.now() + seconds * 1000;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers);
      stream.on('data', () => undefined);
      stream.once('trailers', (trailers) => {
        if (trailers['grpc-status'] !== '0') reject(new Error(String(trailers['grpc-message'])));
      });
      stream.once('error', reject);
      stream.once('close', () => resolve());
      stream.end(bodies[next++ % bodies.length]);
    });
  const loop = async (): Promise<void> => {
    while (performance.now() < end) {
      await one();
      done++;
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: calls }, loop));
  return { count: done, perSecond: Math.round(done / ((performance.now() - begin) / 1000)) };
}

function processorTime(child: ChildProcess): Promise<number> {
  const answer = new Promise<number>((resolve) => child.once('message', (time) => resolve(Number(time))));
  child.send('time');
  return answer;
}

async function bench(framing: Framing, seconds: number): Promise<Record<string, number>> {
  const child: ChildProcess = fork(import.meta.filename, ['serve', framing]);
  const url = await new Promise<string>((resolve) =>
    child.once('message', (text) => resolve(text as string)),
  );
  const session = connect(url);
  const ranges = Array.from({ length: keys }, (_, i) => framed(encode('RangeRequest', { key: keyOf(i) })));
  const value = new Uint8Array(1024).fill(0x62);
  const puts = Array.from({ length: keys }, (_, i) => framed(encode('PutRequest', { key: keyOf(i), value })));
  const result: Record<string, number> = {};
  for (const [name, path, bodies] of [
    ['range', '/etcdserverpb.KV/Range', ranges],
    ['put', '/etcdserverpb.KV/Put', puts],
  ] as const) {
    await measure(session, path, bodies, 1);
    const before = await processorTime(child);
    const { count, perSecond } = await measure(session, path, bodies, seconds);
    result[`${name}/s`] = perSecond;
    result[`µs a ${name}`] = Number((((await processorTime(child)) - before) / count).toFixed(1));
  }
  session.destroy();
  child.kill();
  return result;
}

if (process.argv[2] === 'serve') {
  await serve(process.argv[3] as Framing);
} else {
  const seconds = Number(process.argv[2] ?? 5);
  const table: Record<string, Record<string, number>> = {};
  for (let round = 1; round <= 3; round++)
    for (const framing of framings) table[`${framing} ${round}`] = await bench(framing, seconds);
  console.table(table);
}
