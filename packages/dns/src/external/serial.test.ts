import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import { random } from '@cloudless/kube/testing/random';
import { isSerialHigher } from '../zone/build.ts';
import { compareVersions, judgeSerial, type Revisions, type SerialEntry, type SerialView } from './serial.ts';
import { watchSerialRecord } from './serial-record.ts';

const view = (changes: Partial<SerialView>): SerialView => ({
  contentHash: 'new',
  textSerial: 1,
  served: undefined,
  recorded: undefined,
  own: { services: '10' },
  seen: { services: '10' },
  nowSeconds: 1000,
  ...changes,
});
const entry = (
  serial: number,
  contentHash: string,
  revisions: Revisions = { services: '10' },
): SerialEntry => ({
  serial,
  contentHash,
  revisions,
});

describe('a serial', () => {
  it('is at least the time, the text and one more than the last', () => {
    const serialOf = (changes: Partial<SerialView>): number | undefined => {
      const verdict = judgeSerial(view(changes));
      return verdict.kind === 'advance' ? verdict.entry.serial : undefined;
    };
    assert.equal(serialOf({}), 1000);
    assert.equal(serialOf({ textSerial: 2026112301 }), 2026112301);
    const older = { services: '9' };
    assert.equal(serialOf({ recorded: entry(5000, 'old', older) }), 5001);
    assert.equal(serialOf({ recorded: entry(0xffff_ffff, 'old', older), nowSeconds: 0xffff_fff0 }), 1);
    // What is served counts where the record is lost, or is lower than it ever was here.
    assert.equal(serialOf({ served: { serial: 7000, contentHash: 'old' } }), 7001);
    assert.equal(serialOf({ served: { serial: 7000, contentHash: 'new' } }), 7000);
    assert.equal(
      serialOf({ served: { serial: 7000, contentHash: 'new' }, recorded: entry(6000, 'new') }),
      7001,
    );
    // Somebody raised it by hand: secondaries are to fetch the zone again.
    assert.equal(serialOf({ recorded: entry(1000, 'new'), textSerial: 1500 }), 1500);
  });

  it('is adopted for the same content, whatever has been seen', () => {
    const verdict = judgeSerial(view({ recorded: entry(1234, 'new', { services: '99' }) }));
    assert.deepEqual(verdict, { kind: 'adopt', serial: 1234 });
  });

  it('waits for who has seen less than what is recorded, and is contested by who has seen the same', () => {
    assert.deepEqual(judgeSerial(view({ recorded: entry(1, 'old', { services: '11' }) })), {
      kind: 'behind',
      resource: 'services',
    });
    assert.equal(
      judgeSerial(view({ recorded: entry(1, 'old', { services: '11' }), seen: { services: '11' } })).kind,
      'contested',
    );
    // What the other one did not use does not count.
    assert.equal(
      judgeSerial(view({ recorded: entry(1, 'old', { services: '9', pods: '99' }) })).kind,
      'advance',
    );
  });

  it('records the newest of what both have seen', () => {
    const verdict = judgeSerial(
      view({
        own: { services: '100', ingresses: '7' },
        seen: { services: '100', ingresses: '60' },
        recorded: entry(1, 'old', { services: '99', ingresses: '50' }),
      }),
    );
    assert.deepEqual(verdict.kind === 'advance' && verdict.entry.revisions, {
      services: '100',
      ingresses: '50',
    });
    assert.ok(
      compareVersions('100', '99') > 0 && compareVersions('', '1') < 0 && compareVersions('7', '7') === 0,
    );
  });
});

/** A change of the cluster: one resource has another value from `version` on. */
interface Change {
  readonly version: number;
  readonly resource: string;
  readonly value: string;
}

/** A replica as the real one is, but for time and delays: what it knows of each resource, what it serves. */
class SimulatedReplica {
  /** By resource: value, version of the last change, and up to where it is known. */
  known = new Map<string, { value: string; own: number; seen: number }>();
  served: { serial: number; contentHash: string } | undefined;
  /** Written, but not published: where a crash hurts. */
  written: { serial: number; contentHash: string } | undefined;

  get content(): string {
    return [...this.known].map(([resource, { value }]) => `${resource}=${value}`).join(' ');
  }
}

const resources = ['services', 'ingresses', 'configmaps'];

/**
 * Runs replicas over a cluster at random; throws when a promise is broken. When somebody deletes the record, one serial may
 * come to have two contents on replicas that have served nothing yet; that none falls and all agree in the end counts still.
 */
