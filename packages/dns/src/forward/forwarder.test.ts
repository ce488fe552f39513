import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import dnsPacket, { type Packet } from 'dns-packet';
import { rrType } from '../wire/name.ts';
import { addressData } from '../wire/rdata.ts';
import { ForwardError, outstandingLimit, startForwarder } from './forwarder.ts';
import { readUpstreams, type Upstream } from './upstreams.ts';

const question = (name: string, id = 7): Buffer =>
  dnsPacket.encode({ type: 'query', id, questions: [{ type: 'A', name }] });

/** An answer to `message`, changed by `more`. */
function answerTo(message: Buffer, more: Partial<Packet> = {}): Buffer {
  const asked = dnsPacket.decode(message);
  const name = asked.questions?.[0]?.name ?? '';
  return dnsPacket.encode({
    type: 'response',
    id: asked.id ?? 0,
    questions: asked.questions ?? [],
    answers: [{ type: 'A', name, ttl: 60, data: '198.51.100.7' }],
    ...more,
  });
}

describe('forwarding', () => {
  const sockets: Socket[] = [];
  /** A server on loopback: `reply` gets each query and the way to send. */
  const serve = async (reply: (query: Buffer, send: (answer: Buffer) => void) => void): Promise<Upstream> => {
    const socket = createSocket('udp4');
    sockets.push(socket);
    socket.on('message', (message, peer) =>
      reply(message, (answer) => socket.send(answer, peer.port, peer.address)),
    );
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return { host: '127.0.0.1', port: socket.address().port };
  };
  after(() => {
    for (const socket of sockets) socket.close();
  });

  it('asks under an id and from a port of its own, and answers under the client’s id', async () => {
    await using forwarder = startForwarder();
    const ids: number[] = [];
    const upstream = await serve((query, send) => {
      ids.push(query.readUInt16BE(0));
      send(answerTo(query));
    });
    for (let i = 0; i < 5; i++)
      assert.equal((await forwarder.forward(question('a.example'), [upstream], 'udp')).readUInt16BE(0), 7);
    assert.ok(new Set(ids).size > 1, `the ids were ${ids.join(', ')}`);
  });

  it('believes no answer with another id or another question', async () => {
    await using forwarder = startForwarder();
    const upstream = await serve((query, send) => {
      const asked = dnsPacket.decode(query);
      const forged = [{ type: 'A' as const, name: 'a.example', ttl: 60, data: '203.0.113.66' }];
      send(answerTo(query, { id: ((asked.id ?? 0) + 1) % 65536, answers: forged }));
      send(answerTo(query, { questions: [{ type: 'A', name: 'b.example' }], answers: forged }));
      send(Buffer.from('noise'));
      send(query);
      send(answerTo(query));
    });
    const answer = dnsPacket.decode(await forwarder.forward(question('a.example'), [upstream], 'udp'));
    assert.deepEqual(
      answer.answers?.map((record) => ('data' in record ? record.data : '')),
      ['198.51.100.7'],
    );
  });

  it('goes on to the next server when one is silent or refuses, and asks that last from then on', async () => {
    await using forwarder = startForwarder();
    let silent = 0;
    const mute = await serve(() => void (silent += 1));
    const good = await serve((query, send) => send(answerTo(query)));
    const took = async (servers: Upstream[]): Promise<number> => {
      const startedMs = performance.now();
      await forwarder.forward(question('a.example'), servers, 'udp');
      return performance.now() - startedMs;
    };
    assert.ok((await took([mute, good])) > 1500);
    assert.ok((await took([mute, good])) < 1000, 'the silent one is asked last');
    assert.equal(silent, 1);
    const closed: Upstream = { host: '127.0.0.1', port: 9 };
    assert.ok((await took([closed, good])) < 1000, 'a refusal is known at once');
  });

  it('an address without a route is an error, not the end of the process', async () => {
    await using forwarder = startForwarder();
    // 240/4 is reserved; the kernel refuses to send there (EINVAL or ENETUNREACH), or nothing answers.
    for (const host of ['255.255.255.255', '::ffff:0:0'])
      await assert.rejects(
        forwarder.forward(question('a.example'), [{ host, port: 53 }], 'udp'),
        ForwardError,
        host,
      );
  });

  it(`has at most ${outstandingLimit} questions under way; the rest fail at once`, async () => {
    const forwarder = startForwarder();
    const mute = await serve(() => {});
    const before = readdirSync('/proc/self/fd').length;
    const all = Array.from({ length: outstandingLimit * 3 }, () =>
      forwarder.forward(question('a.example'), [mute], 'udp').then(
        () => 'answer',
        (error: Error) => (/wait for upstream/.test(error.message) ? 'refused' : 'failed'),
      ),
    );
    assert.equal(forwarder.outstanding, outstandingLimit);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(readdirSync('/proc/self/fd').length <= before + outstandingLimit + 5);
    await forwarder.stop();
    const results = await Promise.all(all);
    assert.equal(results.filter((result) => result === 'refused').length, outstandingLimit * 2);
    assert.equal(forwarder.outstanding, 0);
  });

  it('asks by TCP where the client did, and where an alias’s answer was cut', async () => {
    await using forwarder = startForwarder();
    const tcp = createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        const answer = answerTo(chunk.subarray(2), {
          answers: [
            { type: 'CNAME', name: 'a.example', ttl: 60, data: 'b.example' },
            { type: 'A', name: 'b.example', ttl: 60, data: '198.51.100.8' },
            { type: 'TXT', name: 'b.example', ttl: 60, data: 'not asked for' },
          ],
        });
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        const whole = Buffer.concat([length, answer]);
        socket.write(whole.subarray(0, 5));
        setTimeout(() => socket.write(whole.subarray(5)), 10);
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as { port: number };
    const udp = createSocket('udp4');
    sockets.push(udp);
    udp.on('message', (message, peer) =>
      udp.send(
        answerTo(message, { flags: dnsPacket.TRUNCATED_RESPONSE, answers: [] }),
        peer.port,
        peer.address,
      ),
    );
    await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
    const upstream = { host: '127.0.0.1', port };
    const cut = dnsPacket.decode(await forwarder.forward(question('a.example'), [upstream], 'udp'));
    assert.equal(cut.flag_tc, true, 'a client by UDP is told to come back by TCP');
    const whole = dnsPacket.decode(await forwarder.forward(question('a.example'), [upstream], 'tcp'));
    assert.equal(whole.answers?.length, 3);
    const records = await forwarder.resolve('a.example', rrType.A, [upstream]);
    assert.deepEqual(
      records.map((record) => [record.name, record.type]),
      [
        ['a.example', rrType.CNAME],
        ['b.example', rrType.A],
      ],
    );
    assert.deepEqual(records[1]?.data, addressData('198.51.100.8'));
    tcp.close();
  });

  it('reads the servers of a resolv.conf, without itself and what is no address', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
    const path = join(folder, 'resolv.conf');
    writeFileSync(
      path,
      'search example\nnameserver 192.0.2.1\n  nameserver 10.96.0.10\n#nameserver 192.0.2.9\nnameserver fd00::1\nnameserver not-an-address\nnameserver 192.0.2.1\n',
    );
    assert.deepEqual(readUpstreams(path, new Set(['10.96.0.10'])), [
      { host: '192.0.2.1', port: 53 },
      { host: 'fd00::1', port: 53 },
    ]);
    assert.deepEqual(readUpstreams(join(folder, 'none'), new Set()), []);
    rmSync(folder, { recursive: true });
  });
});
