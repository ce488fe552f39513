import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { StatusError } from '@cloudless/kube/status';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { createStreams } from './create.ts';
import type { StreamRequest, Streams } from './streams.ts';

const pod: Pod = {
  metadata: { name: 'p' },
  spec: { nodeName: 'n1', containers: [{ name: 'a', image: 'i' }] },
};

describe("the API server's way to a kubelet", () => {
  let kubelet: SecureServer;
  let api: Server;
  let streams: Streams;
  /** Errors thrown before the first byte. */
  let thrown: unknown[] = [];
  let endpointPort = 0;
  let kubeletSaw: Array<{ url: string; user: string; headers: IncomingMessage['headers'] }> = [];
  let logsClosed: Promise<unknown> = Promise.resolve();

  const seen = (incoming: IncomingMessage): void => {
    const socket = incoming.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } };
    kubeletSaw.push({
      url: incoming.url ?? '',
      user: socket.getPeerCertificate().subject?.CN ?? '',
      headers: incoming.headers,
    });
  };

  before(async () => {
    const pair = await selfSigned('api-client');
    kubelet = createSecureServer(
      { ...pair, requestCert: true, rejectUnauthorized: false },
      (incoming, response) => {
        seen(incoming);
        if (incoming.url?.includes('previous')) {
          response.writeHead(400).end('previous terminated container "a" in pod "p" not found');
          return;
        }
        response.writeHead(200, { 'content-type': 'text/plain' });
        response.write('first\n');
        logsClosed = once(response, 'close');
        if (!incoming.url?.includes('follow')) response.end('last\n');
      },
    );
    kubelet.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
      seen(incoming);
      if (incoming.url?.includes('command=refused')) {
        socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone');
        return;
      }
      if (incoming.url?.includes('command=stranger')) {
        socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\nconnection: close\r\n\r\nForbidden');
        return;
      }
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-kept: yes\r\n\r\n',
      );
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
    kubelet.listen(0, '127.0.0.1');
    await once(kubelet, 'listening');
    endpointPort = (kubelet.address() as AddressInfo).port;
    streams = createStreams({
      kubeletEndpoint: (nodeName) => {
        assert.equal(nodeName, 'n1');
        return Promise.resolve({ host: '127.0.0.1', port: endpointPort });
      },
      clientCert: pair.cert,
      clientKey: pair.key,
      kubeletCa: pair.cert,
      log: logger('test'),
    });
    const asked = (incoming: IncomingMessage): StreamRequest => {
      const url = new URL(incoming.url ?? '/', 'http://api');
      return {
        user: { name: 'u', groups: [] },
        namespace: 'ns',
        name: 'p',
        subresource: url.pathname.slice(1) as StreamRequest['subresource'],
        query: url.searchParams,
        pod,
        signal: AbortSignal.timeout(20_000),
      };
    };
    api = createServer((incoming, response) => {
      streams.respond(asked(incoming), incoming, response).catch((error: unknown) => {
        thrown.push(error);
        response.writeHead(500).end();
      });
    });
    api.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
      streams.upgrade(asked(incoming), incoming, socket, head).catch((error: unknown) => {
        thrown.push(error);
        socket.end('HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n');
      });
    });
    api.listen(0, '127.0.0.1');
    await once(api, 'listening');
  });
  after(() => {
    for (const server of [kubelet, api]) {
      server?.closeAllConnections();
      server?.close();
    }
  });

  const apiPort = (): number => (api.address() as AddressInfo).port;
  const get = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) =>
      request({ host: '127.0.0.1', port: apiPort(), path, agent: false }, resolve).on('error', reject).end(),
    );
  const body = async (response: IncomingMessage): Promise<string> => {
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return text;
  };
  const failure = (): StatusError => {
    const error = thrown.pop();
    assert.ok(error instanceof StatusError, String(error));
    return error;
  };

  it('passes a log, with the certificate and the known options only', async () => {
    kubeletSaw = [];
    assert.equal(await body(await get('/log?tailLines=3&pretty=true')), 'first\nlast\n');
    assert.equal(kubeletSaw[0]?.url, '/containerLogs/ns/p/a?tailLines=3');
    assert.equal(kubeletSaw[0]?.user, 'api-client');
  });

  it('ends the log at the kubelet when the client leaves', async () => {
    const response = await get('/log?follow=true');
    const [first] = (await once(response, 'data')) as [Buffer];
    assert.equal(String(first), 'first\n');
    response.destroy();
    await logsClosed;
  });

  it("gives the kubelet's words as a Status", async () => {
    await body(await get('/log?previous=true'));
    const error = failure();
    assert.equal(error.code, 400);
    assert.equal(error.message, 'previous terminated container "a" in pod "p" not found');
  });

  const upgrade = async (path: string, send: string): Promise<string> => {
    const socket = connect(apiPort(), '127.0.0.1');
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: api\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\nauthorization: Bearer secret\r\n\r\n${send}`,
    );
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += String(chunk);
      if (send !== '' && text.endsWith(send)) socket.end();
    });
    await once(socket, 'close');
    return text;
  };

  it('passes SPDY as it is, and no credential of the client', async () => {
    kubeletSaw = [];
    const text = await upgrade('/exec?stdout=true&command=id', 'spdy bytes');
    assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*x-kept: yes\r\n\r\nspdy bytes$/);
    assert.equal(kubeletSaw[0]?.url, '/exec/ns/p/a?output=1&command=id');
    assert.equal(kubeletSaw[0]?.headers['x-stream-protocol-version'], 'v4.channel.k8s.io');
    assert.equal(kubeletSaw[0]?.headers.authorization, undefined);
  });

  it('gives the client the words in which the kubelet refuses', async () => {
    assert.match(
      await upgrade('/exec?stdout=true&command=refused', ''),
      /^HTTP\/1\.1 404 Not Found\r\n[^]*\r\n\r\ngone$/,
    );
  });

  it('throws before the first byte when the kubelet is away or turns the API server away', async () => {
    assert.match(await upgrade('/exec?stdout=true&command=stranger', ''), /^HTTP\/1\.1 500/);
    assert.match(failure().message, /^the kubelet of node "n1" refuses the API server \(403\): Forbidden/);
    const right = endpointPort;
    endpointPort = 1;
    try {
      assert.match(await upgrade('/exec?stdout=true&command=id', ''), /^HTTP\/1\.1 500/);
      const error = failure();
      assert.equal(error.code, 503);
      assert.match(error.message, /kubelet of node "n1" at 127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/);
      await body(await get('/log'));
      assert.equal(failure().code, 503);
    } finally {
      endpointPort = right;
    }
  });
});
