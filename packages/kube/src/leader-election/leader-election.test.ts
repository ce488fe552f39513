import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { coordination } from '../generated/resources.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { FakeCluster } from '../testing/fake-client.ts';
import { type LeaderElection, startLeaderElection } from './leader-election.ts';

interface Candidate {
  election: LeaderElection;
  leads: boolean;
}

class Bench {
  readonly clock = new FakeClock();
  readonly cluster = new FakeCluster({ clock: this.clock });
  readonly candidates: Candidate[] = [];
  mostLeaders = 0;

  stand(identity: string): Candidate {
    const candidate = { leads: false } as Candidate;
    candidate.election = startLeaderElection({
      client: this.cluster.clientFor(identity),
      namespace: 'kube-system',
      name: 'kube-scheduler',
      identity,
      clock: this.clock,
      lead: async (signal) => {
        candidate.leads = true;
        this.mostLeaders = Math.max(this.mostLeaders, this.candidates.filter((one) => one.leads).length);
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        candidate.leads = false;
      },
    });
    this.candidates.push(candidate);
    return candidate;
  }

  /** Steps the clock in tenths of a second, letting the candidates act in between. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 10; i++) {
      this.clock.advance(100);
      // oxlint-disable-next-line no-await-in-loop -- time passes step by step
      for (let j = 0; j < 4; j++) await turn();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.candidates.map((candidate) => candidate.election.stop()));
    assert.equal(this.clock.pendingTimers, 0);
    assert.equal(this.mostLeaders, 1);
  }
}

describe('leader election', () => {
  it('elects one, renews, and writes the Lease as client-go does', async () => {
    const bench = new Bench();
    const a = bench.stand('a');
    await bench.pass(0.5);
    const b = bench.stand('b');
    await bench.pass(60);
    assert.deepEqual([a.leads, b.leads, b.election.leader], [true, false, 'a']);
    const lease = bench.cluster.object(coordination.leases, 'kube-scheduler', 'kube-system');
    assert.equal(lease?.spec?.holderIdentity, 'a');
    assert.equal(lease.spec.leaseDurationSeconds, 15);
    assert.equal(lease.spec.leaseTransitions, 0);
    assert.match(lease.spec.renewTime ?? '', /^2026-01-01T00:0\d:\d\d\.\d{6}Z$/);
    await bench.end();
  });

  it('another takes over at once from one that stops', async () => {
    const bench = new Bench();
    const a = bench.stand('a');
    await bench.pass(0.5);
    const b = bench.stand('b');
    await bench.pass(5);
    await a.election.stop();
    await bench.pass(5);
    assert.deepEqual([a.leads, b.leads], [false, true]);
    assert.equal(
      bench.cluster.object(coordination.leases, 'kube-scheduler', 'kube-system')?.spec?.leaseTransitions,
      1,
    );
    await bench.end();
  });

  it('a leader that cannot reach the server gives up before another takes over', async () => {
    const bench = new Bench();
    const a = bench.stand('a');
    await bench.pass(0.5);
    const b = bench.stand('b');
    await bench.pass(5);
    let cut = true;
    bench.cluster.intercept((call) => (cut && call.user === 'a' ? new Error('unreachable') : undefined));
    await bench.pass(11);
    assert.deepEqual([a.leads, b.leads], [false, false]);
    await bench.pass(10);
    assert.deepEqual([a.leads, b.leads], [false, true]);
    cut = false;
    await bench.pass(30);
    assert.deepEqual([a.leads, b.leads], [false, true]);
    await bench.end();
  });

  it('a leader does not wait for an answer that never comes', async () => {
    const bench = new Bench();
    const a = bench.stand('a');
    await bench.pass(3);
    let release = (): void => undefined;
    bench.cluster.intercept((call) =>
      call.verb === 'update'
        ? new Promise((resolve) => (release = () => resolve(new Error('late'))))
        : undefined,
    );
    await bench.pass(13);
    assert.equal(a.leads, false);
    bench.cluster.intercept(() => undefined);
    const ending = bench.end();
    for (let i = 0; i < 20; i++) {
      release();
      // oxlint-disable-next-line no-await-in-loop
      await turn();
    }
    await ending;
  });

  it('clocks of candidates may differ and step', async () => {
    const bench = new Bench();
    const a = bench.stand('a');
    await bench.pass(3);
    const b = bench.stand('b');
    bench.clock.stepWall(3_600_000);
    await bench.pass(3);
    bench.clock.stepWall(-7_200_000);
    await bench.pass(30);
    assert.deepEqual([a.leads, b.leads], [true, false]);
    await bench.end();
  });

  it('refuses timings that cannot be safe', () => {
    const cluster = new FakeCluster();
    const common = {
      client: cluster.client,
      namespace: 'n',
      name: 'l',
      identity: 'a',
      lead: () => undefined,
    };
    assert.throws(
      () => startLeaderElection({ ...common, leaseDurationMs: 10_000 }),
      /leaseDuration must be greater/,
    );
    assert.throws(
      () => startLeaderElection({ ...common, retryPeriodMs: 9_000 }),
      /renewDeadline must be greater/,
    );
  });
});
