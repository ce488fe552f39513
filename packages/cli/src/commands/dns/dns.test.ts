import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '@cloudless/kube/testing/free-port';

const repository = join(import.meta.dirname, '../../../../..');
const launcher = join(repository, 'bin/cloudless');
const talk = join(repository, 'tests/talk');
const environment = { ...process.env, KUBECONFIG: '', CLOUDLESS_LOG: 'silent' };

const run = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    execFile(launcher, ['dns', ...args], { env: environment }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

describe('cloudless dns, without a cluster', { concurrency: 2 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'cl-dns-'));
  after(() => rmSync(folder, { recursive: true }));

  it("values: the talk's are right", async () => {
    const { code, stdout, stderr } = await run('values', '--check', join(talk, 'stateless-dns-values.yaml'));
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /1 zone, no errors/);
  });

  it("values: the slides' are told, with line and remedy", async () => {
    const file = join(talk, 'as-published/stateless-dns-values.yaml');
    const { code, stderr } = await run('values', file);
    assert.equal(code, 1);
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      `${file}:9: error: 'pdns' stands under 'service', where it means nothing: it belongs at the left margin. Move it, and all lines below it that are indented further, two columns to the left`,
      `${file}:13: error: 'zones' stands under 'service', where it means nothing: it belongs at the left margin. Move it, and all lines below it that are indented further, two columns to the left`,
      `cloudless: 2 errors in ${file}: nothing was changed`,
    ]);
  });

  it('values: zones are judged by the lines of the file', async () => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(
      file,
      'zones:\n  a.test: |\n    @ 60 SOA ns1 h 1 2 3 4 5\n    @ 60 NS ns1\n    ns1 60 A 192.0.2\n',
    );
    const { code, stderr } = await run('values', '--check', file);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^${file}:5: error: .*192\\.0\\.2`, 'm'));
  });

  for (const [args, message] of [
    [['external'], /^cloudless: serve what\? Name a file with --values/],
    [['external', '--values', '/none'], /^cloudless: --values \/none: cannot read it/],
    [
      ['external', '--zones', '.', '--listen', '0.0.0.0:53'],
      /^cloudless: --listen 0\.0\.0\.0: answers would/,
    ],
    [
      ['external', '--zones', '.', '--engine', 'powerdns'],
      /^cloudless: --engine powerdns needs --powerdns-url/,
    ],
    [['query', 'a.test', 'FOO'], /^cloudless: FOO: is no type of records/],
    [['install', '--manifests'], /^cloudless: --manifests needs --image/],
  ] as Array<[string[], RegExp]>)
    it(`${args.join(' ')}: a sentence, no stack`, async () => {
      const { code, stderr } = await run(...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /);
    });

  it('external serves a folder of zones, and status, records, why, query tell what is served', async () => {
    writeFileSync(
      join(folder, 'a.test.zone'),
      '@ 60 SOA ns1 h 7 900 600 172800 60\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n',
    );
    const [dns, port] = [await freePort(), await freePort()];
    const none = await run('status', '--port', String(port));
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      new RegExp(`^cloudless: no authoritative DNS answers on 127\\.0\\.0\\.1:${port}`),
    );
    const server = spawn(
      launcher,
      ['dns', 'external', '--zones', folder, '--listen', `127.0.0.1:${dns}`, '--port', String(port)],
      { env: environment, stdio: 'inherit' },
    );
    const ended = new Promise((resolve) => server.once('exit', resolve));
    try {
      const isReady = (): Promise<boolean> =>
        fetch(`http://127.0.0.1:${port}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      while (!(await isReady())) {
        assert.equal(server.exitCode, null);
        await wait(25);
      }
      const [status, records, why, query, ds] = await Promise.all([
        run('status', '--port', String(port)),
        run('records', 'A.test.', '--port', String(port)),
        run('why', 'nope.a.test', '--port', String(port), '-o', 'json'),
        run('query', 'NS1.a.test', '--server', `127.0.0.1:${dns}`),
        run('ds', 'a.test', '--server', `127.0.0.1:${dns}`),
      ]);
      assert.match(status.stdout, /^a\.test\s+serving\s+primary\s+7\s+3\s/m);
      assert.match(records.stdout, /^ns1\.a\.test\. 60 IN A 192\.0\.2\.1 ; the zone's text$/m);
      assert.equal(
        (JSON.parse(why.stdout) as { message: string }).message,
        'nope.a.test is not in zone a.test.',
      );
      assert.equal(why.code, 2);
      assert.match(query.stdout, /NOERROR, authoritative\n; answers\nNS1\.a\.test\. 60 IN A 192\.0\.2\.1/i);
      assert.match(ds.stderr, /has no keys of a\.test: is it signed\?/);
    } finally {
      server.kill('SIGTERM');
    }
    assert.equal(await ended, 0);
  });
});
