import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { gossipSettings } from '../settings.ts';
import type { GossipSettings } from '../settings.ts';
import { plainWire } from '../testing/simulation.ts';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { endpointText } from '../wire/address.ts';
import { packCompounds } from '../wire/compound.ts';
import { encodeMessage } from '../wire/messages.ts';
import type { Body, Message, MessageName, NodeState } from '../wire/messages.ts';
import { openPacket } from '../wire/packet.ts';
import { memberState } from './member.ts';
import { Swim } from './swim.ts';

const none = Buffer.alloc(0);
const vsn = (...versions: number[]): Buffer =>
  Buffer.from(versions.length > 0 ? versions : [1, 5, 2, 0, 0, 0]);
const addrOf = (index: number): Buffer => Buffer.from([10, 0, 0, index]);
const from = { address: '10.0.0.2', port: 7946 };

/** One member on a network that only writes down what it is asked for. */
class Alone {
  readonly clock = new FakeClock();
  readonly sent: Array<{ to: string; messages: readonly Message[] }> = [];
  readonly tcpPings: Array<(answered: boolean) => void> = [];
  readonly exchanges: Array<{ to: string; done: (result: readonly NodeState[] | Error) => void }> = [];
  readonly warnings: string[] = [];
  changes = 0;
  readonly swim: Swim;

  constructor(settings: Partial<GossipSettings> = {}) {
    this.swim = new Swim({
      self: { name: 'node-1', addr: addrOf(1), port: 7946, meta: none, vsn: vsn() },
      settings: gossipSettings('lan', {
        gossipNodes: 0,
        pushPullIntervalMs: 0,
        reconnectIntervalMs: 0,
        ...settings,
      }),
      wire: plainWire,
      network: {
        sendPacket: (to, packet) => {
          this.sent.push({ to: endpointText(to), messages: openPacket(packet, plainWire).messages });
        },
        tcpPing: (_to, _ping, _timeoutMs, done) => void this.tcpPings.push(done),
        exchange: (to, _state, _join, done) => void this.exchanges.push({ to: endpointText(to), done }),
      },
      clock: this.clock,
      random: seededRandom(1),
      warn: (_key, _fields, text) => void this.warnings.push(text),
      onChange: () => this.changes++,
    });
    this.swim.start();
  }

  /** Receives one message. */
  receive<N extends MessageName>(name: N, body: Body<N>): void {
    assert.deepEqual(this.swim.receive(encodeMessage(name, body), from), []);
  }

  alive(index: number, over: Partial<Body<'alive'>> = {}): void {
    this.receive('alive', {
      Incarnation: 1,
      Node: `node-${index}`,
      Addr: addrOf(index),
      Port: 7946,
      Meta: none,
      Vsn: vsn(),
      ...over,
    });
  }

  state(index: number): string | undefined {
    return this.swim.membership.members.get(`node-${index}`)?.state;
  }

  /** Everything of one type that was sent since the last call. */
  take<N extends MessageName>(name: N): Array<{ to: string; body: Body<N> }> {
    const all = this.sent
      .splice(0)
      .flatMap(({ to, messages }) => messages.map((message) => ({ to, message })));
    return all.flatMap(({ to, message }) =>
      message.name === name ? [{ to, body: message.body as Body<N> }] : [],
    );
  }

  /** Advances to the next ping, and tells whom it is for. */
  nextPing(): { to: string; body: Body<'ping'> } {
    for (let steps = 0; steps < 500; steps++) {
      const [ping] = this.take('ping');
      if (ping) return ping;
      this.clock.advance(20);
    }
    throw new Error('no ping within ten seconds');
  }
}

test('a ping is acked to the address that it tells, else to where it came from, and not for another name', () => {
  const alone = new Alone();
  const ping = { SeqNo: 7, Node: 'node-1', SourceAddr: none, SourcePort: 0, SourceNode: '' };
  alone.receive('ping', ping);
  alone.receive('ping', { ...ping, SourceAddr: addrOf(9), SourcePort: 99 });
  alone.receive('ping', { ...ping, Node: '' });
  alone.receive('ping', { ...ping, Node: 'node-2' });
  assert.deepEqual(
    alone.take('ack').map(({ to, body }) => [to, body.SeqNo]),
    [
      ['10.0.0.2:7946', 7],
      ['10.0.0.9:99', 7],
      ['10.0.0.2:7946', 7],
    ],
  );
  assert.match(String(alone.warnings), /ping for another member/);
});

