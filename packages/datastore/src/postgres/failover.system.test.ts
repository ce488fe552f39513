import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Receiver } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { Attempts } from '../testing/attempts.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore } from './open.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
const quiet = logger('datastore-test').child({}, { level: 'silent' });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const both = (primary: RealPostgres, standby: RealPostgres): string =>
  `postgres://${primary.user}:${primary.password}@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres` +
  '?target_session_attrs=read-write';

describe('a failover', { timeout: 90_000 }, () => {
  it('to a synchronous replica loses nothing, and nobody has to do anything', async () => {
    await using primary = await RealPostgres.start({ fsync: 'off' });
    await using standby = await primary.standby({ synchronous: true });
    const url = both(primary, standby);
    const stores = await Promise.all([0, 1].map(() => openPostgresDatastore({ url, log: quiet })));
    const receivers = stores.map((store) => {
      const receiver = new Receiver();
      store.watch({ ...everything, startRevision: 2 }, receiver.receive);
      return receiver;
    });
    const attempts = new Attempts();
    let isOver = false;
    const writers = stores.flatMap((store) => [0, 1].map(() => attempts.putUntil(store, () => isOver)));
    try {
      while (attempts.acknowledged < 100) await pause(5);
      await primary.kill();
      await standby.promote();
      const goal = attempts.acknowledged + 100;
      while (attempts.acknowledged < goal) await pause(5);
    } finally {
      isOver = true;
    }
    await Promise.all(writers);
    for (const [i, store] of stores.entries()) await attempts.verify(store, receivers[i]);
    await Promise.all(stores.map((store) => store.close()));
  });

  it('to a replica that lost acknowledged writes is refused loudly: revisions never go back', async () => {
    await using primary = await RealPostgres.start({ fsync: 'off' });
    await using standby = await primary.standby();
    const store = await openPostgresDatastore({ url: both(primary, standby), log: quiet });
    await store.put({ key: bytes('a'), value: bytes('1') });
    // The primary goes on alone: what it acknowledges now is on no other machine.
    await standby.detach(primary);
    const { revision } = await store.put({ key: bytes('a'), value: bytes('2') });
    const receiver = new Receiver();
    store.watch(everything, receiver.receive);
    await primary.kill();
    await standby.promote();
    const failure = await store.failed;
    assert.match(
      String(failure),
      /lost writes that were acknowledged: this server has seen revision 3 .* at revision 2/,
    );
    await assert.rejects(store.range({ key: bytes('a') }), /lost writes that were acknowledged/);
    await assert.rejects(store.range({ key: bytes('a'), serializable: true }), /lost writes/);
    await assert.rejects(store.put({ key: bytes('a'), value: bytes('3') }), /lost writes/);
    assert.equal(receiver.messages.at(-1)?.type, 'canceled');
    assert.equal(revision, 3);
    await store.close();
  });

  it('is noticed even where the new primary went on to the same position with another history', async () => {
    await using primary = await RealPostgres.start({ fsync: 'off' });
    await using standby = await primary.standby();
    const log = quiet;
    const store = await openPostgresDatastore({ url: both(primary, standby), log });
    await store.put({ key: bytes('a'), value: bytes('1') });
    await standby.detach(primary);
    await store.put({ key: bytes('a'), value: bytes('seen by the first server') });
    await primary.freeze();
    await standby.promote();
    const other = await openPostgresDatastore({ url: standby.url(), log });
    for (let i = 0; i < 3; i++) await other.put({ key: bytes('a'), value: bytes('another') });
    await primary.kill();
    assert.match(String(await store.failed), /with another history/);
    await Promise.all([store.close(), other.close()]);
  });
});
