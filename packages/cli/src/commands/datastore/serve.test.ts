import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { logger } from '@cloudless/kube/logger';
import { program } from '../../program.ts';
import { parseServeFlags } from './serve-options.ts';

const launcher = join(import.meta.dirname, '../../../../../bin/cloudless');
const log = logger('serve-test').child({}, { level: 'silent' });

describe('the flags of datastore serve', () => {
  const endpoint = 'sqlite:///tmp/state.db';

  it('have defaults', () => {
    assert.deepEqual(parseServeFlags({ endpoint }), {
      endpoint: { kind: 'sqlite', path: '/tmp/state.db' },
      listen: { host: '127.0.0.1', port: 2379 },
      tls: undefined,
      advertise: undefined,
      metrics: undefined,
      quotaBytes: 2 * 1024 ** 3,
      retentionMs: 0,
      commitWindowMs: 0,
      progressIntervalMs: undefined,
    });
  });

  it('are read', () => {
    const settings = parseServeFlags({
      endpoint,
      listenAddress: 'unix:///run/datastore.sock',
      serverCertFile: 'c',
      serverKeyFile: 'k',
      advertiseClientUrls: 'https://a:1,https://b:2',
      metricsAddress: '[::1]:2381',
      quotaBytes: '0',
      autoCompaction: '12',
      commitWindow: '100ms',
    });
    assert.deepEqual(settings.listen, { path: '/run/datastore.sock' });
    assert.deepEqual(settings.tls, { certFile: 'c', keyFile: 'k', trustedCaFile: undefined });
    assert.deepEqual(settings.advertise, ['https://a:1', 'https://b:2']);
    assert.deepEqual(settings.metrics, { host: '::1', port: 2381 });
    assert.deepEqual(
      [settings.quotaBytes, settings.retentionMs, settings.commitWindowMs],
      [Infinity, 12 * 3_600_000, 100],
    );
    assert.equal(parseServeFlags({ endpoint, autoCompaction: '1h30m' }).retentionMs, 5_400_000);
    assert.equal(parseServeFlags({ endpoint, watchProgressNotifyInterval: '5s' }).progressIntervalMs, 5000);
    assert.deepEqual(parseServeFlags({ endpoint, listenAddress: ':2379' }).listen, {
      host: '::',
      port: 2379,
    });
  });

  for (const [flags, message] of [
    [{ listenAddress: 'here' }, /--listen-address here: expected HOST:PORT/],
    [{ listenAddress: 'h:99999' }, /--listen-address h:99999: expected/],
    [{ serverCertFile: 'c' }, /go together/],
    [{ trustedCaFile: 'c' }, /--trusted-ca-file needs TLS/],
    [{ quotaBytes: '2G' }, /--quota-bytes 2G: expected a number of bytes/],
    [{ autoCompaction: 'daily' }, /--auto-compaction daily: expected a duration/],
    [{ commitWindow: '1h' }, /--commit-window 1h: expected a duration up to 2000 ms/],
    [{ watchProgressNotifyInterval: '5' }, /--watch-progress-notify-interval 5: expected a duration/],
    [{ advertiseClientUrls: 'a' }, /--advertise-client-urls a: expected/],
  ] as const)
    it(`are refused in a sentence: ${JSON.stringify(flags)}`, () => {
      assert.throws(() => parseServeFlags({ endpoint, ...flags }), message);
    });

  it('are those of the README', () => {
    const readme = readFileSync(new URL('../../../../datastore/README.md', import.meta.url), 'utf8');
    const told = [...readme.matchAll(/^\| `(--[a-z-]+)`/gm)].map(([, flag]) => flag);
    const serve = program()
      .commands.find((command) => command.name() === 'datastore')
      ?.commands.find((command) => command.name() === 'serve');
    assert.deepEqual(new Set(told), new Set(serve?.options.map(({ long }) => long)));
  });
});

describe('datastore serve', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cl-serve-'));
  after(() => rmSync(folder, { recursive: true }));

  it('says when it is ready, serves, stops in order, and finds everything again', async () => {
    for (const round of [1, 2]) {
      const path = join(folder, 'datastore.sock');
      const child: ChildProcess = spawn(
        launcher,
        ['datastore', 'serve', `--endpoint=sqlite://${folder}/state.db`, `--listen-address=unix://${path}`],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      let said = '';
      const ended = new Promise((resolve) => child.once('close', resolve));
      await new Promise<void>((resolve, reject) => {
        child.stderr?.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          if (said.includes('ready in')) resolve();
        });
        void ended.then(() => reject(new Error(said)));
      });
      const client = await connectEtcd({ endpoints: [`unix://${path}`], log });
      const key = Buffer.from('round');
      await client.put({ key, value: Buffer.from(String(round)) });
      assert.equal((await client.range({ key })).kvs[0]?.version, round);
      await client.close();
      child.kill('SIGTERM');
      assert.equal(await ended, 0, said);
      assert.match(said, /✓ open sqlite:.*: revision \d+ \(.*\)\nready in .*: the etcd v3 API at unix:/);
      assert.match(said, /✓ stop serving .*\n✓ close sqlite:/);
    }
  });
});
