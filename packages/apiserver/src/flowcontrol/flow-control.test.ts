import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusError } from '@cloudless/kube/status';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { FlowSchema, PriorityLevelConfiguration } from '@cloudless/kube/types/flowcontrol-v1';
import type { UserInfo } from '@cloudless/kube/user';
import * as fc from 'fast-check';
import { parseRequest } from '../request/parse.ts';
import { allocate, Integrator } from './allocation.ts';
import { mandatory, suggested } from './bootstrap.ts';
import { FlowControl } from './flow-control.ts';
import { dumpPriorityLevels, flowControlMetrics } from './metrics.ts';
import type { Seat } from './priority-level.ts';
import { deal, flowHash } from './shuffle-shard.ts';
import { workEstimate } from './work-estimate.ts';

const named = (name: string, ...groups: string[]): UserInfo => ({
  name,
  groups: [...groups, 'system:authenticated'],
});
const info = (method: string, path: string) => {
  const [plain = '', search] = path.split('?', 2);
  return parseRequest(method, plain, new URLSearchParams(search));
};
const withUids = <T extends { metadata: object }>(objects: readonly T[]): T[] =>
  objects.map((one) => ({ ...one, metadata: { ...one.metadata, uid: crypto.randomUUID() } }));
const everything = (): [PriorityLevelConfiguration[], FlowSchema[]] => [
  withUids([...suggested.levels, ...mandatory.levels]),
  withUids([...suggested.schemas, ...mandatory.schemas]),
];
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const runs = { seed, numRuns: Math.max(10, Number(process.env['ITERATIONS'] ?? 100)) };
console.log(`SEED=${seed}`);

const nobody = { onClose: () => {} };
const configMaps = '/api/v1/namespaces/default/configmaps';

/** A level with few seats for users whose names begin with nothing in particular. */
function narrow(seats: number, response: PriorityLevelConfiguration['spec']): FlowControl {
  const clock = new FakeClock();
  const control = new FlowControl(seats, clock);
  control.configure([{ metadata: { name: 'narrow' }, spec: response }], [schemaOf('narrow')]);
  return control;
}

const schemaOf = (level: string, namespaces = ['*']): FlowSchema => ({
  metadata: { name: 'all' },
  spec: {
    priorityLevelConfiguration: { name: level },
    matchingPrecedence: 50,
    distinguisherMethod: { type: 'ByUser' },
    rules: [
      {
        subjects: [{ kind: 'Group', group: { name: 'system:authenticated' } }],
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces, clusterScope: true }],
      },
    ],
  },
});

const limited = (queues: number, handSize: number, queueLengthLimit: number) => ({
  type: 'Limited',
  limited: {
    nominalConcurrencyShares: 10_000,
    limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit } },
  },
});

