import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import { registryOf, startTestServer, zoneFromText } from '../testing/dns-server.ts';
import { emptyMessage, parseMessage, writeMessage } from '../wire/message.ts';
import { rcode, rrType } from '../wire/types.ts';
import type { ZoneRegistry } from '../zone/registry.ts';
import type { DnsServer, LoggedQuery } from './dns-server.ts';
import type { Request } from './request.ts';

const run = promisify(execFile);
const text = `www A 192.0.2.1\nbig TXT ${Array.from({ length: 8 }, () => `"${'x'.repeat(200)}"`).join(' ')}\n`;

async function peer(name: string, ...args: string[]): Promise<string> {
  const found = findPeer(name);
  if (!found) throw new Error(`no ${name}`);
  return (await run(found.program, args, { env: found.env, timeout: 20_000 })).stdout;
}

const dig = (server: DnsServer, address: string, ...args: string[]): Promise<string> =>
  peer('dig', `@${address}`, '-p', String(server.port), '+tries=1', '+time=3', ...args);

const question = (name: string, type: number = rrType.A, id = 1): Buffer =>
  writeMessage({ ...emptyMessage, id, questions: [{ name, type, class: 1 }] });

function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 0xff), message]);
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => {});
  return socket;
}

/** Messages of a connection as they come. */
function messagesOf(socket: Socket): Buffer[] {
  const messages: Buffer[] = [];
  let received: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      messages.push(received.subarray(2, 2 + received.readUInt16BE(0)));
      received = received.subarray(2 + received.readUInt16BE(0));
    }
  });
  return messages;
}

async function until(what: string, check: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function askUdp(port: number, message: Buffer, timeoutMs = 1000): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), timeoutMs);
      socket.once('message', (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      socket.send(message, port, '127.0.0.1');
    });
  } finally {
    socket.close();
  }
}

