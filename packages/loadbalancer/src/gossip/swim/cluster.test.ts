import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { KeyRing } from '../wire/encryption.ts';
import { SimulatedCluster, plainWire } from '../testing/simulation.ts';
import type { ClusterOptions } from '../testing/simulation.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const iterations = Number(process.env['ITERATIONS'] ?? 10);
console.log(`SEED=${seed}`);

let cluster: SimulatedCluster | undefined;
afterEach(() => {
  cluster?.stop();
  cluster = undefined;
});

/** A cluster in which everyone knows everyone. */
function joined(options: Omit<ClusterOptions, 'seed'>, run: number): SimulatedCluster {
  cluster?.stop();
  const made = new SimulatedCluster({ seed: seed + run, ...options });
  cluster = made;
  made.joinAll();
  made.until('everyone knows everyone', 150_000, () => everyoneSees(made, options.members));
  return made;
}

const everyoneSees = (made: SimulatedCluster, alive: number): boolean =>
  made.nodes.filter((node) => node.alive).every((node) => node.count('alive') === alive);

const eachRun = (body: (run: number) => void) => (): void => {
  for (let run = 0; run < iterations; run++) body(run);
};

test(
  '50 members: a silent one is found within the times of suspicion, and nobody else is',
  eachRun((run) => {
    const made = joined({ members: 50 }, run);
    made.advance(10_000);
    const victim = made.nodes[17];
    assert.ok(victim);
    const diedMs = made.clock.monotonicMs();
    victim.kill();
    const everyoneMs = made.until('everyone knows of the death', 60_000, () =>
      made.nodes.every((node) => node === victim || node.count('dead') === 1),
    );
    const deaths = made.beliefs.filter(({ state }) => state === 'dead');
    const firstMs = Math.min(...deaths.map(({ atMs }) => atMs)) - diedMs;
    console.log(`first to know after ${Math.round(firstMs)} ms, all after ${Math.round(everyoneMs)} ms`);
    assert.ok(deaths.every(({ about }) => about === victim.name));
    // 4 × log10(50) s is the least suspicion; probes of 49 members find it within about two seconds.
    assert.ok(firstMs >= 6_700 && firstMs < 15_000, `${firstMs} ms`);
    assert.ok(everyoneMs - firstMs < 3_000, 'the news takes no longer than gossip does');
  }),
);

for (const [how, settings] of [
  ['with the TCP ping', {}],
  ['without it', { disableTcpPings: true }],
] as const)
  test(
    `50 members ${how} at 5% loss: nobody alive is declared dead`,
    eachRun((run) => {
      const made = joined({ members: 50, loss: 0.05, settings }, run);
      made.advance(60_000);
      assert.deepEqual(
        made.beliefs.filter(({ state }) => state === 'dead'),
        [],
      );
      made.loss = 0;
      made.until('suspicions are refuted', 20_000, () => everyoneSees(made, 50));
    }),
  );

for (const [seconds, withinMs] of [
  [20, 20_000],
  [120, 5_000],
] as const)
  test(
    `two halves of 30 that lose each other for ${seconds} s find one another by themselves`,
    eachRun((run) => {
      const made = joined({ members: 30 }, run);
      const left = new Set(made.nodes.slice(0, 15));
      made.apart = (a, b) => left.has(a) !== left.has(b);
      made.advance(seconds * 1000);
      if (seconds > 60) assert.ok(everyoneSees(made, 15), 'each half has given up the other');
      made.apart = () => false;
      const mergeMs = made.until('one cluster', withinMs, () => everyoneSees(made, 30));
      console.log(`one again after ${Math.round(mergeMs)} ms`);
    }),
  );

test('a member cut off alone and one of two come back by themselves too', () => {
  for (const members of [2, 3, 50]) {
    const made = joined({ members }, members);
    const [first] = made.nodes;
    made.apart = (a, b) => (a === first) !== (b === first);
    made.advance(90_000);
    // Alone among many, it doubts itself rather than them, and takes minutes to give up all.
    if (members < 10) assert.equal(first?.count('alive'), 1);
    made.apart = () => false;
    made.until('one cluster', 60_000, () => everyoneSees(made, members));
  }
});