describe('classification', () => {
  const control = new FlowControl(600, new FakeClock());
  control.configure(...everything());
  const schemaFor = (user: UserInfo, method: string, path: string): string =>
    control.classify(user, info(method, path)).schema.name;

  it('finds the schema of each kind of request', () => {
    const node = named('system:node:a', 'system:nodes');
    const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a';
    assert.equal(schemaFor(named('root', 'system:masters'), 'GET', configMaps), 'exempt');
    assert.equal(schemaFor(node, 'PUT', lease), 'system-node-high');
    assert.equal(schemaFor(node, 'PATCH', '/api/v1/nodes/a/status'), 'system-node-high');
    assert.equal(schemaFor(node, 'GET', '/api/v1/pods'), 'system-nodes');
    assert.equal(schemaFor(named('system:kube-scheduler'), 'PUT', lease), 'system-leader-election');
    assert.equal(schemaFor(named('system:kube-scheduler'), 'DELETE', lease), 'kube-scheduler');
    const account = (namespace: string): UserInfo =>
      named(`system:serviceaccount:${namespace}:x`, 'system:serviceaccounts');
    assert.equal(schemaFor(account('kube-system'), 'GET', configMaps), 'kube-system-service-accounts');
    assert.equal(schemaFor(account('kube-system2'), 'GET', configMaps), 'service-accounts');
    assert.equal(schemaFor(named('someone'), 'GET', configMaps), 'global-default');
    assert.equal(schemaFor(named('someone'), 'GET', '/readyz/ping'), 'probes');
    assert.equal(schemaFor(named('someone'), 'GET', '/version'), 'global-default');
    assert.equal(schemaFor({ name: 'odd', groups: [] }, 'GET', '/version'), 'catch-all');
  });

  it('looks at groups, not at names alone', () => {
    assert.equal(schemaFor(named('same'), 'GET', configMaps), 'global-default');
    assert.equal(schemaFor(named('same', 'system:masters'), 'GET', configMaps), 'exempt');
  });

  it('tells flows apart by user or by namespace', () => {
    const scheduler = named('system:kube-scheduler');
    assert.equal(control.classify(scheduler, info('GET', configMaps)).distinguisher, 'default');
    const other = info('GET', '/api/v1/namespaces/other/configmaps');
    assert.equal(control.classify(scheduler, other).distinguisher, 'other');
    assert.equal(control.classify(named('someone'), other).distinguisher, 'someone');
  });

  it('asks for namespaces where a schema names them, and forgets what an older configuration said', () => {
    const own = new FlowControl(600, new FakeClock());
    const one = schemaOf('narrow', ['default']);
    const request = info('GET', configMaps);
    assert.equal(own.classify(named('a'), request).schema.name, 'catch-all');
    own.configure([{ metadata: { name: 'narrow' }, spec: limited(1, 1, 1) }], [one]);
    assert.equal(own.classify(named('a'), request).schema.name, 'all');
    const other = info('GET', '/api/v1/namespaces/other/configmaps');
    assert.equal(own.classify(named('a'), other).schema.name, 'catch-all');
    own.configure([], [one]);
    assert.equal(own.classify(named('a'), request).schema.name, 'catch-all');
  });
});

