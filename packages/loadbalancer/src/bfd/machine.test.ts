import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededNumbers } from '../testing/frame-mutations.ts';
import { diagnostic } from './packet.ts';
import { type End, Wire } from './testing/wire.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 100);
const randomOf = (from: number): (() => number) => {
  const below = seededNumbers(from);
  return () => below(2 ** 30) / 2 ** 30;
};
const states = ({ changes }: End): string[] => changes.map(({ state }) => state);
/** The time between packets that are no answers. */
const gaps = ({ sent }: End, fromMs: number): number[] => {
  const times = sent.filter(({ ms, packet }) => ms >= fromMs && !packet.final).map(({ ms }) => ms);
  return times.slice(1).map((ms, i) => ms - (times[i] as number));
};

describe(`a session of BFD (SEED=${seed})`, () => {
  const random = randomOf(seed);
  const up = (ofA = {}, ofB = {}): Wire => {
    const wire = new Wire(random, ofA, ofB);
    wire.run(3000);
    assert.deepEqual([wire.a.machine.state, wire.b.machine.state], ['Up', 'Up']);
    return wire;
  };

  it('comes up in three steps, slowly, and then takes up its timers by a poll', () => {
    const { a, b } = up();
    for (const { changes } of [a, b]) {
      assert.equal(changes.at(-1)?.state, 'Up');
      assert.ok(changes.length <= 2);
    }
    const first = a.sent.findIndex(({ packet }) => packet.state === 'Up');
    for (const { packet } of a.sent.slice(0, first)) assert.equal(packet.desiredMinTxUs, 1_000_000);
    assert.deepEqual([a.sent[first]?.packet.poll, a.sent[first]?.packet.desiredMinTxUs], [true, 50_000]);
    assert.ok(b.sent.some(({ packet }) => packet.final));
    assert.equal(a.sent.at(-1)?.packet.poll, false);
  });

  it('says nothing more than once a second while nobody answers', () => {
    const wire = new Wire(random);
    wire.lost = () => true;
    wire.run(20_000);
    assert.deepEqual(states(wire.a), []);
    for (const gap of gaps(wire.a, 0)) assert.ok(gap >= 750 && gap <= 1000, `${gap}`);
  });

  it('sends at 75 to 100 % of the interval that both can take, not all alike', () => {
    const wire = up({ transmitIntervalMs: 20 }, { receiveIntervalMs: 100 });
    const from = wire.nowMs;
    wire.run(10_000);
    const all = gaps(wire.a, from);
    for (const gap of all) assert.ok(gap >= 75 && gap <= 100, `${gap}`);
    assert.ok(Math.max(...all) - Math.min(...all) > 15);
  });

  it('leaves room where one lost packet is too many', () => {
    const wire = up({ detectMultiplier: 1 });
    const from = wire.nowMs;
    wire.run(5000);
    for (const gap of gaps(wire.a, from)) assert.ok(gap <= 45, `${gap}`);
    assert.equal(wire.b.machine.state, 'Up');
  });

  it('gives the peer up after the detection time that both agreed on, not before', () => {
    // What b hears: a's multiplier, and the longer of a's sending and b's receiving.
    const wire = up({ detectMultiplier: 5, transmitIntervalMs: 40 }, { receiveIntervalMs: 60 });
    assert.equal(wire.b.machine.detectionTimeMs, 300);
    wire.lost = () => true;
    const lastArrived = (wire.a.sent.at(-1)?.ms as number) + 1;
    wire.run(2000);
    const down = wire.b.changes.at(-1);
    assert.deepEqual([down?.state, down?.diagnostic], ['Down', diagnostic.timeExpired]);
    assert.equal(down?.ms, lastArrived + 300);
    assert.equal(wire.b.sent.at(-1)?.packet.yourDiscriminator, 0);
    wire.lost = () => false;
    wire.run(4000);
    assert.deepEqual([wire.a.machine.state, wire.b.machine.state], ['Up', 'Up']);
  });

  it('tells the peer that it went down, and why', () => {
    const wire = up();
    const cutMs = wire.nowMs;
    wire.lost = (from) => from === wire.b && wire.a.machine.state === 'Up';
    wire.run(500);
    const ofB = wire.b.changes.find(({ ms }) => ms > cutMs);
    assert.equal(ofB?.diagnostic, diagnostic.neighborDown);
    assert.ok(
      wire.a.sent.some(
        ({ packet }) => packet.state === 'Down' && packet.diagnostic === diagnostic.timeExpired,
      ),
    );
  });

  it('ended by will, is no lost path to the peer, and stays down', () => {
    const wire = up();
    wire.a.machine.shutDown(wire.nowMs);
    wire.run(1500);
    assert.equal(wire.a.machine.state, 'AdminDown');
    assert.deepEqual([wire.b.machine.state, wire.b.machine.diagnostic], ['Down', diagnostic.neighborDown]);
    assert.equal(wire.b.changes.at(-1)?.state, 'AdminDown', 'as its client hears it');
    assert.equal(wire.a.sent.at(-1)?.packet.state, 'AdminDown');
  });

  it('passive, waits for the peer; two passive ones wait for ever', () => {
    const one = up({ passive: true });
    assert.ok((one.a.sent[0]?.ms as number) > (one.b.sent[0]?.ms as number));
    const both = new Wire(random, { passive: true }, { passive: true });
    both.run(10_000);
    assert.deepEqual([both.a.sent, both.b.sent], [[], []]);
  });

  it('is quiet for a peer in demand mode that is up, and answers its polls', () => {
    const wire = up();
    const { machine, sent } = wire.a;
    const last = { ...(wire.b.sent.at(-1)?.packet as (typeof sent)[0]['packet']), poll: false, final: false };
    machine.receive({ ...last, demand: true }, wire.nowMs);
    const before = sent.length;
    assert.equal(machine.nextMs, wire.nowMs + machine.detectionTimeMs);
    machine.receive({ ...last, demand: true, poll: true }, wire.nowMs);
    assert.deepEqual([sent.length, sent.at(-1)?.packet.final], [before + 1, true]);
  });

  it('sends nothing to a peer that can take nothing, but answers', () => {
    const wire = up();
    const { machine, sent } = wire.a;
    const last = { ...(wire.b.sent.at(-1)?.packet as (typeof sent)[0]['packet']), final: false };
    machine.receive({ ...last, poll: false, requiredMinRxUs: 0 }, wire.nowMs);
    assert.equal(machine.nextMs, wire.nowMs + machine.detectionTimeMs);
    machine.receive({ ...last, poll: true, requiredMinRxUs: 0 }, wire.nowMs);
    assert.equal(sent.at(-1)?.packet.final, true);
  });

  it('takes a peer that started anew for what it is', () => {
    const wire = up();
    const { machine } = wire.a;
    const anew = {
      ...(wire.b.sent[0]?.packet as End['sent'][0]['packet']),
      myDiscriminator: 99,
      yourDiscriminator: 0,
      state: 'Down' as const,
    };
    machine.receive(anew, wire.nowMs);
    assert.deepEqual([machine.state, machine.diagnostic], ['Down', diagnostic.neighborDown]);
    assert.equal(wire.a.sent.at(-1)?.packet.yourDiscriminator, 99);
  });

  it(`with any timers and any loss, ${iterations} times: up once the loss ends, down once all is lost`, () => {
    for (let i = 0; i < iterations; i++) {
      const below = seededNumbers(seed + i);
      const draw = (): object => ({
        receiveIntervalMs: 10 + below(500),
        transmitIntervalMs: 10 + below(500),
        detectMultiplier: 2 + below(5),
        passive: false,
      });
      const wire = new Wire(randomOf(seed + i), draw(), draw());
      wire.lost = () => below(100) < 40;
      wire.run(10_000);
      wire.lost = () => false;
      wire.run(10_000);
      assert.deepEqual([wire.a.machine.state, wire.b.machine.state], ['Up', 'Up'], `SEED=${seed + i}`);
      wire.lost = () => true;
      wire.run(Math.max(wire.a.machine.detectionTimeMs, wire.b.machine.detectionTimeMs) + 1);
      assert.deepEqual([wire.a.machine.state, wire.b.machine.state], ['Down', 'Down'], `SEED=${seed + i}`);
    }
  });

  it('is never asked for in the past for ever: each tick moves it on', () => {
    const wire = up();
    wire.a.machine.tick(wire.nowMs + 10_000);
    assert.ok(wire.a.machine.nextMs > wire.nowMs + 10_000);
  });
});