test('a probe that is acked is over; one that is not goes through others and TCP, and ends in suspicion', () => {
  const alone = new Alone({ suspicionMult: 1 });
  alone.alive(2);
  const { body } = alone.nextPing();
  alone.receive('ack', { SeqNo: body.SeqNo, Payload: none });
  alone.clock.advance(400);
  assert.equal(alone.tcpPings.length, 0);

  for (const index of [3, 4, 5]) alone.alive(index);
  const next = alone.nextPing();
  alone.clock.advance(500);
  const asked = alone.take('indirectPing');
  assert.equal(asked.length, 3);
  assert.ok(
    asked.every(({ to, body: request }) => to !== next.to && request.Node === next.body.Node && request.Nack),
  );
  assert.equal(alone.tcpPings.length, 1);
  alone.clock.advance(500);
  const victim = Number(next.body.Node.slice(5));
  assert.equal(alone.state(victim), 'suspect');
  assert.equal(alone.swim.awareness.score, 3, 'not one of three said that it had tried');
});

test('nacks say that this member is well though the probed one is not', () => {
  const alone = new Alone();
  for (const index of [2, 3, 4, 5]) alone.alive(index);
  const { body } = alone.nextPing();
  alone.clock.advance(500);
  for (let count = 0; count < 5; count++) alone.receive('nack', { SeqNo: body.SeqNo });
  alone.clock.advance(500);
  assert.equal(alone.state(Number(body.Node.slice(5))), 'suspect');
  assert.equal(alone.swim.awareness.score, 0);
});

test('an answer over TCP alone spares a member, with a warning', () => {
  const alone = new Alone();
  alone.alive(2);
  alone.nextPing();
  alone.clock.advance(500);
  alone.tcpPings[0]?.(true);
  alone.clock.advance(500);
  assert.equal(alone.state(2), 'alive');
  assert.match(String(alone.warnings), /over TCP, but not over UDP/);
});

test('poor health gives the others more time', () => {
  const alone = new Alone();
  alone.swim.awareness.apply(3);
  alone.alive(2);
  alone.nextPing();
  alone.clock.advance(3_900);
  assert.equal(alone.state(2), 'alive');
  alone.clock.advance(200);
  assert.equal(alone.state(2), 'suspect');
});

test('a suspect is told of it with the next ping, and may refute', () => {
  const alone = new Alone();
  alone.alive(2);
  alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: 'node-3' });
  alone.nextPing();
  alone.sent.length = 0;
  alone.clock.advance(1_100);
  const packet = alone.sent.find(({ messages }) => messages[0]?.name === 'ping');
  assert.deepEqual(packet?.messages[1], {
    name: 'suspect',
    body: { Incarnation: 1, Node: 'node-2', From: 'node-1' },
  });
  alone.alive(2, { Incarnation: 2 });
  assert.equal(alone.state(2), 'alive');
  alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: 'node-3' });
  assert.equal(alone.state(2), 'alive', 'an old suspicion counts no more');
});

test('pings for others are done, and their answer or silence passed on', () => {
  const alone = new Alone();
  const request = { SeqNo: 5, Target: addrOf(8), Port: 88, Node: 'node-8', Nack: true };
  const source = { SourceAddr: addrOf(2), SourcePort: 7946, SourceNode: 'node-2' };
  alone.receive('indirectPing', { ...request, ...source });
  const [ping] = alone.take('ping');
  assert.equal(ping?.to, '10.0.0.8:88');
  alone.receive('ack', { SeqNo: ping?.body.SeqNo ?? 0, Payload: none });
  assert.deepEqual(alone.take('ack'), [{ to: '10.0.0.2:7946', body: { SeqNo: 5, Payload: none } }]);
  alone.receive('indirectPing', { ...request, ...source });
  alone.receive('indirectPing', { ...request, ...source, SeqNo: 6, Nack: false });
  alone.clock.advance(500);
  assert.deepEqual(
    alone.take('nack').map(({ body }) => body.SeqNo),
    [5],
  );
});

for (const accusation of ['suspect', 'dead'] as const)
  test(`a ${accusation} message about this member is refuted with a higher incarnation than it has`, () => {
    const alone = new Alone();
    alone.alive(2);
    alone.receive(accusation, { Incarnation: 40, Node: 'node-1', From: 'node-2' });
    const { self } = alone.swim.membership;
    assert.deepEqual([self.state, self.incarnation, alone.swim.awareness.score], ['alive', 41, 1]);
    alone.receive('ping', { SeqNo: 1, Node: '', SourceAddr: none, SourcePort: 0, SourceNode: '' });
    const told = alone.take('alive').find(({ body }) => body.Node === 'node-1');
    assert.equal(told?.body.Incarnation, 41, 'it rides on the next packet');
  });

