import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sighting } from '../testing/failover-client.ts';
import { bootTimeMs } from '@cloudless/kube/native/libc';
import {
  type FailoverClient,
  FailoverCluster,
  type FailoverHost,
  failures,
  longestGap,
  port,
} from '../testing/failover-cluster.ts';

// Three of each way to fail, twelve and more in all; FAILOVER_ROUNDS=20 is the long run.
const rounds = Number(process.env['FAILOVER_ROUNDS'] ?? 4);
const key = 'a gossip key';

const median = (list: readonly number[]): number =>
  list.toSorted((a, b) => a - b)[list.length >> 1] as number;

/** A TCP connection by the client's kernel. */
function connects(client: FailoverClient, address: string): void {
  const talk = `exec 3<>/dev/tcp/${address}/${port}; echo hello >&3; read -r -t 2 answer <&3; echo "$answer"`;
  assert.equal(client.host.run('bash', '-c', talk).trim(), 'hello');
}

describe('an owner that loses power', () => {
  let cluster: FailoverCluster;
  let vip: string;
  const gaps: number[] = [];
  before(async () => {
    cluster = await FailoverCluster.start({ hosts: 3, heartbeat: { key } });
    vip = cluster.virtualAddresses[0] as string;
  });
  after(() => cluster.close());

  for (const way of failures)
    it(`by ${way}: one other answers, and the old one nothing until it has rejoined`, async () => {
      const [owner, next] = cluster.ranked() as [FailoverHost, FailoverHost];
      for (let round = 0; round < rounds; round++) {
        await cluster.settled(owner);
        await sleep(Math.random() * 100);
        await cluster.client.look();
        const failedMs = cluster.fail(owner, way);
        await sleep(650);
        const away = await cluster.client.look();
        gaps.push(longestGap(away.answered[vip] ?? [], failedMs, bootTimeMs() - 20));
        // What was on its way may still arrive.
        const claims = away.claims.filter(({ atMs }) => atMs > failedMs + 20);
        assert.deepEqual([...new Set(claims.map(({ mac }) => mac))], [next.mac], `${way}, round ${round}`);
        assert.ok(
          away.pings[vip]?.some((atMs) => atMs > failedMs + 500),
          'no ping was answered',
        );
        connects(cluster.client, vip);
        await cluster.client.look();

        const backMs = await cluster.recover(owner, way);
        await sleep(800);
        const back = await cluster.client.look();
        const firstMs = back.claims.find(({ mac }) => mac === owner.mac)?.atMs ?? Infinity;
        const lastMs = back.claims.findLast(({ mac }) => mac !== owner.mac)?.atMs ?? Infinity;
        // Three heartbeats in a row make it live again; a process that starts has begun before this moment.
        if (way !== 'kill -9') assert.ok(firstMs - backMs >= 150, `answered ${firstMs - backMs} ms later`);
        assert.ok(lastMs <= firstMs + 2, `two answered for ${lastMs - firstMs} ms`);
        assert.ok(firstMs < Infinity, 'the old owner did not take over again');
        const gapMs = longestGap(back.answered[vip] ?? [], backMs, bootTimeMs() - 20);
        assert.ok(gapMs <= 500, `${gapMs} ms without an answer while it came back`);
      }
    });

  it('leaves clients alone for 300 ms in the median and 500 at worst', (t) => {
    t.diagnostic(`gaps in ms: ${gaps.map(Math.round).join(' ')}`);
    assert.ok(median(gaps) <= 300 && Math.max(...gaps) <= 500, gaps.join(' '));
  });

  it('is missed by nobody for long when it says that it goes', async () => {
    const [owner, next] = cluster.ranked() as [FailoverHost, FailoverHost];
    await cluster.settled(owner);
    const endsMs = bootTimeMs();
    await owner.program.end();
    await sleep(300);
    const seen = await cluster.client.look();
    const gapMs = longestGap(seen.answered[vip] ?? [], endsMs, bootTimeMs() - 20);
    assert.ok(gapMs < 100, `${gapMs} ms`);
    await cluster.settled(next);
    await cluster.startProgram(owner);
    await cluster.settled(owner);
  });

  it('and the next too: the last one serves alone', async () => {
    const [owner, next, last] = cluster.ranked() as [FailoverHost, FailoverHost, FailoverHost];
    await cluster.settled(owner);
    cluster.fail(owner, 'kill -9');
    cluster.fail(next, 'port cut');
    await cluster.settled(last);
    connects(cluster.client, vip);
    await cluster.recover(next, 'port cut');
    await cluster.recover(owner, 'kill -9');
    await cluster.settled(owner);
  });

  it('is not taken for dead while machines are busy', async () => {
    const [owner] = cluster.ranked() as [FailoverHost];
    await cluster.settled(owner);
    const silences = () =>
      Promise.all(cluster.hosts.map((host) => counterOf(cluster, host, 'silences_total')));
    const before = await silences();
    const spinning = Array.from({ length: 3 }, () =>
      spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
    );
    try {
      await Promise.all(
        cluster.hosts.map((host) =>
          host.program.ask({ kind: 'spin', ms: 2000 }, ({ kind }) => kind === 'spun', 20_000),
        ),
      );
    } finally {
      for (const child of spinning) child.kill('SIGKILL');
    }
    assert.deepEqual(await silences(), before);
    const seen = await cluster.client.look();
    assert.deepEqual([...new Set(seen.claims.map(({ mac }) => mac))], [owner.mac]);
  });
});

async function counterOf(cluster: FailoverCluster, host: FailoverHost, name: string): Promise<number> {
  // Counters go to the main side once a second.
  await sleep(1100);
  const text = await cluster.metrics(host);
  return Number(new RegExp(`^cloudless_layer2_${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

describe('a partition in two halves', () => {
  it('never has two owners on one side, and one within a second after it has healed', async () => {
    const cluster = await FailoverCluster.start({ hosts: 4, heartbeat: {} });
    try {
      const there = await cluster.addClient('other-client', 201);
      const [first, second, third, fourth] = cluster.ranked();
      assert.ok(first && second && third && fourth);
      await cluster.settled(first);
      for (let round = 0; round < 2; round++) {
        for (const host of [third.host, fourth.host, there.host]) host.moveTo('br1');
        await sleep(600);
        await cluster.client.look();
        await there.look();
        await sleep(600);
        const macs = async (client: FailoverClient): Promise<string[]> => [
          ...new Set((await client.look()).claims.map(({ mac }) => mac)),
        ];
        assert.deepEqual(await macs(cluster.client), [first.mac]);
        assert.deepEqual(await macs(there), [third.mac]);
        for (const host of [third.host, fourth.host, there.host]) host.moveTo('br0');
        const healedMs = bootTimeMs();
        await sleep(1500);
        for (const client of [cluster.client, there]) {
          const { claims } = await client.look();
          const late: Sighting['claims'] = claims.filter(
            ({ atMs, mac }) => atMs > healedMs + 1000 && mac !== first.mac,
          );
          assert.equal(late.length, 0, JSON.stringify(late[0]));
          assert.ok(claims.some(({ atMs, mac }) => atMs > healedMs + 1000 && mac === first.mac));
        }
      }
      const told = [first, third].flatMap((host) =>
        host.program.reports.filter(
          (report) => report.kind === 'ownership' && report.ownership.contestedBy !== undefined,
        ),
      );
      assert.ok(told.length > 0, 'nobody told of the split');
    } finally {
      cluster.close();
    }
  });
});