describe('seats', () => {
  const enter = (control: FlowControl, user: string, seats = 1): Seat | Promise<Seat> =>
    control.enter(control.classify(named(user), info('GET', configMaps)), seats, 60_000, nobody);
  const refused = (error: unknown): boolean => error instanceof StatusError && error.code === 429;

  it("have upstream's numbers for a total of 600", () => {
    const control = new FlowControl(600, new FakeClock());
    control.configure(...everything());
    const nominal = Object.fromEntries([...control.levels].map(([name, level]) => [name, level.limits]));
    assert.deepEqual(nominal['workload-low'], { nominal: 245, lower: 24, upper: 845 });
    assert.deepEqual(nominal['node-high'], { nominal: 98, lower: 73, upper: 698 });
    assert.deepEqual(nominal['catch-all'], { nominal: 13, lower: 13, upper: 613 });
    assert.deepEqual(nominal['exempt'], { nominal: 0, lower: 0, upper: 600 });
  });

  it('are refused where nobody may wait, and exempt requests need none', () => {
    const control = new FlowControl(1, new FakeClock());
    const seat = enter(control, 'a') as Seat;
    assert.throws(() => enter(control, 'a'), refused);
    const root = control.classify(named('root', 'system:masters'), info('GET', configMaps));
    for (let i = 0; i < 10; i++) assert.ok(!(control.enter(root, 1, 60_000, nobody) instanceof Promise));
    seat.leave();
    seat.leave();
    assert.ok(!(enter(control, 'a') instanceof Promise));
    assert.throws(() => enter(control, 'a'), refused);
    assert.match(flowControlMetrics(control), /rejected_requests_total\{.*reason="concurrency-limit"\} 2/);
  });

  it('go to flows in turn, however much one asks for', async () => {
    const control = narrow(1, limited(64, 6, 50));
    const order: string[] = [];
    const held = enter(control, 'flood') as Seat;
    const run = async (user: string): Promise<void> => {
      const seat = await enter(control, user);
      order.push(user);
      // Others are told before the seat is given on.
      await Promise.resolve();
      seat.leave();
    };
    const all = [
      ...Array.from({ length: 40 }, () => run('flood')),
      ...Array.from({ length: 5 }, () => run('modest')),
    ];
    held.leave();
    await Promise.all(all);
    assert.equal(order.length, 45);
    // A flow's hand holds several queues, but the flood's six never come before the modest one's more than once each.
    assert.ok(order.lastIndexOf('modest') < 25, order.join(' '));
    assert.ok(order.indexOf('modest') < 7, order.join(' '));
  });

  it('are shared in seat time: a flow of slow requests gets fewer', async () => {
    const clock = new FakeClock();
    const control = new FlowControl(1, clock);
    control.configure([{ metadata: { name: 'narrow' }, spec: limited(2, 1, 50) }], [schemaOf('narrow')]);
    const users = ['a', 'b', 'c', 'd', 'e'];
    const handOf = (user: string): number => deal(flowHash('all', user), 2, 1)[0] as number;
    const slow = users.find((user) => handOf(user) === 0) as string;
    const quick = users.find((user) => handOf(user) === 1) as string;
    const held = enter(control, slow) as Seat;
    const took: Record<string, number> = { [slow]: 0, [quick]: 0 };
    let at200: Record<string, number> | undefined;
    const run = async (user: string): Promise<void> => {
      const seat = await enter(control, user);
      clock.advance(user === slow ? 20 : 2);
      took[user] = (took[user] ?? 0) + 1;
      if (clock.monotonicMs() >= 200) at200 ??= { ...took };
      seat.leave();
    };
    const all = Array.from({ length: 40 }, () => [run(slow), run(quick)]).flat();
    held.leave();
    await Promise.all(all);
    assert.ok((at200?.[quick] ?? 0) > 3 * (at200?.[slow] ?? 0), JSON.stringify(at200));
  });

  it('are waited for no longer than a quarter of the timeout, nor by those who have gone', async () => {
    const clock = new FakeClock();
    const control = new FlowControl(1, clock);
    control.configure([{ metadata: { name: 'narrow' }, spec: limited(1, 1, 2) }], [schemaOf('narrow')]);
    const flow = control.classify(named('a'), info('GET', configMaps));
    const seat = control.enter(flow, 1, 60_000, nobody) as Seat;
    const late = control.enter(flow, 1, 60_000, nobody) as Promise<Seat>;
    let go: () => void = () => {};
    const gone = control.enter(flow, 1, 60_000, { onClose: (callback) => (go = callback) });
    assert.throws(() => control.enter(flow, 1, 60_000, nobody), refused);
    go();
    await assert.rejects(Promise.resolve(gone), refused);
    clock.advance(14_999);
    assert.equal(flow.schema.waiting, 1);
    clock.advance(1);
    await assert.rejects(late, refused);
    seat.leave();
    const text = flowControlMetrics(control);
    for (const reason of ['time-out', 'cancelled', 'queue-full'])
      assert.match(text, new RegExp(`rejected_requests_total\\{.*reason="${reason}"\\} 1`));
    assert.match(dumpPriorityLevels(control), /^narrow, +0, +true, +false, +0, +0, +1, +1, +1, +1,$/m);
    assert.equal(clock.pendingTimers, 0);
  });

  it('of a list are many; one that asks for more than there are goes alone', async () => {
    const control = narrow(4, limited(1, 1, 10));
    const first = enter(control, 'a') as Seat;
    const wide = enter(control, 'a', 50);
    assert.ok(!(wide instanceof Promise), 'a level gives a list no more than it has');
    assert.equal(wide.seats, 1);
    first.leave();
    wide.leave();
    const stored = () => 950;
    const seats = (path: string): number =>
      workEstimate(info('GET', path), new URLSearchParams(path.split('?')[1]), stored);
    assert.equal(seats('/api/v1/pods'), 10);
    assert.equal(seats('/api/v1/pods?limit=150'), 2);
    assert.equal(seats('/api/v1/pods?limit=150&labelSelector=a%3Db'), 10);
    assert.equal(seats('/api/v1/pods?watch=true'), 10);
    assert.equal(seats('/api/v1/pods?watch=true&resourceVersion=5'), 1);
    assert.equal(seats('/api/v1/namespaces/a/pods/b'), 1);
  });

  it('are lent to a level that needs them, and come back', () => {
    const clock = new FakeClock();
    const control = new FlowControl(100, clock);
    const level = (name: string): PriorityLevelConfiguration => ({
      metadata: { name },
      spec: {
        type: 'Limited',
        limited: {
          nominalConcurrencyShares: 100,
          lendablePercent: 50,
          limitResponse: { type: 'Queue', queuing: { queues: 1, handSize: 1, queueLengthLimit: 1_000 } },
        },
      },
    });
    control.configure([level('busy'), level('still')], [schemaOf('busy')]);
    control.start();
    const entered = Array.from({ length: 90 }, () => enter(control, 'a'));
    const limits = (): number[] => ['busy', 'still'].map((name) => control.levels.get(name)?.limit ?? 0);
    clock.advance(10_000);
    const [busy = 0, still = 0] = limits();
    assert.ok(busy > 65 && still < 35, `${busy} and ${still}`);
    assert.ok(busy + still <= 103);
    for (const seat of entered) {
      if (seat instanceof Promise) void seat.then((one) => one.leave());
      else seat.leave();
    }
    clock.advance(1);
    control.stop();
  });

  it('are given back whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ user: fc.constantFrom('a', 'b', 'c'), seats: fc.integer({ min: 1, max: 5 }) }), {
          maxLength: 60,
        }),
        fc.integer({ min: 1, max: 8 }),
        async (requests, total) => {
          const clock = new FakeClock();
          const control = new FlowControl(total, clock);
          control.configure([{ metadata: { name: 'narrow' }, spec: limited(4, 2, 5) }], [schemaOf('narrow')]);
          let most = 0;
          const level = control.levels.get('narrow');
          const run = async ({ user, seats }: { user: string; seats: number }): Promise<void> => {
            const seat = await enter(control, user, seats);
            most = Math.max(most, level?.seatsInUse ?? 0);
            await Promise.resolve();
            seat.leave();
          };
          const results = await Promise.allSettled(requests.map(async (one) => await run(one)));
          for (const one of results) assert.ok(one.status === 'fulfilled' || refused(one.reason));
          assert.ok(most <= Math.max(level?.limit ?? 0, 5), `${most} seats of ${level?.limit}`);
          assert.equal(level?.isIdle, true);
          assert.equal(level?.seatsInUse, 0);
          assert.equal(level?.waitingSeats, 0);
          assert.equal(clock.pendingTimers, 0);
        },
      ),
      runs,
    );
  });
});