test('an accusation that comes with a ping is refuted with the ack, one of the past with what was said before', () => {
  const alone = new Alone();
  alone.alive(2);
  const ping = { SeqNo: 1, Node: 'node-1', SourceAddr: none, SourcePort: 0, SourceNode: '' };
  const accuse = (Incarnation: number): void => {
    const suspect = encodeMessage('suspect', { Incarnation, Node: 'node-1', From: 'node-2' });
    const [packet] = packCompounds([encodeMessage('ping', ping), suspect]);
    assert.ok(packet);
    alone.swim.receive(packet, from);
  };
  const answered = (): unknown[] => {
    const packet = alone.sent.splice(0).find(({ messages }) => messages[0]?.name === 'ack');
    return (packet?.messages ?? []).flatMap(({ name, body }) =>
      name === 'alive' && body.Node === 'node-1' ? [body.Incarnation] : [],
    );
  };
  accuse(1);
  assert.deepEqual(answered(), [2]);
  for (let count = 0; count < 10; count++) alone.receive('ping', ping);
  assert.deepEqual(answered(), [2]);
  alone.sent.length = 0;
  alone.receive('ping', ping);
  assert.deepEqual(answered(), [], 'it has been told often enough');
  accuse(1);
  assert.deepEqual(answered(), [2], 'who has missed it hears it again');
  assert.equal(alone.swim.awareness.score, 1, 'which is no new reason to doubt itself');
});

test('a suspicion that nobody refutes is put to the suspect itself before it is a verdict', () => {
  const alone = new Alone({ probeIntervalMs: 1_000_000, probeTimeoutMs: 1000 });
  alone.alive(2);
  alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: 'node-3' });
  alone.sent.length = 0;
  alone.clock.advance(2_000_000 - 1);
  const asked = (): boolean =>
    alone.sent.some(({ messages }) => messages[0]?.name === 'ping' && messages[1]?.name === 'suspect');
  alone.sent.length = 0;
  alone.clock.advance(1);
  assert.ok(asked());
  alone.alive(2, { Incarnation: 2 });
  alone.receive('suspect', { Incarnation: 2, Node: 'node-2', From: 'node-3' });
  alone.alive(2, { Incarnation: 3 });
  alone.swim.stop();
  assert.equal(alone.clock.pendingTimers, 0);
});

test('confirmations shorten a suspicion as memberlist counts them', () => {
  // 4 × log10(10) × 1 s at least, six times that without confirmation, two confirmations expected.
  const suspect = (...confirmedBy: number[]): number => {
    const alone = new Alone({ probeIntervalMs: 1_000_000, probeTimeoutMs: 1000 });
    for (let index = 2; index <= 10; index++) alone.alive(index);
    const say = (by: number): void =>
      alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: `node-${by}` });
    say(3);
    confirmedBy.forEach(say);
    for (let seconds = 0; ; seconds++) {
      if (alone.state(2) === 'dead') return seconds;
      alone.clock.advance(1_000_000);
    }
  };
  assert.equal(suspect(), 24);
  assert.equal(suspect(3, 3), 24, 'whoever suspected first confirms nothing');
  assert.equal(suspect(4), 12, '24 - log 2 / log 3 × 20 = 11.4');
  assert.equal(suspect(4, 4), 12);
  assert.equal(suspect(4, 5), 4);
  assert.equal(suspect(4, 5, 6, 7), 4);
});

test('timers that come late because the process stood still convict nobody', () => {
  const alone = new Alone();
  alone.alive(2);
  alone.alive(3);
  alone.nextPing();
  // Every timer below is past due when it runs: the clock jumps, as it does over a SIGSTOP.
  const late = alone.clock.monotonicMs.bind(alone.clock);
  let jumpMs = 20_000;
  alone.clock.monotonicMs = () => late() + jumpMs;
  alone.clock.advance(1_000);
  assert.deepEqual([alone.state(2), alone.state(3)], ['alive', 'alive']);
  assert.equal(alone.swim.awareness.score, 1);

  alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: 'node-3' });
  jumpMs = 60_000;
  alone.clock.advance(4_000);
  assert.equal(alone.state(2), 'suspect', 'the refutation may be among what was not read yet');
  alone.clock.advance(4_000);
  assert.equal(alone.state(2), 'dead');
});

