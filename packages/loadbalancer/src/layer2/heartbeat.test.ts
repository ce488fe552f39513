import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planOf, SimulatedNetwork } from '../testing/heartbeat-network.ts';
import { Ranking } from './election.ts';

const vip = '203.0.113.9';
const names = ['node-a', 'node-b', 'node-c'];
const [first, second, third] = new Ranking(vip).of(names) as [string, string, string];
const timeoutMs = 300;

type Options = ConstructorParameters<typeof SimulatedNetwork>[2];

/** Three hosts, settled, a client that says something every 20 ms. */
function network(options: Options = {}, seed = 1): SimulatedNetwork {
  const net = new SimulatedNetwork(names, seed, options);
  net.plans = [planOf(vip)];
  for (const host of net.hosts) net.start(host);
  const talk = (): void => {
    net.broadcast(0);
    net.at(net.nowMs + 20, talk);
  };
  net.at(0, talk);
  net.run(1000);
  return net;
}

/** Runs for `ms` and tells each change of the owners on one side, with the time since the start of the run. */
function changes(net: SimulatedNetwork, ms: number, side = 0): Array<{ atMs: number; owners: string }> {
  const startMs = net.nowMs;
  const seen = [{ atMs: 0, owners: net.owners(vip, side).join() }];
  const look = (): void => {
    const owners = net.owners(vip, side).join();
    if (owners !== seen.at(-1)?.owners) seen.push({ atMs: net.nowMs - startMs, owners });
  };
  net.run(ms, look, 1);
  return seen;
}

const owners = (list: Array<{ owners: string }>): string[] => list.map((change) => change.owners);

describe('an owner that fails is replaced', () => {
  for (const way of ['killed', 'cut off', 'frozen'] as const)
    it(`within the silence that is configured when it is ${way}`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const net = network({}, seed);
        net.run(seed * 7);
        const host = net.host(first);
        if (way === 'killed') net.kill(host);
        else if (way === 'frozen') net.freeze(host);
        else host.side = 1;
        const [, taken] = changes(net, 1000).filter((change, i) => i === 0 || change.owners === second);
        assert.ok(
          taken && taken.atMs >= timeoutMs - 105 && taken.atMs <= timeoutMs + 5,
          JSON.stringify(taken),
        );
      }
    });

  it('at once when it says that it goes', () => {
    const net = network();
    net.leave(net.host(first));
    const [, taken] = changes(net, 500).filter((change, i) => i === 0 || change.owners === second);
    assert.ok(taken && taken.atMs <= 5, JSON.stringify(taken));
  });

  it('as fast with other settings, and never early', () => {
    const net = network({ timing: { intervalMs: 50, multiplier: 4 } });
    net.kill(net.host(first));
    const taken = changes(net, 500).find((change) => change.owners === second);
    assert.ok(taken && taken.atMs >= 145 && taken.atMs <= 205, JSON.stringify(taken));
  });

  it('by nobody while it only loses a heartbeat or two, or stalls for less than a silence', () => {
    const net = network();
    for (let i = 0; i < 10; i++) {
      net.freeze(net.host(first));
      assert.deepEqual(owners(changes(net, 150)), ['']);
      net.thaw(net.host(first));
      assert.deepEqual(owners(changes(net, 200)), [first]);
    }
  });
});

