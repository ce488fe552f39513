import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openDatastore } from '@cloudless/datastore';
import { serveDatastore } from '@cloudless/datastore/server/serve';
import { logger } from '@cloudless/kube/logger';

const main = join(import.meta.dirname, '..', '..', 'main.ts');
const log = logger('test').child({}, { level: 'silent' });
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'datastore-cli-'));
});
after(() => rm(folder, { recursive: true }));

/** One run of the command. */
function cloudless(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'datastore', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const place = (name: string): string => `sqlite://${join(folder, name)}`;

async function fill(name: string): Promise<void> {
  await using store = await openDatastore({ path: join(folder, name), log });
  const { id } = await store.leaseGrant(600);
  for (let i = 0; i < 20; i++)
    await store.put({
      key: Buffer.from(`/k/${i % 7}`),
      value: Buffer.from(`v${i}`),
      lease: i === 3 ? id : 0n,
    });
}

describe('cloudless datastore', () => {
  it('saves, checks, restores, copies and compacts a file, and says what it did', async () => {
    await fill('state.db');
    const file = join(folder, 'saved.snapshot');
    const saved = await cloudless('snapshot', file, '--endpoint', place('state.db'), '-o', 'json');
    assert.equal(saved.code, 0, saved.stderr);
    assert.match(saved.stderr, /✓ save .*state\.db as .*saved\.snapshot \(/);
    const { revision, records, leases } = JSON.parse(saved.stdout) as Record<string, number>;
    assert.deepEqual({ revision, records, leases }, { revision: 21, records: 20, leases: 1 });

    const again = await cloudless('snapshot', file, '--endpoint', place('state.db'));
    assert.equal(again.code, 1);
    assert.match(again.stderr, /saved\.snapshot is there already: write to another file, or say --force/);

    const restored = await cloudless('restore', file, '--endpoint', place('restored.db'));
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(restored.stderr, /revision 21, history from 1, 20 records, 1 leases/);
    const compacted = await cloudless('compact', '--endpoint', place('restored.db'));
    assert.equal(compacted.code, 0, compacted.stderr);
    assert.match(compacted.stderr, /✓ compact .*restored\.db at revision 21: .* in use before, .* now/);
    const checked = await cloudless('check', '--endpoint', place('restored.db'));
    assert.equal(checked.code, 0, checked.stderr + checked.stdout);
    assert.match(checked.stderr, /7 rows, 7 keys, 1 leases: nothing is wrong/);
    const status = await cloudless('status', '--endpoint', join(folder, 'restored.db'), '-o', 'json');
    assert.deepEqual(JSON.parse(status.stdout), {
      endpoint: place('restored.db'),
      revision: 21,
      compactRevision: 21,
      records: 7,
      leases: 1,
    });
    assert.equal((await cloudless('check', '--endpoint', `snapshot://${file}`)).code, 0);
  });

  it('works on a running server, its wear included', async () => {
    await using store = await openDatastore({ path: join(folder, 'served', 'state.db'), log });
    await using server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    for (let i = 0; i < 30; i++) await store.put({ key: Buffer.from('/k'), value: Buffer.alloc(100, i) });
    const status = await cloudless('status', '--endpoint', server.url, '-o', 'json');
    const found = JSON.parse(status.stdout) as Record<string, unknown>;
    assert.equal(found['revision'], 31, status.stderr);
    assert.equal(found['keys'], 1);
    const file = join(folder, 'live.snapshot');
    assert.equal((await cloudless('snapshot', file, '--endpoint', server.url)).code, 0);
    const compacted = await cloudless('compact', '--endpoint', server.url, '--revision', '20');
    assert.equal(compacted.code, 0, compacted.stderr);
    assert.equal((await store.status()).compactRevision, 20);
    const checked = await cloudless('check', '--endpoint', server.url);
    assert.match(checked.stderr, /12 rows, 1 keys, 0 leases: nothing is wrong/);
    const wear = await cloudless('wear', '--endpoint', server.url, '-o', 'json');
    const { changes, writtenBytes, bytesPerChange, bytesPerDay } = JSON.parse(wear.stdout) as Record<
      string,
      number
    >;
    assert.equal(changes, 30, wear.stderr);
    assert.ok((bytesPerChange ?? 0) > 100 && (writtenBytes ?? 0) > 3000 && (bytesPerDay ?? 0) > 0);
    assert.match((await cloudless('wear', '--endpoint', server.url)).stdout, /per day +.*TB a year/);
    assert.equal((await cloudless('copy', '--from', server.url, '--to', place('copied.db'))).code, 0);
    const own = await cloudless('copy', '--from', place('served/state.db'), '--to', place('other.db'));
    assert.equal(own.code, 1);
    assert.match(own.stderr, /state\.db is (in use|used)/);
  });

  it('names the row that is damaged, and its remedy', async () => {
    await fill('damaged.db');
    const db = new DatabaseSync(join(folder, 'damaged.db'));
    db.exec('DELETE FROM log WHERE revision = 9');
    db.close();
    const { code, stdout } = await cloudless('check', '--endpoint', place('damaged.db'));
    assert.equal(code, 1);
    assert.match(stdout, /^row 10 \(revision 10, key "\/k\/1"\): revision 9 is missing before it$/m);
    assert.match(stdout, /Restore it from a snapshot/);
  });

  const mistakes: Array<[string, string[], RegExp]> = [
    [
      'nothing to copy from',
      ['copy', '--from', '/none/state.db', '--to', 'sqlite:///tmp/x.db'],
      /"\/none\/state\.db" is no file and no address/,
    ],
    [
      'a file that is missing',
      ['status', '--endpoint', 'sqlite:///none/state.db'],
      /\/none\/state\.db does not exist/,
    ],
    [
      'an address that does not answer',
      ['status', '--endpoint', 'http://127.0.0.1:1'],
      /http:\/\/127\.0\.0\.1:1/,
    ],
    ['wear of a file', ['wear', '--endpoint', 'sqlite:///x/state.db'], /give its address, such as http:/],
    [
      'a certificate without a key',
      ['status', '--endpoint', 'https://h:1', '--cert', '/x'],
      /--cert and --key go together/,
    ],
    [
      'a revision that is none',
      ['compact', '--endpoint', 'http://h:1', '--revision', 'x'],
      /--revision x: expected/,
    ],
    [
      'an unknown format',
      ['status', '--endpoint', 'http://h:1', '-o', 'yaml'],
      /--output yaml: expected text or json/,
    ],
    ['restoring to a server', ['restore', '/x', '--endpoint', 'http://h:1'], /etcdutl snapshot restore/],
  ];
  for (const [what, args, message] of mistakes) {
    it(`refuses ${what} in a sentence`, async () => {
      const { code, stderr } = await cloudless(...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^\s+at /m);
    });
  }

  it('does not take a text for a snapshot', async () => {
    const file = join(folder, 'text');
    await writeFile(file, 'hello');
    const { code, stderr } = await cloudless('restore', file, '--endpoint', place('text.db'));
    assert.equal(code, 1);
    assert.match(stderr, /no checksum at its end/);
  });
});
