import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { MessageCutter } from '../grpc/messages.ts';
import { etcdRoot } from '@cloudless/kube/etcd/facts';
import { messageCodec } from '@cloudless/kube/protobuf/facts';

const root = etcdRoot();
const codec = (name: string) => messageCodec(root, `etcdserverpb.${name}`);

/** A message behind gRPC's prefix. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

export const encode = (name: string, message: object): Buffer =>
  codec(name).encode(message as Record<string, unknown>);
export const decode = <T>(name: string, message: Uint8Array): T => codec(name).decode(message) as T;

export interface RawAnswer {
  status: number | undefined;
  /** `grpc-status`. */
  code: number;
  message: string;
  messages: Buffer[];
}

/** One gRPC call as bytes, so that a test can send what no client would. */
export class RawCall {
  readonly stream: ClientHttp2Stream;
  readonly messages: Buffer[] = [];
  readonly ended: Promise<RawAnswer>;
  readonly #cutter = new MessageCutter(64 * 1024 * 1024);
  #waiting: Array<() => void> = [];

  constructor(session: ClientHttp2Session, path: string, headers: Record<string, string> = {}) {
    this.stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    this.ended = this.#end();
    this.ended.catch(() => undefined);
    this.stream.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  #take(chunk: Buffer): void {
    this.#cutter.push(chunk);
    for (let next = this.#cutter.next(); next !== undefined; next = this.#cutter.next())
      this.messages.push(next.message);
    for (const check of this.#waiting) check();
  }

  #end(): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      let found: IncomingHttpHeaders = {};
      const merge = (headers: IncomingHttpHeaders): void => {
        found = { ...found, ...headers };
      };
      this.stream.once('response', merge);
      this.stream.once('trailers', merge);
      this.stream.once('error', reject);
      // As every client does, it ends its side when it has its answer.
      this.stream.once('end', () => this.stream.end());
      this.stream.once('close', () => {
        const answer = {
          status: found[':status'] === undefined ? undefined : Number(found[':status']),
          code: Number(found['grpc-status']),
          message: decodeURIComponent((found['grpc-message'] as string | undefined) ?? ''),
          messages: this.messages,
        };
        resolve(answer);
      });
    });
  }

  /** Resolves when so many messages have come. */
  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.messages.length >= count) resolve();
      };
      this.#waiting.push(check);
      check();
    });
  }

  send(name: string, message: object): void {
    this.stream.write(framed(encode(name, message)));
  }
}

/** A unary call with these bytes as its body. */
export function rawUnary(
  session: ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers?: Record<string, string>,
): Promise<RawAnswer> {
  const call = new RawCall(session, path, headers);
  call.stream.end(body);
  return call.ended;
}

/** A connection without the bounds of a polite client. */
export const rawSession = (url: string): ClientHttp2Session => connect(url).on('error', () => undefined);