describe('a node that comes back', () => {
  for (const way of ['thaws', 'is connected again', 'starts again'] as const)
    it(`answers nothing until it has rejoined when it ${way}, and then takes over with no moment of two`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const net = network({}, seed);
        const host = net.host(first);
        if (way === 'thaws') net.freeze(host);
        else if (way === 'starts again') net.kill(host);
        else host.side = 1;
        net.run(2000 + seed * 13);
        assert.deepEqual(net.owners(vip, 0), [second]);
        // The first thing that it hears is a question for the address.
        if (way === 'thaws') net.at(net.nowMs - 1, () => net.broadcast(0));
        net.run(1);
        if (way === 'thaws') net.thaw(host);
        else if (way === 'starts again') net.start(host);
        else host.side = 0;
        net.broadcast(0);
        assert.deepEqual(net.owners(vip), [second]);
        const seen = changes(net, 1500);
        const between = seen.filter((change) => change.owners !== first && change.owners !== second);
        assert.deepEqual(
          owners(between).filter((text) => text !== ''),
          [],
          JSON.stringify(seen),
        );
        for (const [i, change] of seen.entries())
          if (change.owners === '')
            assert.ok((seen[i + 1]?.atMs as number) - change.atMs <= 10, `nobody: ${JSON.stringify(seen)}`);
        assert.equal(seen.at(-1)?.owners, first);
        const atMs = seen.at(-1)?.atMs as number;
        assert.ok(atMs >= 200 && atMs <= 620, `took over after ${atMs} ms`);
      }
    });

  it('does not take over when owners are sticky, until it is told to rebalance', () => {
    const net = network({ sticky: true });
    net.kill(net.host(first));
    net.run(1000);
    net.start(net.host(first));
    assert.deepEqual(owners(changes(net, 3000)), [second]);
    net.rebalance(net.host(second));
    const seen = changes(net, 100);
    assert.deepEqual(
      owners(seen).filter((text) => text !== ''),
      [first],
      JSON.stringify(seen),
    );
    assert.deepEqual(owners(changes(net, 2000)), [first]);
  });

  it('keeps what it has when nobody missed it, after a stall of almost a silence', () => {
    const net = network();
    net.freeze(net.host(first));
    net.run(230);
    net.thaw(net.host(first));
    assert.deepEqual(net.host(first).heartbeats.counts.rejoins.missed, 0);
    const seen = changes(net, 1000);
    assert.equal(seen.at(-1)?.owners, first);
    assert.ok(!owners(seen).includes(second));
  });
});

describe('a node whose others are dead', () => {
  it('serves after the quarantine when it starts', () => {
    const net = new SimulatedNetwork(names, 1);
    net.plans = [planOf(vip)];
    net.start(net.host(third));
    const taken = changes(net, 2000).find((change) => change.owners === third);
    // Members that never answered count by gossip alone after their grace: until gossip drops them they may be MetalLB's.
    assert.equal(taken, undefined);
    net.setMembers(net.host(third), [net.host(third).member]);
    assert.deepEqual(net.owners(vip), [third]);
  });

  it('takes over all, and answers on a busy wire without a pause', () => {
    const net = network();
    net.kill(net.host(first));
    net.kill(net.host(second));
    net.run(1000);
    assert.deepEqual(owners(changes(net, 5000)), [third]);
  });

  it('pauses for a quarantine when a quiet wire speaks again, for it may have been cut', () => {
    const net = new SimulatedNetwork(names, 1);
    net.plans = [planOf(vip)];
    for (const host of net.hosts) net.start(host);
    net.run(1000);
    net.kill(net.host(first));
    net.kill(net.host(second));
    net.run(3000);
    assert.deepEqual(net.owners(vip), [third]);
    net.broadcast(0);
    const seen = changes(net, 1000);
    assert.deepEqual(owners(seen), ['', third]);
    assert.ok((seen[1]?.atMs as number) <= timeoutMs + 1);
    // Whoever asked is answered now; what it says next is reason for one more question, and not for a quarantine.
    net.run(2000);
    net.broadcast(0);
    net.run(timeoutMs + 1);
    net.broadcast(0);
    const again = changes(net, 1000);
    assert.deepEqual(owners(again), ['', third]);
    assert.ok((again[1]?.atMs as number) <= timeoutMs / 3 + 1);
  });

  it('learns from others that a member is silent which it never heard itself', () => {
    const net = network();
    net.kill(net.host(first));
    net.kill(net.host(second));
    net.run(1000);
    // Gossip is slow: it still lists the first. The second starts anew and knows nothing of it.
    net.start(net.host(second));
    net.run(1000);
    assert.deepEqual(net.owners(vip), [second]);
  });
});

