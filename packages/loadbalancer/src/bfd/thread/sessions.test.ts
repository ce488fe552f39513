import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededNumbers } from '../../testing/frame-mutations.ts';
import type { TravelledDatagram } from '../../socket/ttl-udp-socket.ts';
import { packetOf, ScriptedNode } from '../testing/scripted-node.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

describe(`the sessions of a node (SEED=${seed})`, () => {
  const below = seededNumbers(seed);
  const random = (): number => below(2 ** 30) / 2 ** 30;
  const key = '192.0.2.1 3784';
  const data = packetOf({});

  it('share a socket for each address, and close it with the last', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1));
    node.sessions.add(node.order(2, { peerAddress: '192.0.2.8' }));
    node.sessions.add(node.order(3, { localAddress: '2001:db8::1', peerAddress: '2001:db8::9' }));
    node.sessions.add(node.order(4, { multihop: true }));
    assert.deepEqual([...node.fdOf.keys()], [key, '2001:db8::1 3784', '192.0.2.1 4784']);
    assert.equal(node.sessions.fds().length, 3);
    for (const port of node.sourcePorts) assert.ok(port >= 49_152 && port <= 65_535);
    node.sessions.remove(1);
    assert.equal(node.sessions.fds().length, 3);
    for (const id of [2, 3, 4]) node.sessions.remove(id);
    assert.deepEqual([node.sessions.fds(), node.fdOf.size], [[], 0]);
    assert.equal(node.sessions.nextDeadlineMs(), Infinity);
  });

  for (const [what, multihop, datagram, heard] of [
    ['a neighbour', false, { address: '192.0.2.9', ttl: 255, data }, true],
    ['one hop that passed a router', false, { address: '192.0.2.9', ttl: 254, data }, false],
    ['somebody else', false, { address: '192.0.2.7', ttl: 255, data }, false],
    ['several hops away', true, { address: '192.0.2.9', ttl: 254, data }, true],
    ['farther away than configured', true, { address: '192.0.2.9', ttl: 253, data }, false],
    [
      'a datagram that is no packet',
      false,
      { address: '192.0.2.9', ttl: 255, data: Buffer.alloc(24) },
      false,
    ],
    [
      'a packet for a session that is not here',
      false,
      { address: '192.0.2.9', ttl: 255, data: packetOf({ yourDiscriminator: 1 }) },
      false,
    ],
  ] as Array<[string, boolean, TravelledDatagram, boolean]>)
    it(`${heard ? 'hear' : 'do not hear'} ${what}`, () => {
      const node = new ScriptedNode(random);
      const packets = new SharedArrayBuffer(8);
      node.sessions.add(node.order(1, { multihop, packets }));
      const before = node.sent.length;
      node.arrive(multihop ? '192.0.2.1 4784' : key, datagram);
      assert.deepEqual(node.states(1), heard ? ['Init'] : []);
      assert.deepEqual([...new Uint32Array(packets)], [Number(heard), node.sent.length]);
      assert.ok(!heard || node.sent.length > before);
    });

  it('find the session that the packet names, if it is from its peer and on its socket', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1));
    node.sessions.add(node.order(2, { peerAddress: '192.0.2.8' }));
    node.step();
    const mine = node.sent.find(({ to }) => to === '192.0.2.9')?.packet.myDiscriminator as number;
    const init = packetOf({ yourDiscriminator: mine, state: 'Init' });
    node.arrive(key, { address: '192.0.2.8', ttl: 255, data: init });
    assert.deepEqual(node.states(1), []);
    node.arrive(key, { address: '192.0.2.9', ttl: 255, data: init });
    assert.deepEqual([node.states(1), node.states(2)], [['Up'], []]);
  });

  it('know a link-local peer by its address alone', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1, { localAddress: 'fe80::1%eth0', peerAddress: 'fe80::9%eth0' }));
    node.arrive('fe80::1%eth0 3784', { address: 'fe80::9', ttl: 255, data });
    assert.deepEqual(node.states(1), ['Init']);
  });

  it('say in a sentence why there is no socket, once, and try again', () => {
    const node = new ScriptedNode(random);
    node.refusal = Object.assign(new Error('UDP 192.0.2.1 port 3784: bind: EADDRINUSE'), {
      code: 'EADDRINUSE',
    });
    node.sessions.add(node.order(1));
    for (let i = 0; i < 3; i++) node.step();
    assert.equal(node.reports.length, 1);
    assert.match((node.reports[0] as { problem: string }).problem, /another program speaks BFD on this node/);
    node.refusal = undefined;
    node.step();
    node.arrive(key, { address: '192.0.2.9', ttl: 255, data });
    assert.deepEqual(node.states(1), ['Init']);
  });

  it('read what waited during a freeze before they give anybody up', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1));
    node.arrive(key, { address: '192.0.2.9', ttl: 255, data });
    const mine = node.sent.at(-1)?.packet.myDiscriminator as number;
    const beat = { address: '192.0.2.9', ttl: 255, data: packetOf({ yourDiscriminator: mine, state: 'Up' }) };
    node.arrive(key, beat);
    assert.deepEqual(node.states(1), ['Init', 'Up']);
    node.nowMs += 5000;
    node.waiting.get(node.fdOf.get(key) as number)?.push(beat);
    node.sessions.frozen();
    node.sessions.deadline(node.nowMs);
    assert.deepEqual(node.states(1), ['Init', 'Up']);
  });

  it('say goodbye more than once to a peer that knows them', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1));
    node.arrive(key, { address: '192.0.2.9', ttl: 255, data });
    const before = node.sent.length;
    node.sessions.remove(1);
    assert.deepEqual(
      node.sent.slice(before).map(({ packet }) => packet.state),
      ['AdminDown', 'AdminDown', 'AdminDown'],
    );
    assert.deepEqual(node.reports.at(-1), { kind: 'removed', id: 1 });
  });
});
