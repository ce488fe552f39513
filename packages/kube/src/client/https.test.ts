import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  createSecureServer,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Server as HttpsServer, createServer as createHttpsServer } from 'node:https';
import { type TLSSocket } from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { core } from '../generated/resources.ts';
import { StatusError, errors } from '../status.ts';
import { selfSigned } from '../testing/certificate.ts';
import { type HttpsClientOptions, type HttpsKubeClient, httpsClient } from './https.ts';
import { lines } from './lines.ts';
import { ConnectionError } from './transport.ts';

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse, body: string) => void;

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await selfSigned();
});

class Server {
  readonly http: Http2SecureServer | HttpsServer;
  /** Connections, as TLS sockets. */
  readonly sockets = new Set<TLSSocket>();
  handler: Handler = (_, response) => response.end('{}');

  constructor(h2 = true) {
    this.http = h2
      ? createSecureServer({ ...certificate, settings: { maxConcurrentStreams: 10 } })
      : createHttpsServer(certificate);
    this.http.on('secureConnection', (socket: TLSSocket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.http.on('sessionError', () => undefined);
    this.http.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      request.on('end', () => this.handler(request, response, Buffer.concat(chunks).toString()));
    });
  }

  async listen(): Promise<string> {
    this.http.listen(0, '127.0.0.1');
    await once(this.http, 'listening');
    return `https://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  drop(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    const closed = once(this.http, 'close');
    this.http.close();
    await closed;
  }
}

async function withServer(
  run: (server: Server, client: HttpsKubeClient, url: string) => Promise<void>,
  options: Partial<HttpsClientOptions> = {},
  h2 = true,
): Promise<void> {
  const server = new Server(h2);
  const url = await server.listen();
  const client = httpsClient({ server: url, ca: certificate.cert, ...options });
  try {
    await run(server, client, url);
  } finally {
    await client.close();
    await server.close();
  }
}

for (const h2 of [true, false]) {
  describe(`client over ${h2 ? 'HTTP/2' : 'HTTP/1.1'}`, () => {
    it('sends each verb to its place and gives back the body with int64 intact', async () => {
      await withServer(
        async (server, client) => {
          const seen: string[] = [];
          server.handler = (request, response, body) => {
            seen.push(`${request.method} ${request.url} ${request.headers['content-type'] ?? '-'} ${body}`);
            response.end('{"metadata":{"name":"a","generation":9007199254740993}}');
          };
          const got = await client.get(core.pods, 'a', { namespace: 'n' });
          assert.equal(got.metadata.generation, 9007199254740993n);
          await client.list(core.pods, { labelSelector: 'a in (b,c)', limit: 5 });
          await client.create(core.configmaps, { metadata: { name: 'c', namespace: 'n' } }, { dryRun: true });
          await client.update(core.nodes, { metadata: { name: 'x' } }, { subresource: 'status' });
          await client.patch(core.pods, 'a', 'merge', { a: null }, { namespace: 'n' });
          await client.delete(core.pods, 'a', { namespace: 'n', gracePeriodSeconds: 0 });
          await client.delete(core.pods, 'a', { namespace: 'n' });
          assert.equal(
            await client.raw('GET', '/version'),
            '{"metadata":{"name":"a","generation":9007199254740993}}',
          );
          assert.deepEqual(seen, [
            'GET /api/v1/namespaces/n/pods/a - ',
            'GET /api/v1/pods?labelSelector=a%20in%20(b%2Cc)&limit=5 - ',
            'POST /api/v1/namespaces/n/configmaps?dryRun=All application/json {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"n"}}',
            'PUT /api/v1/nodes/x/status application/json {"apiVersion":"v1","kind":"Node","metadata":{"name":"x"}}',
            'PATCH /api/v1/namespaces/n/pods/a application/merge-patch+json {"a":null}',
            'DELETE /api/v1/namespaces/n/pods/a application/json {"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}',
            'DELETE /api/v1/namespaces/n/pods/a - ',
            'GET /version - ',
          ]);
        },
        {},
        h2,
      );
    });

    it('throws the Status the server sent', async () => {
      await withServer(
        async (server, client) => {
          server.handler = (_, response) => {
            response.statusCode = 404;
            response.end(JSON.stringify(errors.notFound(core.pods, 'a').toStatus()));
          };
          await assert.rejects(client.get(core.pods, 'a', { namespace: 'n' }), (error: unknown) => {
            assert.ok(error instanceof StatusError);
            assert.equal(error.code, 404);
            assert.equal(error.reason, 'NotFound');
            assert.equal(error.message, 'pods "a" not found');
            return true;
          });
        },
        {},
        h2,
      );
    });

    it('asks again after Retry-After', async () => {
      await withServer(
        async (server, client) => {
          let asked = 0;
          server.handler = (_, response) => {
            if (++asked < 3) {
              response.statusCode = 429;
              response.setHeader('retry-after', '0');
            }
            response.end('{}');
          };
          await client.get(core.pods, 'a', { namespace: 'n' });
          assert.equal(asked, 3);
        },
        {},
        h2,
      );
    });

    it('a watch yields events as they come, ends with the server, and throws ERROR events', async () => {
      await withServer(
        async (server, client) => {
          server.handler = (request, response) => {
            response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"MODI');
            setImmediate(() => {
              response.write('FIED","object":{"metadata":{"name":"b"}}}\n');
              if (request.url?.includes('resourceVersion=7')) {
                response.write(
                  JSON.stringify({ type: 'ERROR', object: errors.expired('too old').toStatus() }) + '\n',
                );
              }
              response.end();
            });
          };
          const names: Array<string | undefined> = [];
          for await (const event of client.watch(core.pods)) names.push(event.object.metadata.name);
          assert.deepEqual(names, ['a', 'b']);
          await assert.rejects(
            async () => {
              for await (const event of client.watch(core.pods, { resourceVersion: '7' }))
                names.push(event.type);
            },
            (error: unknown) => error instanceof StatusError && error.reason === 'Expired',
          );
          assert.deepEqual(names, ['a', 'b', 'ADDED', 'MODIFIED']);
        },
        {},
        h2,
      );
    });

    it('abort ends a request and a watch', async () => {
      await withServer(
        async (server, client) => {
          let arrived = (): void => undefined;
          server.handler = (request, response) => {
            if (request.url?.includes('watch')) response.write('{"type":"ADDED","object":{"metadata":{}}}\n');
            arrived();
          };
          const controller = new AbortController();
          arrived = () => controller.abort(new Error('enough'));
          await assert.rejects(client.get(core.pods, 'a', { signal: controller.signal }), /enough/);
          arrived = () => undefined;
          const other = new AbortController();
          await assert.rejects(async () => {
            for await (const event of client.watch(core.pods, { signal: other.signal })) {
              assert.equal(event.type, 'ADDED');
              other.abort(new Error('enough'));
            }
          }, /enough/);
        },
        {},
        h2,
      );
    });
  });
}

describe('client', () => {
  it('names the server that cannot be reached', async () => {
    const client = httpsClient({ server: 'https://127.0.0.1:1', ca: certificate.cert });
    await assert.rejects(
      client.get(core.nodes, 'a'),
      (error: unknown) =>
        error instanceof ConnectionError &&
        /cannot reach https:\/\/127.0.0.1:1: .*ECONNREFUSED/.test(error.message),
    );
    await client.close();
  });

  it('refuses a server whose certificate another authority signed', async () => {
    const other = await selfSigned('other');
    await withServer(
      async (_server, client) => {
        await assert.rejects(
          client.get(core.nodes, 'a'),
          (error: unknown) => error instanceof ConnectionError,
        );
      },
      { ca: other.cert },
    );
  });

  it('goes on over a new connection when the old one breaks, and a break during an answer is an error', async () => {
    await withServer(async (server, client) => {
      await client.get(core.nodes, 'a');
      server.drop();
      await assert.doesNotReject(client.get(core.nodes, 'a').catch(() => client.get(core.nodes, 'a')));
      server.handler = (_, response) => {
        response.write('{"metadata":');
        setImmediate(() => {
          server.drop();
        });
      };
      await assert.rejects(client.get(core.nodes, 'a'), (error: unknown) => error instanceof ConnectionError);
    });
  });

  it('uses one connection for all, and another when the server allows no more streams', async () => {
    await withServer(async (server, client) => {
      const waiting: Http2ServerResponse[] = [];
      let together = 10;
      server.handler = (_, response) => {
        waiting.push(response);
        if (waiting.length === together) for (const one of waiting.splice(0)) one.end('{}');
      };
      await Promise.all(Array.from({ length: 10 }, () => client.get(core.nodes, 'a')));
      assert.equal(server.sockets.size, 1);
      together = 20;
      await Promise.all(Array.from({ length: 20 }, () => client.get(core.nodes, 'a')));
      assert.equal(server.sockets.size, 2);
    });
  });

  it('reads a token file again when it changes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kube-token-'));
    after(() => rmSync(folder, { recursive: true }));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 'one\n');
    await withServer(
      async (server, client) => {
        let valid = 'one';
        server.handler = (request, response) => {
          response.statusCode = request.headers.authorization === `Bearer ${valid}` ? 200 : 401;
          response.end('{}');
        };
        await client.get(core.nodes, 'a');
        valid = 'two';
        writeFileSync(tokenFile, 'two-');
        await assert.rejects(
          client.get(core.nodes, 'a'),
          (error: unknown) => error instanceof StatusError && error.code === 401,
        );
        writeFileSync(tokenFile, 'two');
        await client.get(core.nodes, 'a');
      },
      { tokenFile },
    );
  });

  it('splits lines wherever the chunks break', async () => {
    const text = 'alpha\n\nβeta\ngamma\nunfinished';
    for (let size = 1; size <= text.length + 2; size++) {
      const bytes = Buffer.from(text);
      const chunks = async function* (): AsyncGenerator<Buffer> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      };
      const found: string[] = [];
      // oxlint-disable-next-line no-await-in-loop
      for await (const line of lines(chunks())) found.push(line.toString());
      assert.deepEqual(found, ['alpha', 'βeta', 'gamma']);
    }
  });
});