function simulate(seed: number): void {
  const losesRecord = seed % 4 === 0;
  const next = random(seed);
  const chance = (probability: number): boolean => next() < probability;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const changes: Change[] = resources.map((resource, i) => ({ version: i + 1, resource, value: '' }));
  let head = resources.length;
  let nowSeconds = 1_000_000;
  let record: { version: number; entry: SerialEntry | undefined } = { version: 0, entry: undefined };
  const contentBySerial = new Map<number, string>();
  const valueAt = (resource: string, version: number): Change =>
    changes.findLast((one) => one.resource === resource && one.version <= version) as Change;

  /** A list: everything up to now at once. */
  const list = (replica: SimulatedReplica, resource: string): void => {
    replica.known.set(resource, { value: valueAt(resource, head).value, own: head, seen: head });
  };
  const restart = (replica: SimulatedReplica): void => {
    replica.served = undefined;
    replica.written = undefined;
    replica.known = new Map();
    for (const resource of resources) list(replica, resource);
  };
  /** The next event, or a bookmark where there is none. */
  const watch = (replica: SimulatedReplica, resource: string): void => {
    const known = replica.known.get(resource);
    if (!known) return;
    const event = changes.find((one) => one.resource === resource && one.version > known.seen);
    if (event) replica.known.set(resource, { value: event.value, own: event.version, seen: event.version });
    else replica.known.set(resource, { ...known, seen: head });
  };
  const publish = (replica: SimulatedReplica, served: { serial: number; contentHash: string }): void => {
    const before = replica.served;
    if (before && before.serial !== served.serial)
      assert.ok(
        isSerialHigher(served.serial, before.serial),
        `serial fell from ${before.serial} to ${served.serial}`,
      );
    if (before?.serial === served.serial) assert.equal(served.contentHash, before.contentHash);
    const known = losesRecord ? undefined : contentBySerial.get(served.serial);
    assert.equal(known ?? served.contentHash, served.contentHash, `serial ${served.serial} has two contents`);
    contentBySerial.set(served.serial, served.contentHash);
    replica.served = served;
  };
  const judge = (replica: SimulatedReplica, stale: typeof record): void => {
    const versions = (pickOne: (known: { own: number; seen: number }) => number): Revisions =>
      Object.fromEntries([...replica.known].map(([resource, known]) => [resource, String(pickOne(known))]));
    const verdict = judgeSerial({
      contentHash: replica.content,
      textSerial: 1,
      served: replica.served,
      recorded: stale.entry,
      own: versions(({ own }) => own),
      seen: versions(({ seen }) => seen),
      nowSeconds,
    });
    assert.notEqual(verdict.kind, 'contested', 'one state of the cluster has one content');
    if (verdict.kind === 'adopt') publish(replica, { serial: verdict.serial, contentHash: replica.content });
    // Compare and swap: nothing is written over what it did not see.
    if (verdict.kind !== 'advance' || stale.version !== record.version) return;
    record = { version: record.version + 1, entry: verdict.entry };
    replica.written = { serial: verdict.entry.serial, contentHash: replica.content };
  };

  const replicas = Array.from({ length: 1 + Math.floor(next() * 4) }, () => new SimulatedReplica());
  for (const replica of replicas) restart(replica);
  const stale = new Map(replicas.map((replica) => [replica, record]));
  for (let step = 0; step < 300; step++) {
    const replica = pick(replicas);
    if (chance(0.15)) {
      // A deletion is a change like others: the value is empty then.
      head += 1;
      changes.push({
        version: head,
        resource: pick(resources),
        value: chance(0.3) ? '' : String(Math.floor(next() * 3)),
      });
    }
    if (chance(0.1)) head += 1;
    if (chance(0.2)) nowSeconds += 1;
    const turn = next();
    if (turn < 0.03) restart(replica);
    else if (turn < 0.06) list(replica, pick(resources));
    else if (turn < 0.5) watch(replica, pick(resources));
    if (chance(0.5)) stale.set(replica, record);
    if (replica.written && chance(0.7)) {
      publish(replica, replica.written);
      replica.written = undefined;
    } else if (!replica.written && chance(0.7)) judge(replica, stale.get(replica) ?? record);
    if (losesRecord && chance(0.02)) record = { version: record.version + 1, entry: undefined };
  }
  // Quiet: all see all, and none may be stuck or differ.
  for (let round = 0; round < 10; round++)
    for (const replica of replicas) {
      for (const resource of resources) for (let i = 0; i < 100; i++) watch(replica, resource);
      if (replica.written) publish(replica, replica.written);
      replica.written = undefined;
      judge(replica, record);
    }
  for (const replica of replicas) {
    assert.deepEqual(replica.served, replicas[0]?.served, 'replicas agree');
    assert.equal(replica.served?.contentHash, replica.content, 'nobody is stuck');
  }
}

describe('replicas', () => {
  it('agree, never fall and never get stuck, whatever order they see and whenever they restart', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1e9);
    const iterations = Number(process.env['ITERATIONS'] ?? 300);
    for (let i = 0; i < iterations; i++) {
      try {
        simulate(seed + i);
      } catch (error) {
        throw new Error(`SEED=${seed + i} ITERATIONS=1`, { cause: error });
      }
    }
  });
});

describe('the record of serials', () => {
  it('is written by compare and swap, keeps names that no key can have, and ignores what is no entry', async () => {
    const cluster = new FakeCluster();
    const clock = new FakeClock();
    const log = logger('test').child({}, { level: 'silent' });
    const options = { client: cluster.client, namespace: 'cloudless-dns', log, clock };
    const [one, two] = [watchSerialRecord(options), watchSerialRecord(options)];
    try {
      await Promise.all([one.synced, two.synced]);
      const names = ['a.test', '0/25.2.0.192.in-addr.arpa', '', 'hex.test'];
      assert.equal(await one.write(new Map(names.map((name, i) => [name, entry(i + 1, 'x')]))), true);
      // It has not heard of that write, or has: either way it does not write over it.
      assert.equal(await two.write(new Map([['a.test', entry(50, 'y')]])), false);
      assert.deepEqual(two.entry('a.test'), entry(1, 'x'));
      assert.deepEqual(two.origins().sort(), [...names].sort());
      assert.equal(
        await two.write(
          new Map([
            ['a.test', entry(51, 'y')],
            ['', undefined],
          ]),
        ),
        true,
      );
      await cluster.until(() => one.entry('a.test')?.serial === 51);
      assert.equal(one.entry(''), undefined);
      cluster.change(core.configmaps, 'serials', 'cloudless-dns', (copy) => {
        copy.data = { 'a.test': 'nonsense', 'b.test': '{"serial": -1, "contentHash": "x", "revisions": {}}' };
      });
      await cluster.until(() => one.entry('a.test') === undefined);
      assert.deepEqual(one.origins(), []);
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  });
});