describe('mixed with a speaker that sends no heartbeats', () => {
  it('goes by gossip alone for it', () => {
    const net = new SimulatedNetwork(names, 1);
    net.plans = [planOf(vip)];
    net.start(net.host(second));
    net.start(net.host(third));
    net.run(2000);
    assert.deepEqual(net.owners(vip), []);
    assert.equal(net.host(second).decisions.get(vip)?.owner, first);
    const without = net.hosts.filter(({ name }) => name !== first).map(({ member }) => member);
    net.setMembers(net.host(second), without);
    net.setMembers(net.host(third), without);
    assert.deepEqual(net.owners(vip), [second]);
  });
});

describe('a node that was not told yet what to answer for', () => {
  it('is elected by nobody, sends nothing while nobody else has plans, and serves at once when it is told', () => {
    const net = new SimulatedNetwork(names, 1);
    for (const host of net.hosts) net.start(host);
    net.run(1000);
    const sent = net.hosts.map((host) => host.heartbeats.counts.sent);
    net.run(1000);
    assert.deepEqual(
      net.hosts.map((host) => host.heartbeats.counts.sent),
      sent,
    );
    const members = net.hosts.map(({ member }) => member);
    net.plans = [planOf(vip)];
    for (const name of [second, third]) net.setMembers(net.host(name), members);
    net.run(50);
    assert.deepEqual(net.owners(vip), [second]);
    net.run(1000);
    assert.deepEqual(net.owners(vip), [second]);
    net.setMembers(net.host(first), members);
    net.run(10);
    assert.deepEqual(net.owners(vip), [first]);
  });
});

describe('a member that is only listed', () => {
  it('is live by its heartbeats or not at all', () => {
    const net = new SimulatedNetwork(names, 1);
    net.plans = [planOf(vip)];
    const listed = net.hosts.map(({ member }) => ({ ...member, unconfirmed: true as const }));
    net.start(net.host(second), listed);
    net.start(net.host(third), listed);
    net.run(1000);
    assert.deepEqual(net.owners(vip), [second]);
    net.start(net.host(first), listed);
    net.run(1000);
    assert.deepEqual(net.owners(vip), [first]);
  });
});

describe('a partition', () => {
  it('has one owner on either side, and one within a second after it has healed; the split is told', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const net = network({}, seed);
      net.host(first).side = 1;
      net.host(second).side = 1;
      net.run(2000);
      assert.deepEqual([net.owners(vip, 0), net.owners(vip, 1)], [[third], [first]]);
      for (const host of net.hosts) host.side = 0;
      const seen = changes(net, 2000);
      assert.equal(seen.at(-1)?.owners, first);
      assert.ok((seen.at(-1)?.atMs as number) <= 105, JSON.stringify(seen));
      const told = net.hosts.map((host) => host.rules.contests);
      assert.ok(net.host(third).rules.contests + net.host(first).rules.contests >= 1, told.join());
    }
  });

  it('heals though gossip has given up the other side', () => {
    const net = network();
    net.host(first).side = 1;
    net.host(second).side = 1;
    net.run(5000);
    const of = (list: string[]) => list.map((name) => net.host(name).member);
    net.setMembers(net.host(first), of([first, second]));
    net.setMembers(net.host(second), of([first, second]));
    net.setMembers(net.host(third), of([third]));
    net.run(60_000);
    for (const host of net.hosts) host.side = 0;
    const seen = changes(net, 3000);
    assert.equal(seen.at(-1)?.owners, first, JSON.stringify(seen));
    assert.ok((seen.at(-1)?.atMs as number) <= 1000, JSON.stringify(seen));
  });

  it('in one direction leaves one owner', () => {
    const net = network();
    // The second does not hear the first, takes over, and the first hears that.
    net.blocked = (from, to) => from.name === first && to.name === second;
    net.run(4000);
    assert.equal(net.owners(vip).length, 1, net.owners(vip).join());
    net.blocked = () => false;
    net.run(1000);
    assert.deepEqual(net.owners(vip), [first]);
  });
});