test('a process that stood still for 20 s kills nobody with its late timers', () => {
  const made = joined({ members: 10 }, 0);
  const [, sleeper] = made.nodes;
  assert.ok(sleeper);
  made.advance(5_000);
  sleeper.freeze();
  made.advance(20_000);
  assert.ok(made.nodes.every((node) => node === sleeper || node.count('alive') === 9));
  sleeper.thaw();
  made.until('the sleeper is back', 15_000, () => everyoneSees(made, 10));
  const wrong = made.beliefs.filter(({ state, about }) => state === 'dead' && about !== sleeper.name);
  assert.deepEqual(wrong, []);
});

test('who leaves has left at once for all, and may come back', () => {
  const made = joined({ members: 10 }, 0);
  const leaver = made.nodes[4];
  assert.ok(leaver);
  let told = false;
  leaver.swim.leave(() => (told = true));
  made.until('all were told', 3_000, () => made.nodes.every((node) => node.count('left') === 1));
  made.until('the leaver knows', 3_000, () => told);
  assert.ok(made.beliefs.every(({ state }) => state !== 'dead' && state !== 'suspect'));
  made.advance(60_000);
  assert.ok(
    made.nodes.every((node) => node === leaver || node.count('left') === 0),
    'forgotten',
  );
  leaver.swim.join(made.nodes[0]?.endpoint ?? leaver.endpoint, () => {});
  made.until('back', 5_000, () => everyoneSees(made, 10));
});

test('a restarted member has to outdo its own past, dead or left, before it counts', () => {
  for (const wayOut of ['killed', 'left'] as const) {
    const made = joined({ members: 5 }, 0);
    const old = made.nodes[2];
    assert.ok(old);
    if (wayOut === 'left') old.swim.leave(() => {});
    made.advance(500);
    old.kill();
    made.advance(12_000);
    const again = made.add(3);
    again.swim.join(made.nodes[0]?.endpoint ?? again.endpoint, () => {});
    made.until('back', 5_000, () => everyoneSees(made, 5));
    assert.ok(again.swim.membership.self.incarnation > 1, 'it refuted');
  }
});

test('a name under another address is a conflict while its owner lives, and can be had once it left or is forgotten', () => {
  const made = joined({ members: 3 }, 0);
  const [first, , third] = made.nodes;
  assert.ok(first && third);
  const taken = {
    Incarnation: 9,
    Node: third.name,
    Addr: Buffer.from([10, 9, 9, 9]),
    Port: 1,
    Meta: Buffer.alloc(0),
  };
  first.swim.membership.alive({ ...taken, Vsn: Buffer.of(1, 5, 2, 0, 0, 0) });
  const address = (): string | undefined => first.swim.membership.members.get(third.name)?.endpoint.address;
  assert.equal(address(), third.endpoint.address);
  third.swim.leave(() => {});
  made.advance(2_000);
  first.swim.membership.alive({ ...taken, Vsn: Buffer.of(1, 5, 2, 0, 0, 0) });
  assert.equal(address(), '10.9.9.9');
});

test('an encrypted and compressed cluster with checksums works like a plain one', () => {
  const wire = { ...plainWire, keys: new KeyRing([Buffer.alloc(32, 5)]), compression: true, label: 'x' };
  const made = joined({ members: 10, wire }, 0);
  made.advance(20_000);
  assert.ok(everyoneSees(made, 10));
  assert.ok(made.beliefs.every(({ state }) => state === 'alive'));
});

test('every suspicion is told, yet an idle cluster of 50 sends little', () => {
  const made = joined({ members: 50 }, 0);
  made.advance(20_000);
  const [packets, bytes] = [made.packets, made.bytes];
  made.advance(60_000);
  const perMember = { packets: (made.packets - packets) / 50 / 60, bytes: (made.bytes - bytes) / 50 / 60 };
  assert.ok(perMember.packets < 4 && perMember.bytes < 400, JSON.stringify(perMember));
});