test('what a push/pull tells is heeded: the dead only as suspects, those who left at once', () => {
  const alone = new Alone();
  for (const index of [2, 3, 4]) alone.alive(index);
  const told = (index: number, State: number, Incarnation = 1): NodeState => ({
    Name: `node-${index}`,
    Addr: addrOf(index),
    Port: 7946,
    Meta: none,
    Incarnation,
    State,
    Vsn: vsn(),
  });
  const changes = alone.changes;
  alone.swim.merge([
    told(2, memberState.dead),
    told(3, memberState.left),
    told(4, memberState.suspect),
    told(5, memberState.alive),
    told(6, memberState.dead),
    told(7, 9),
  ]);
  assert.deepEqual(
    [2, 3, 4, 5, 6, 7].map((index) => alone.state(index)),
    ['suspect', 'left', 'suspect', 'alive', undefined, undefined],
  );
  assert.equal(alone.changes, changes + 1, 'told once');
});

test('members that speak what others do not understand are refused, each side with the name', () => {
  const alone = new Alone();
  const told = (...versions: number[]): NodeState => ({
    Name: 'node-2',
    Addr: addrOf(2),
    Port: 7946,
    Meta: none,
    Incarnation: 1,
    State: memberState.alive,
    Vsn: vsn(...versions),
  });
  const refused = (versions: number[], message: RegExp): void => {
    assert.throws(() => alone.swim.merge([told(...versions)]), message);
  };
  refused([3, 5, 3, 0, 0, 0], /member node-1 speaks protocol version 2, .* 3 to 5/);
  refused([1, 1, 1, 0, 0, 0], /member node-1 speaks protocol version 2, .* 1 to 1/);
  refused([1, 5, 2, 2, 5, 4], /member node-2 speaks delegate protocol version 4, .* 2 to 0/);
  assert.equal(alone.state(2), undefined);
  alone.swim.merge([told(1, 7, 2, 0, 0, 0)]);
  assert.equal(alone.state(2), 'alive');
});

test('members that could not be are not let in, nor remembered beyond the limit', () => {
  const alone = new Alone();
  alone.alive(2, { Addr: Buffer.from([1, 2, 3]) });
  alone.alive(2, { Meta: Buffer.alloc(513) });
  alone.alive(2, { Node: 'n'.repeat(513) });
  alone.alive(2, { Node: '' });
  alone.alive(2, { Vsn: vsn(0, 0, 0) });
  alone.alive(2, { Vsn: vsn(5, 4, 4) });
  alone.alive(2, { Incarnation: 0 });
  const names = [...alone.swim.membership.members.values()].filter(({ state }) => state === 'alive');
  assert.deepEqual(
    names.map(({ name }) => name),
    ['node-1'],
  );
  for (let count = 0; count < 17_000; count++) alone.alive(2, { Node: `made-up-${count}` });
  assert.equal(alone.swim.membership.members.size, 16_384);
  assert.match(String(alone.warnings.at(-1)), /not taking in more than 16384/);
});

test('an echo of its own news is not refuted, other news of it are', () => {
  const alone = new Alone();
  alone.alive(1);
  assert.equal(alone.swim.membership.self.incarnation, 1);
  alone.alive(1, { Meta: Buffer.from('another life') });
  assert.equal(alone.swim.membership.self.incarnation, 2);
  alone.alive(1, { Incarnation: 0xffffffff });
  assert.equal(alone.swim.membership.self.incarnation, 0xffffffff, 'no higher one exists');
});

test('after it has stopped it sends nothing and has no timers', () => {
  const alone = new Alone({ gossipNodes: 3, pushPullIntervalMs: 1000, reconnectIntervalMs: 1000 });
  for (const index of [2, 3]) alone.alive(index);
  alone.receive('suspect', { Incarnation: 1, Node: 'node-2', From: 'node-3' });
  alone.nextPing();
  alone.swim.stop();
  assert.equal(alone.clock.pendingTimers, 0);
  alone.sent.length = 0;
  alone.exchanges.forEach(({ done }) => done(new Error('closed')));
  alone.receive('ping', { SeqNo: 7, Node: 'node-1', SourceAddr: none, SourcePort: 0, SourceNode: '' });
  assert.deepEqual(alone.sent, []);
});