describe('speakers whose plans differ', () => {
  it('still have one owner', () => {
    for (const candidates of [[second], [third], [second, third]]) {
      const net = network();
      // Only the first has heard of the change of candidates (or the others only have).
      net.plans = [planOf(vip, candidates)];
      net.setMembers(
        net.host(first),
        net.hosts.map(({ member }) => member),
      );
      net.run(3000);
      assert.equal(net.owners(vip).length <= 1, true);
      for (const host of net.hosts)
        net.setMembers(
          host,
          net.hosts.map(({ member }) => member),
        );
      net.run(1500);
      assert.deepEqual(net.owners(vip), [candidates[0]]);
    }
  });
});

describe('heartbeats that are not what they seem', () => {
  it('of a dead node, recorded and played again, revive nobody', () => {
    for (const gossipKey of [undefined, Buffer.alloc(32, 7)]) {
      const net = network({ gossipKey });
      const recorded: Array<{ to: string; bytes: Uint8Array }> = [];
      net.onDatagram = (to, bytes) => recorded.push({ to: to.name, bytes });
      net.run(3000);
      net.onDatagram = undefined;
      net.kill(net.host(first));
      // One receiver starts anew meanwhile and remembers no sequence.
      net.kill(net.host(third));
      net.run(1000);
      net.start(net.host(third));
      net.run(1000);
      assert.deepEqual(net.owners(vip), [second]);
      for (const { to, bytes } of recorded) {
        net.inject(net.host(to), bytes);
        net.run(1);
        assert.deepEqual(net.owners(vip), [second]);
      }
      const { old, unproven } = net.host(third).heartbeats.counts.refused;
      assert.ok(old + unproven > 0);
    }
  });

  it('spoiled on their way, change nothing under a key and break nothing without', () => {
    for (const gossipKey of [Buffer.alloc(32, 7), undefined]) {
      const net = network({ gossipKey });
      const recorded: Uint8Array[] = [];
      net.onDatagram = (to, bytes) => {
        if (to.name === second) recorded.push(bytes);
      };
      net.run(500);
      net.onDatagram = undefined;
      const { heartbeats } = net.host(second);
      const before = heartbeats.counts.taken;
      const frames = Number(process.env['FRAMES'] ?? 3000);
      for (let i = 0; i < frames; i++) {
        const frame = Uint8Array.from(recorded[i % recorded.length] as Uint8Array);
        const at = Math.floor(net.random() * frame.length);
        frame[at] = (frame[at] as number) ^ (1 + Math.floor(net.random() * 255));
        net.inject(net.host(second), net.random() < 0.2 ? frame.subarray(0, at) : frame);
      }
      if (gossipKey) assert.equal(heartbeats.counts.taken, before);
      net.run(1500);
      assert.deepEqual(net.owners(vip), [first]);
    }
  });

  it('under another key, or none, are counted and change nothing', () => {
    const net = network({ gossipKey: Buffer.alloc(32, 1) });
    const { heartbeats } = net.host(second);
    const before = heartbeats.counts.taken;
    for (const gossipKey of [undefined, Buffer.alloc(32, 2)]) {
      const stranger = new SimulatedNetwork(names, 9, { gossipKey });
      stranger.plans = net.plans;
      stranger.onDatagram = (to, bytes) => {
        if (to.name === second) net.inject(net.host(second), bytes);
      };
      stranger.start(stranger.host(first));
      stranger.run(500);
    }
    assert.equal(heartbeats.counts.taken, before);
    assert.ok(heartbeats.counts.refused['not-sealed'] > 0 && heartbeats.counts.refused['wrong-key'] > 0);
    assert.deepEqual(net.owners(vip), [first]);
  });
});