for (const udp of ['native', 'node'] as const)
  describe(`the server of zones, by ${udp} sockets`, { skip: missingPeer('dig', 'kdig', 'dnsperf') }, () => {
    const registry: ZoneRegistry = registryOf({ 'example.org': text });
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
    let server: DnsServer;
    let certificate: { cert: string; key: string };
    /** What the main thread does with a request; a test sets its own. */
    let onRequest = (_request: Request): AsyncIterable<Buffer> | Promise<Buffer | undefined> =>
      Promise.resolve(undefined);
    before(async () => {
      certificate = await selfSigned();
      server = await startTestServer({
        addresses: ['127.0.0.1', '127.0.0.2', '::1'],
        threads: 2,
        zones: registry,
        udp,
        tls: { port: 0, certificate: certificate.cert, key: certificate.key },
        onRequest: (request) => onRequest(request),
      });
    });
    after(async () => {
      await server.stop();
      rmSync(folder, { recursive: true });
    });

    it('answers on each address from that address, by UDP and TCP', async () => {
      for (const address of ['127.0.0.1', '127.0.0.2', '::1']) {
        // dig tells when an answer comes from elsewhere.
        assert.equal((await dig(server, address, '+short', 'www.example.org')).trim(), '192.0.2.1', address);
        assert.equal((await dig(server, address, '+short', '+tcp', 'www.example.org')).trim(), '192.0.2.1');
      }
      assert.match(await dig(server, '127.0.0.1', 'big.example.org', 'TXT'), /Truncated, retrying in TCP/);
      const ignored = await dig(server, '127.0.0.1', '+ignore', 'big.example.org', 'TXT');
      assert.match(ignored, /flags: qr aa tc rd;[\s\S]*COOKIE: \w+ \(good\)/);
    });

    it('follows the zones: what was published is served once it is settled', async () => {
      for (let serial = 2; serial < 12; serial++) {
        registry.publish(zoneFromText('example.org', text.replace('192.0.2.1', `192.0.2.${serial}`), serial));
        await server.settled();
        const answer = await askUdp(server.port, question('www.example.org'));
        assert.equal(parseMessage(answer as Buffer).answers[0]?.data[3], serial);
      }
      registry.publish(zoneFromText('example.org', text, 12));
      await server.settled();
    });

    it('hands requests over: one answer by UDP, as many as the client takes by TCP, and tells when it is gone', async () => {
      const transfer = question('example.org', rrType.AXFR, 99);
      onRequest = ({ message, peer: from }) => {
        assert.equal(from.address, '127.0.0.1');
        return Promise.resolve(Buffer.from(message));
      };
      assert.deepEqual(await askUdp(server.port, transfer), transfer);
      let made = 0;
      let ended = false;
      onRequest = async function* ({ signal }: Request) {
        try {
          for (; !signal.aborted; made++) yield Buffer.alloc(60_000, 1);
        } finally {
          ended = true;
        }
      };
      const slow = await open(server.port);
      slow.pause();
      slow.write(framed(transfer));
      let before_ = -1;
      await until('it stands still', async () => {
        const still = made > 0 && made === before_;
        before_ = made;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return still;
      });
      // Another client is served meanwhile.
      assert.equal((await dig(server, '127.0.0.1', '+tcp', '+short', 'www.example.org')).trim(), '192.0.2.1');
      slow.destroy();
      await until('the handler heard of the end', () => ended);
      onRequest = () => Promise.reject(new Error('on purpose'));
      const failed = await askUdp(server.port, transfer);
      assert.equal(parseMessage(failed as Buffer).rcode, rcode.servFail);
    });

    it('keeps no more than 64 requests of a UDP thread waiting', async () => {
      let underWay = 0;
      const gate = Promise.withResolvers<undefined>();
      onRequest = () => {
        underWay += 1;
        return gate.promise;
      };
      const socket = createSocket('udp4');
      const notify = question('example.org', rrType.SOA);
      notify[2] = 4 << 3;
      for (let i = 0; i < 200; i++) socket.send(notify, server.port, '127.0.0.1');
      await until('64 are under way', () => underWay === 64);
      assert.equal((await dig(server, '127.0.0.1', '+short', 'www.example.org')).trim(), '192.0.2.1');
      assert.equal(underWay, 64);
      gate.resolve(undefined);
      socket.close();
    });

    it('threads that fail are started again, and go on', async () => {
      const listeners: Array<Parameters<ZoneRegistry['onSnapshot']>[0]> = [];
      const failing = await startTestServer({
        zones: {
          onSnapshot: (listener) => {
            listeners.push(listener);
            return registry.onSnapshot(listener);
          },
        },
        udp,
      });
      // No snapshot: opening it is a mistake that ends the thread.
      const image = new SharedArrayBuffer(64);
      listeners[0]?.('broken.example', { image, signing: undefined, isExpired: false });
      await new Promise((resolve) => setTimeout(resolve, 100));
      listeners[0]?.('broken.example', undefined);
      await until('it answers again', async () => {
        const answer = await askUdp(failing.port, question('www.example.org'), 200);
        return answer !== undefined && parseMessage(answer).answers.length === 1;
      });
      await until('by TCP too', async () => {
        const socket = await open(failing.port).catch(() => undefined);
        if (!socket) return false;
        const messages = messagesOf(socket);
        socket.write(framed(question('www.example.org')));
        await until('an answer or the end', () => messages.length > 0 || socket.closed);
        socket.destroy();
        return messages.length > 0;
      });
      await failing.stop();
    });

    it('a port that is taken says so and leaves nothing; stop() frees it', async () => {
      await assert.rejects(startTestServer({ zones: registry, udp, port: server.port }), {
        code: 'EADDRINUSE',
        message: new RegExp(String(server.port)),
      });
      const holder = createServer();
      const port = await new Promise<number>((resolve) =>
        holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port)),
      );
      await assert.rejects(startTestServer({ zones: registry, udp, port }), { code: 'EADDRINUSE' });
      await new Promise((resolve) => holder.close(resolve));
      for (let i = 0; i < 3; i++) {
        const again = await startTestServer({ zones: registry, udp, port });
        assert.equal(again.port, port);
        await again.stop();
      }
      await assert.rejects(startTestServer({ zones: registry, addresses: ['::'] }), /list each address/);
    });

    // The rest is the same code for both.
    if (udp === 'node') return;

    it('answers over TLS, padded, and with a new certificate for new connections', async () => {
      const kdig = (): Promise<string> =>
        peer('kdig', '@127.0.0.1', '-p', String(server.tlsPort), '+tls', '+padding', 'www.example.org');
      const answer = await kdig();
      assert.match(answer, /TLS session \(TLS1\.3\)/);
      assert.match(answer, /192\.0\.2\.1/);
      assert.match(answer, /Received 468 B/);
      const renewed = await selfSigned('renewed');
      server.setCertificate({ certificate: renewed.cert, key: renewed.key });
      await server.settled();
      const ca = join(folder, 'ca.pem');
      writeFileSync(ca, renewed.cert);
      const checked = await peer(
        'kdig',
        ...`@127.0.0.1 -p ${server.tlsPort} +tls-ca=${ca} +tls-hostname=localhost +short www.example.org`.split(
          ' ',
        ),
      );
      assert.equal(checked.trim(), '192.0.2.1');
      assert.throws(() => server.setCertificate({ certificate: renewed.cert, key: certificate.key }));
    });

    it('a chunk of pipelined queries is answered whole; a killed client is forgotten', async () => {
      const socket = await open(server.port);
      const messages = messagesOf(socket);
      const queries = Array.from({ length: 1000 }, (_, i) =>
        framed(question('www.example.org', rrType.A, i)),
      );
      socket.write(Buffer.concat(queries));
      await until('all answers', () => messages.length === 1000);
      assert.deepEqual(
        messages.map((message) => message.readUInt16BE(0)),
        Array.from({ length: 1000 }, (_, i) => i),
      );
      socket.write(queries[0]?.subarray(0, 5) as Buffer);
      socket.resetAndDestroy();
      assert.equal((await dig(server, '127.0.0.1', '+tcp', '+short', 'www.example.org')).trim(), '192.0.2.1');
    });

    it('loses nothing of a modest load', async () => {
      const queries = join(folder, 'queries');
      writeFileSync(queries, 'www.example.org A\nnone.example.org A\nexample.org SOA\n');
      const report = await peer(
        'dnsperf',
        ...`-s 127.0.0.1 -p ${server.port} -d ${queries} -l 1 -Q 3000 -c 4`.split(' '),
      );
      assert.match(report, /Queries lost:\s+0 \(/);
      const metrics = server.metrics();
      assert.match(
        metrics,
        /coredns_dns_responses_total\{[^}]*rcode="NXDOMAIN",plugin="authoritative"\} [1-9]/,
      );
      assert.match(metrics, /coredns_dns_requests_total\{[^}]*proto="udp",family="2",type="A"\} [1-9]/);
    });

    it('tells queries while somebody listens, with names that are safe to print', async () => {
      const told: LoggedQuery[] = [];
      let omitted = 0;
      server.logQueries((queries, left) => {
        told.push(...queries);
        omitted += left;
      });
      await server.settled();
      const socket = createSocket('udp4');
      for (let i = 0; i < 300; i++) socket.send(question('\\027[2j.example.org'), server.port, '127.0.0.1');
      await until('all are told or counted', () => told.length + omitted >= 250);
      server.logQueries(undefined);
      socket.close();
      assert.equal(told[0]?.name, '\\027[2j.example.org');
      assert.equal(told[0]?.rcode, 'NXDOMAIN');
      assert.ok(omitted > 0 && told.length <= 200, `${told.length} told`);
    });

    it('limits and readiness change while it runs', async () => {
      server.setReady(false);
      assert.match(await dig(server, '127.0.0.1', 'www.example.org'), /SERVFAIL[\s\S]*EDE: 14/);
      server.setReady(true);
      const unlimited = {
        responsesPerSecond: 0,
        errorsPerSecond: 0,
        slip: 0,
        ipv4PrefixLength: 24,
        ipv6PrefixLength: 56,
        exempt: [],
      };
      server.setLimits({ allow: ['127.0.0.0/8'], deny: [] }, unlimited);
      await server.settled();
      assert.match(await dig(server, '::1', 'www.example.org'), /REFUSED[\s\S]*EDE: 18/);
      assert.throws(
        () => server.setLimits({ allow: ['here'], deny: [] }, unlimited),
        /here is not a network/,
      );
      server.setLimits({ allow: ['0.0.0.0/0', '::/0'], deny: [] }, unlimited);
      await server.settled();
      assert.equal((await dig(server, '::1', '+short', 'www.example.org')).trim(), '192.0.2.1');
    });
  });
