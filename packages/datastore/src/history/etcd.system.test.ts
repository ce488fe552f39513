import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import { RealEtcd } from '@cloudless/kube/testing/real-etcd';
import { openDatastore } from '../index.ts';
import { serveDatastore } from '../server/serve.ts';
import { openSnapshot } from '../snapshot/etcd-reader.ts';
import { assertSameStore, contentOf, leasesOf, writeRandomly } from '../testing/same-store.ts';
import { writeEtcd } from './etcd-target.ts';
import { historyOfEtcd } from './etcd-history.ts';
import { historyOfLog } from './log-history.ts';
import { openSqliteLog } from './sqlite.ts';
import { writeSqlite } from './sqlite-target.ts';

const run = promisify(execFile);
const log = logger('test').child({}, { level: 'silent' });
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** Another etcd than Debian's by `ETCD_PROGRAMS`: a folder with etcd, etcdctl and etcdutl. */
const others = process.env['ETCD_PROGRAMS'];
const program = (name: string): string => join(others ?? '/usr/bin', name);
const restorer = others === undefined ? program('etcdctl') : program('etcdutl');

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'move-etcd-'));
  console.log(`SEED=${seed}`);
});
after(() => rm(folder, { recursive: true }));

const restored = (snapshot: string): Promise<RealEtcd> =>
  RealEtcd.start({
    program: program('etcd'),
    prepare: async ({ dataDir, peerUrl, memberName }) => {
      const flags = [
        `--data-dir=${dataDir}`,
        `--name=${memberName}`,
        `--initial-cluster=${memberName}=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
      ];
      await run(restorer, ['snapshot', 'restore', snapshot, ...flags], { env: { ETCDCTL_API: '3' } });
    },
  });

async function snapshotStatus(path: string): Promise<Record<string, unknown>> {
  const { stdout } = await run(restorer, ['snapshot', 'status', path, '-w', 'json'], {
    env: { ETCDCTL_API: '3' },
  });
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('a move between etcd and ours', () => {
  test('takes a snapshot that etcdctl saved into SQLite, and ours back into etcd, key by key', async () => {
    const etcd = await RealEtcd.start({ program: program('etcd') });
    const saved = join(folder, 'saved.db');
    const ours = join(folder, 'ours', 'state.db');
    let back: RealEtcd | undefined;
    try {
      const real = await etcd.connect();
      const compactRevision = await writeRandomly(real, 220, seed);
      await run(program('etcdctl'), [...etcd.clientFlags, 'snapshot', 'save', saved], {
        env: { ETCDCTL_API: '3' },
      });
      const history = await openSnapshot(saved);
      await writeSqlite(ours, history, { log });
      await history.close();

      const path = join(folder, 'back.db');
      {
        await using store = await openDatastore({ path: ours, log });
        await assertSameStore(store, real, compactRevision);
        await writeFile(path, store.snapshot());
        const status = await snapshotStatus(path);
        assert.equal(status['revision'], (await store.status()).revision);
      }

      back = await restored(path);
      const again = await back.connect();
      await assertSameStore(again, real, compactRevision);
      // It goes on where the other was.
      const key = Buffer.from('/registry/after');
      const [there, here] = [await again.put({ key, value: key }), await real.put({ key, value: key })];
      assert.equal(there.revision, here.revision);
      await again.close();
      await real.close();
    } finally {
      await back?.stop();
      await etcd.stop();
    }
  });

  test('takes a running etcd with all its history, and gives a running one keys, values and leases', async () => {
    const from = await RealEtcd.start({ program: program('etcd') });
    const path = join(folder, 'live', 'state.db');
    let to: RealEtcd | undefined;
    try {
      to = await RealEtcd.start();
      const [source, target] = [await from.connect(), await to.connect()];
      const compactRevision = await writeRandomly(source, 120, seed + 1);
      const history = await historyOfEtcd(from.endpoint, source, { log });
      assert.equal(history.compactRevision, compactRevision);
      await writeSqlite(path, history, { log });
      await history.close();
      {
        await using store = await openDatastore({ path, log });
        await assertSameStore(store, source, compactRevision);
      }
      const ours = await historyOfLog(path, openSqliteLog({ path, log }));
      await writeEtcd('the target', target, ours, { log });
      const bare = (content: object[]): object[] =>
        content.map((kv) => ({ ...kv, createRevision: 0, modRevision: 0, version: 0 }));
      assert.deepEqual(bare(await contentOf(target)), bare(await contentOf(source)));
      assert.deepEqual(await leasesOf(target), await leasesOf(source));
      await assert.rejects(
        writeEtcd('the target', target, ours, { log }),
        /the target is not empty \(\d+ keys\)/,
      );
      await writeEtcd('the target', target, ours, { log, force: true });
      assert.deepEqual(bare(await contentOf(target)), bare(await contentOf(source)));
      await ours.close();
      await source.close();
      await target.close();
    } finally {
      await from.stop();
      await to?.stop();
    }
  });

  test('is what etcdctl saves of our server', async () => {
    const saved = join(folder, 'of-ours.db');
    let etcd: RealEtcd | undefined;
    await using store = await openDatastore({ path: join(folder, 'ours-served', 'state.db'), log });
    const compactRevision = await writeRandomly(store, 150, seed + 2);
    await using server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    await run(program('etcdctl'), [`--endpoints=${server.url}`, 'snapshot', 'save', saved], {
      env: { ETCDCTL_API: '3' },
    });
    try {
      etcd = await restored(saved);
      const real = await etcd.connect();
      await assertSameStore(real, store, compactRevision);
      // etcd's own word for having the same in it.
      assert.equal((await real.hashKv(0)).hash, (await store.hashKv(0)).hash);
      await real.close();
    } finally {
      await etcd?.stop();
    }
  });

  test('of a server that gives out no snapshots says what to copy from instead', async () => {
    const kine: Parameters<typeof historyOfEtcd>[1] = {
      // oxlint-disable-next-line require-yield -- as the server answers
      async *snapshot() {
        throw new EtcdError(grpcCode.unimplemented, 'unknown method Snapshot');
      },
    };
    await assert.rejects(
      historyOfEtcd('http://kine:2379', kine, { log }),
      /kine:2379 gives out no snapshots .*sqlite:/,
    );
  });

  test('to a running etcd that breaks off leaves a mark, and the next one says so', async () => {
    const to = await RealEtcd.start();
    try {
      const target = await to.connect();
      const path = join(folder, 'broken', 'state.db');
      {
        await using store = await openDatastore({ path, log });
        for (let i = 0; i < 250; i++)
          await store.put({ key: Buffer.from(`/k/${i}`), value: Buffer.from('v') });
      }
      const ours = await historyOfLog(path, openSqliteLog({ path, log }));
      const abort = new AbortController();
      const broken = writeEtcd('the target', target, ours, {
        log,
        signal: abort.signal,
        report: () => abort.abort(),
      });
      await assert.rejects(broken, /abort/i);
      await assert.rejects(
        writeEtcd('the target', target, ours, { log }),
        /holds half a copy, which broke off \(of .*state\.db, begun 20/,
      );
      await writeEtcd('the target', target, ours, { log, force: true });
      assert.equal((await contentOf(target)).length, 250);
      await ours.close();
      await target.close();
    } finally {
      await to.stop();
    }
  });
});
