import assert from 'node:assert/strict';
import type { Socket } from 'node:dgram';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import type { UpstreamConfig } from '../corefile/config.ts';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { Registry } from 'prom-client';
import { ForwardError, startForwarder } from './forwarder.ts';
import { LoopWatch } from './loop.ts';
import { forwardMetrics } from './metrics.ts';
import {
  answerTo,
  at,
  decoded,
  forwardConfig,
  forwarderTo,
  questionOf,
  serve,
  silentLog,
} from './testing.ts';
import { readUpstreams } from './upstreams.ts';

const question = questionOf('a.example');

async function until(what: string, check: () => boolean, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The queries of a stream, and what to answer them with. */
function onQueries(chunkReader: NodeJS.ReadWriteStream, reply: (query: Buffer) => Buffer | undefined): void {
  let received: Buffer = Buffer.alloc(0);
  chunkReader.on('error', () => {});
  chunkReader.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      const answer = reply(Buffer.from(received.subarray(2, end)));
      received = received.subarray(end);
      if (!answer) continue;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      chunkReader.write(Buffer.concat([length, answer]));
    }
  });
}

describe('forwarding', () => {
  const sockets: Socket[] = [];
  const start = async (...args: Parameters<typeof serve>): Promise<UpstreamConfig> => {
    const { config, socket } = await serve(...args);
    sockets.push(socket);
    return config;
  };
  after(() => {
    for (const socket of sockets) socket.close();
  });
  const data = (answer: Parameters<typeof decoded>[1]): unknown[] =>
    decoded(question, answer).answers?.map((record) => ('data' in record ? record.data : '')) ?? [];

  it('asks under an id and from a port of its own, with EDNS and nothing of the client', async () => {
    const ids = new Set<number>();
    const ports = new Set<number>();
    const upstream = await start((query, send, port) => {
      ids.add(query.readUInt16BE(0));
      ports.add(port);
      assert.equal(dnsPacket.decode(query).additionals?.[0]?.type, 'OPT');
      send(answerTo(query));
    });
    await using forwarder = forwarderTo([upstream]);
    for (let i = 0; i < 5; i++) assert.equal(decoded(question, await forwarder.ask(question, 'udp')).id, 7);
    assert.ok(ids.size > 1, `the ids were ${[...ids].join(', ')}`);
    assert.ok(ports.size > 1, `the ports were ${[...ports].join(', ')}`);
  });

  it('believes no answer with another id or another question', async () => {
    const upstream = await start((query, send) => {
      const asked = dnsPacket.decode(query);
      const forged = [{ type: 'A' as const, name: 'a.example', ttl: 60, data: '203.0.113.66' }];
      send(answerTo(query, { id: ((asked.id ?? 0) + 1) % 65536, answers: forged }));
      send(answerTo(query, { questions: [{ type: 'A', name: 'b.example' }], answers: forged }));
      send(answerTo(query, { questions: [{ type: 'AAAA', name: 'a.example' }], answers: forged }));
      send(Buffer.from('noise'));
      send(query);
      send(answerTo(query));
    });
    await using forwarder = forwarderTo([upstream]);
    assert.deepEqual(data(await forwarder.ask(question, 'udp')), ['198.51.100.7']);
  });

  it('with mixed case only an answer that keeps it counts', async () => {
    const upper: string[] = [];
    const upstream = await start((query, send) => {
      const name = dnsPacket.decode(query).questions?.[0]?.name ?? '';
      upper.push(name);
      send(answerTo(query, { questions: [{ type: 'A', name: name.toLowerCase() }] }));
      send(answerTo(query));
    });
    await using forwarder = startForwarder({
      config: forwardConfig([upstream]),
      own: new Set(),
      metrics: forwardMetrics(new Registry()),
      log: silentLog,
      randomCase: true,
    });
    const long = questionOf('abcdefghijklmnopqrstuvwxyz.example');
    assert.equal((await forwarder.ask(long, 'udp')).rcode, 0);
    assert.notEqual(upper[0], upper[0]?.toLowerCase());
  });

  it('goes on to the next server when one is silent or refuses, asks that last, and takes it back when it answers', async () => {
    let silent = 0;
    let speaks = false;
    const mute = await start((query, send) => {
      silent += 1;
      if (speaks) send(answerTo(query));
    });
    const good = await start((query, send) => send(answerTo(query)));
    const took = async (servers: UpstreamConfig[]): Promise<number> => {
      await using forwarder = forwarderTo(servers);
      const startedMs = performance.now();
      await forwarder.ask(question, 'udp');
      return performance.now() - startedMs;
    };
    await using forwarder = forwarderTo([mute, good], 'read_timeout 300ms\nhealth_check 50ms');
    await forwarder.ask(question, 'udp');
    assert.equal(silent, 1);
    const startedMs = performance.now();
    await forwarder.ask(question, 'udp');
    assert.ok(performance.now() - startedMs < 250, 'the silent one is asked last');
    await until('it is looked after', () => silent > 1);
    speaks = true;
    await until('it is trusted again', () => forwarder.upstreams.every((upstream) => !upstream.isSuspect));
    assert.ok((await took([at(9), good])) < 1000, 'a refusal is known at once');
  });

  it('an address without a route is an error, not the end of the process', async () => {
    // 240/4 is reserved; the kernel refuses to send there (EINVAL or ENETUNREACH), or nothing answers.
    for (const host of ['255.255.255.255', '::ffff:0:0']) {
      await using forwarder = forwarderTo([at(53, host)], 'read_timeout 200ms');
      await assert.rejects(forwarder.ask(question, 'udp'), ForwardError, host);
    }
  });

  it('has at most max_concurrent questions under way; the rest fail at once', async () => {
    const mute = await start(() => {});
    const limit = 64;
    const forwarder = forwarderTo([mute], `max_concurrent ${limit}`);
    const before = readdirSync('/proc/self/fd').length;
    const all = Array.from({ length: limit * 3 }, () =>
      forwarder.ask(question, 'udp').then(
        () => 'answer',
        (error: Error) => (/wait for the servers/.test(error.message) ? 'refused' : 'failed'),
      ),
    );
    assert.equal(forwarder.outstanding, limit);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(readdirSync('/proc/self/fd').length <= before + limit + 5);
    await forwarder.stop();
    const results = await Promise.all(all);
    assert.equal(results.filter((result) => result === 'refused').length, limit * 2);
    assert.equal(forwarder.outstanding, 0);
  });

  it('policies: sequential, round_robin, random', async () => {
    const seen: string[] = [];
    const servers = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        start((query, send) => {
          seen.push(name);
          send(answerTo(query));
        }),
      ),
    );
    const order = async (policy: string, count: number): Promise<string> => {
      seen.length = 0;
      await using forwarder = forwarderTo(servers, `policy ${policy}`);
      for (let i = 0; i < count; i++) await forwarder.ask(question, 'udp');
      return seen.join('');
    };
    assert.equal(await order('sequential', 6), 'aaaaaa');
    assert.equal(await order('round_robin', 6), 'abcabc');
    assert.equal(new Set(await order('random', 60)).size, 3);
  });

  it('failover: another response code is a reason to ask the next; the last answer counts', async () => {
    const refuses = await start((query, send) => send(answerTo(query, { flags: 5, answers: [] })));
    const good = await start((query, send) => send(answerTo(query)));
    await using stays = forwarderTo([refuses, good]);
    assert.equal((await stays.ask(question, 'udp')).rcode, 5);
    await using goesOn = forwarderTo([refuses, good], 'failover REFUSED');
    assert.equal((await goesOn.ask(question, 'udp')).rcode, 0);
    await using all = forwarderTo([refuses], 'failover REFUSED SERVFAIL');
    assert.equal((await all.ask(question, 'udp')).rcode, 5);
  });

  it('a server that does not know EDNS is asked without', async () => {
    let asked = 0;
    const old = await start((query, send) => {
      asked += 1;
      const hasOpt = (dnsPacket.decode(query).additionals ?? []).length > 0;
      send(
        hasOpt
          ? Buffer.concat([query.subarray(0, 2), Buffer.of(0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0)])
          : answerTo(query),
      );
    });
    await using forwarder = forwarderTo([old]);
    assert.equal((await forwarder.ask(question, 'udp')).rcode, 0);
    await forwarder.ask(question, 'udp');
    assert.equal(asked, 3, 'the second time it is known');
  });

  it('asks by TCP where the client did, on one connection; force_tcp and prefer_udp', async () => {
    let connections = 0;
    const tcp = createServer((socket) => {
      connections += 1;
      onQueries(socket, (query) =>
        answerTo(query, { answers: [{ type: 'A', name: 'a.example', ttl: 1, data: '198.51.100.8' }] }),
      );
    });
    after(() => tcp.close());
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as { port: number };
    const cut = (query: Buffer): Buffer =>
      answerTo(query, { flags: dnsPacket.TRUNCATED_RESPONSE, answers: [] });
    const upstream = await start((query, send) => send(cut(query)), port);
    {
      await using forwarder = forwarderTo([upstream]);
      assert.equal(
        (await forwarder.ask(question, 'udp')).truncated,
        true,
        'the client is told to come back by TCP',
      );
      const answers = await Promise.all(Array.from({ length: 20 }, () => forwarder.ask(question, 'tcp')));
      for (const answer of answers) assert.deepEqual(data(answer), ['198.51.100.8']);
      assert.equal(connections, 1);
    }
    await using forced = forwarderTo([upstream], 'force_tcp');
    assert.deepEqual(data(await forced.ask(question, 'udp')), ['198.51.100.8']);
    await using preferring = forwarderTo([upstream], 'prefer_udp');
    assert.deepEqual(data(await preferring.ask(question, 'tcp')), ['198.51.100.8']);
  });

  it('asks by TLS, and only a server whose certificate is for its name', async () => {
    const { cert, key } = await selfSigned();
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
    writeFileSync(join(folder, 'ca.crt'), cert);
    const tls = createTlsServer({ cert, key, ALPNProtocols: ['dot'] }, (socket) =>
      onQueries(socket, (query) => {
        assert.equal(query.length % 128, 0, 'queries are padded');
        return answerTo(query);
      }),
    );
    tls.on('tlsClientError', () => {});
    after(() => tls.close());
    await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
    const { port } = tls.address() as { port: number };
    const named = (serverName: string): UpstreamConfig => ({ ...at(port), transport: 'tls', serverName });
    const options = `tls ${join(folder, 'ca.crt')}\nread_timeout 2s`;
    await using forwarder = forwarderTo([named('localhost')], options);
    assert.deepEqual(data(await forwarder.ask(question, 'udp')), ['198.51.100.7']);
    await using deceived = forwarderTo([named('other.example')], options);
    await assert.rejects(deceived.ask(question, 'udp'), /does not match|altnames/i);
    rmSync(folder, { recursive: true });
  });

  it('finds a server that leads back here, and does not ask it again', async () => {
    const loops = new LoopWatch();
    let asked = 0;
    const errors: string[] = [];
    const back = await start((query, send) => {
      const name = dnsPacket.decode(query).questions?.[0]?.name ?? '';
      if (dnsPacket.decode(query).questions?.[0]?.type !== 'HINFO') asked += 1;
      // What comes in here is what was sent out.
      loops.isOwn(name.toLowerCase(), 13);
      send(answerTo(query, { answers: [] }));
    });
    await using forwarder = startForwarder({
      config: forwardConfig([back]),
      own: new Set(),
      metrics: forwardMetrics(new Registry()),
      log: { ...silentLog, error: (...args: unknown[]) => void errors.push(String(args.at(-1))) },
      loops,
    });
    await until('it is found', () => forwarder.upstreams[0]?.isLoop === true);
    await assert.rejects(forwarder.ask(question, 'udp'), /forwarding loop/);
    assert.equal(asked, 0);
    assert.match(errors[0] ?? '', /forwarding loop/);
  });

  it('reads the servers of a resolv.conf, without itself and what is no address', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
    const path = join(folder, 'resolv.conf');
    writeFileSync(
      path,
      'search example\nnameserver 192.0.2.1\n  nameserver 10.96.0.10\n#nameserver 192.0.2.9\nnameserver fd00::1\nnameserver not-an-address\nnameserver 192.0.2.1\n',
    );
    assert.deepEqual(readUpstreams(path, new Set(['10.96.0.10'])), [at(53, '192.0.2.1'), at(53, 'fd00::1')]);
    assert.deepEqual(readUpstreams(join(folder, 'none'), new Set()), []);
    rmSync(folder, { recursive: true });
  });
});
