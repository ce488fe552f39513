// Requests as an attacker sends them: paths, headers and bytes go out as they are given.
import { request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';

/** A client certificate; none: anonymous. */
export interface Identity {
  readonly cert?: string;
  readonly key?: string;
}

export interface Answer {
  /** 0: the connection was closed without an answer. */
  readonly code: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Asked {
  method?: string;
  path: string;
  headers?: Readonly<Record<string, string | string[]>>;
  /** Objects go as JSON. */
  body?: string | Uint8Array | object;
}

const isBytes = (body: Asked['body']): body is string | Uint8Array =>
  typeof body === 'string' || body instanceof Uint8Array;

const answerTimeoutMs = 30_000;

/** One request over HTTP/1.1 on a connection of its own. */
export function ask(url: string, ca: string, identity: Identity, asked: Asked): Promise<Answer> {
  const { body } = asked;
  const bytes = body === undefined ? undefined : isBytes(body) ? body : JSON.stringify(body);
  const { hostname, port } = new URL(url);
  const headers = {
    ...(bytes === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(bytes)) }),
    ...asked.headers,
  };
  return new Promise((resolve, reject) => {
    const outgoing = request({
      hostname,
      port,
      ca,
      cert: identity.cert,
      key: identity.key,
      method: asked.method ?? (bytes === undefined ? 'GET' : 'POST'),
      path: asked.path,
      headers,
      agent: false,
      timeout: answerTimeoutMs,
      // A server that has answered a large body early closes: the answer counts, not the write that failed.
      maxHeaderSize: 256 * 1024,
    });
    let answered = false;
    outgoing.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      const done = (): void =>
        resolve({
          code: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          headers: response.headers,
        });
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', done)
        .on('error', done);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${answerTimeoutMs} ms`)));
    outgoing.on('error', (error) => {
      if (answered) return;
      if (/no answer within/.test(error.message)) reject(error);
      else resolve({ code: 0, body: String(error), headers: {} });
    });
    outgoing.end(bytes);
  });
}

/** A TLS connection, ready to be written to; `protocol` by ALPN. */
export function openTls(
  url: string,
  ca: string,
  identity: Identity,
  protocol: 'http/1.1' | 'h2' = 'http/1.1',
): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      ca,
      cert: identity.cert,
      key: identity.key,
      ALPNProtocols: [protocol],
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      // What breaks later is part of an attack; who writes looks at `close`.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** Writes bytes and collects what comes back until the server closes or `quietMs` pass without a byte. */
export function exchange(socket: TLSSocket, bytes: string | Uint8Array, quietMs = 1_000): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    let timer = setTimeout(done, quietMs);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      clearTimeout(timer);
      timer = setTimeout(done, quietMs);
    });
    socket.once('close', done);
    socket.write(bytes);
  });
}

/** The status codes of all HTTP/1.1 responses in a text. */
export const codesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
