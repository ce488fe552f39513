import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planOf, SimulatedNetwork } from '../testing/heartbeat-network.ts';

describe('any run of failures', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const iterations = Number(process.env['ITERATIONS'] ?? 15);

  for (const lossy of [false, true])
    it(`leaves one owner a second later${lossy ? ' on a network that loses and delays' : ', and never two without a partition'} (SEED=${seed})`, () => {
      for (let i = 0; i < iterations; i++) failAtRandom(seed + i, lossy);
    });
});

/** Kills, starts, freezes, thaws, cuts, joins sides; looks every 5 ms at who answers on each side. */
function failAtRandom(seed: number, lossy: boolean): void {
  const many = Array.from({ length: 3 + (seed % 3) }, (_, i) => `host-${i}`);
  const net = new SimulatedNetwork(many, seed, {
    gossipKey: seed % 2 === 0 ? undefined : Buffer.from('0123456789abcdef'),
  });
  const addresses = ['203.0.113.1', '203.0.113.2', '2001:db8::3'];
  net.plans = addresses.map((address) => planOf(address));
  if (lossy) {
    net.loss = 0.02;
    net.delayMs = [0.1, 8];
  }
  for (const host of net.hosts) net.start(host);
  net.gossip(1500, 200);
  for (const side of [0, 1, 2])
    if (net.random() < 0.7) {
      const talk = (): void => {
        net.broadcast(side);
        net.at(net.nowMs + 10 + net.random() * 500, talk);
      };
      net.at(0, talk);
    }
  const history: string[] = [];
  let disturbedMs = 0;
  let parted = false;
  const badSinceMs = new Map<string, number>();
  const informedSinceMs = new Map<number, number>();
  const look = (): void => {
    for (const side of new Set(net.hosts.map((host) => host.side))) {
      if (!informed(net, side)) informedSinceMs.set(side, Infinity);
      else if (!(net.nowMs >= (informedSinceMs.get(side) ?? Infinity))) informedSinceMs.set(side, net.nowMs);
      const informedMs = net.nowMs - (informedSinceMs.get(side) as number);
      const calmMs = Math.min(net.nowMs - disturbedMs, informedMs);
      for (const address of addresses) {
        const able = net.hosts.some(
          (host) => host.side === side && host.running && host.frozenSinceMs === undefined,
        );
        const found = net.owners(address, side);
        const say = `seed ${seed}: ${address} on side ${side} at ${net.nowMs}: [${found.join()}]\n${history.join('\n')}`;
        if (!lossy && !parted && informedMs > 100) assert.ok(found.length <= 1, say);
        const key = `${side} ${address}`;
        if (found.length === 1 || !able) badSinceMs.delete(key);
        else if (!badSinceMs.has(key)) badSinceMs.set(key, net.nowMs);
        const badMs = net.nowMs - (badSinceMs.get(key) ?? Infinity);
        assert.ok(Math.min(badMs, calmMs) <= 1000, say);
      }
    }
  };
  net.run(1500, look);
  for (let step = 0; step < 12; step++) {
    const host = net.hosts[Math.floor(net.random() * net.hosts.length)] as (typeof net.hosts)[number];
    const what = net.random();
    if (!host.running) {
      host.running = true;
      const heard = net.hosts.filter((other) => net.reaches(host, other));
      net.start(
        host,
        heard.map(({ member }) => member),
      );
      history.push(`${net.nowMs} start ${host.name}`);
    } else if (host.frozenSinceMs !== undefined) {
      net.thaw(host);
      history.push(`${net.nowMs} thaw ${host.name}`);
    } else if (what < 0.25) {
      net.kill(host);
      history.push(`${net.nowMs} kill ${host.name}`);
    } else if (what < 0.5) {
      net.freeze(host);
      history.push(`${net.nowMs} freeze ${host.name}`);
    } else {
      // Two sides that meet have two owners for a moment.
      parted = true;
      host.side = host.side === 0 ? 1 + Math.floor(net.random() * 2) : 0;
      history.push(`${net.nowMs} move ${host.name} to ${host.side}`);
    }
    disturbedMs = net.nowMs;
    net.run(net.random() < 0.3 ? net.random() * 400 : 1200 + net.random() * 2000, look);
  }
}

/**
 * Whether gossip's part is done on one side: all list each other, and nobody who is away without ever having been heard
 * (which counts as a speaker of another make until gossip drops it).
 */
function informed(net: SimulatedNetwork, side: number): boolean {
  const here = net.hosts.filter(
    (host) => host.side === side && host.running && host.frozenSinceMs === undefined,
  );
  return here.every((host) => {
    const known = [...host.listed].every(
      (name) => net.reaches(host, net.host(name)) || host.heartbeats.peer(name)?.heard === true,
    );
    return known && here.every(({ name }) => host.listed.has(name));
  });
}