describe('a level without an object', () => {
  it('keeps those who wait, and goes when it is idle', async () => {
    const control = narrow(1, limited(1, 1, 10));
    const flow = control.classify(named('a'), info('GET', configMaps));
    const seat = control.enter(flow, 1, 60_000, nobody) as Seat;
    const waiting = control.enter(flow, 1, 60_000, nobody);
    control.configure([], []);
    assert.equal(control.levels.get('narrow')?.quiescing, true);
    seat.leave();
    (await waiting).leave();
    control.configure([], []);
    assert.equal(control.levels.has('narrow'), false);
  });
});

describe('allocation', () => {
  const claim = fc
    .tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 200 }))
    .map(([lower, more, target]) => ({ lower, upper: lower + more, target: Math.max(lower, target) }));

  it('gives out what there is, within bounds', () => {
    fc.assert(
      fc.property(
        fc.array(claim, { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (claims, at) => {
          const low = claims.reduce((sum, { lower }) => sum + lower, 0);
          const high = claims.reduce((sum, { upper }) => sum + upper, 0);
          const sum = Math.round(low + (high - low) * at);
          const { seats, fraction } = allocate(sum, claims);
          assert.ok(Math.abs(seats.reduce((a, b) => a + b, 0) - sum) < 0.01);
          for (const [i, { lower, upper, target }] of claims.entries()) {
            const got = seats[i] as number;
            assert.ok(got >= lower && got <= upper);
            const fair = fraction * Math.max(target, 0.001);
            if (got > lower + 1e-6 && got < upper - 1e-6) assert.ok(Math.abs(got - fair) < 1e-6);
          }
        },
      ),
      runs,
    );
  });

  it('integrates over time', () => {
    const integrator = new Integrator(0);
    integrator.set(10, 0);
    integrator.set(0, 50);
    const { highest, average, deviation } = integrator.reset(100);
    assert.deepEqual([highest, average, deviation], [10, 5, 5]);
    assert.equal(integrator.reset(200).average, 0);
  });
});

describe('shuffle sharding', () => {
  it('deals different cards, and the same to the same flow', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 8, max: 128 }),
        (flow, hand, deck) => {
          const cards = deal(flowHash('schema', flow), deck, hand);
          assert.equal(new Set(cards).size, hand);
          assert.ok(cards.every((card) => card >= 0 && card < deck));
          assert.deepEqual(deal(flowHash('schema', flow), deck, hand), cards);
        },
      ),
      runs,
    );
  });
});
