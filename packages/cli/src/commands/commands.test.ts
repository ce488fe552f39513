import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const launcher = join(import.meta.dirname, '../../../../bin/cloudless');

describe('the cloudless command where nothing runs', () => {
  const root = mkdtempSync(join(tmpdir(), 'cl-'));
  after(() => rmSync(root, { recursive: true }));
  const run = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      execFile(launcher, args, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });

  it('status says so, with exit code 3', async () => {
    assert.deepEqual(await run('status', '--root', root), {
      code: 3,
      stdout: `No cluster was ever started below ${root}. Start one with: cloudless up\n`,
      stderr: '',
    });
  });

  it('down has nothing to do', async () => {
    const { code, stderr } = await run('down', '--root', root);
    assert.deepEqual([code, stderr], [0, `Nothing was ever started below ${root}.\n`]);
  });

  for (const [args, message] of [
    [['logs', '--root', root], /^cloudless: no logs in .*: nothing was started below --root/],
    [
      ['kubeconfig', 'node', 'n2', '--root', root],
      /^cloudless: there is no control plane below .*: kubeconfigs are made where 'cloudless up' ran$/m,
    ],
    [['kubeconfig', 'node', 'N 2', '--root', root], /^cloudless: node name N 2: expected lower-case letters/],
    [['image', 'load', '/none.tar', '--root', root], /^cloudless: .*\/none\.tar/],
    [['agent', '--kubeconfig', '/none.conf', '--root', root], /^cloudless: .*\/none\.conf/],
    [['up', '--pod-cidr', 'x', '--root', root], /^cloudless: --pod-cidr x: expected an IPv4 block/],
    [['up', '--colour', '--root', root], /unknown option '--colour'/],
    [['fly'], /unknown command 'fly'/],
  ] as Array<[string[], RegExp]>)
    it(`${args.slice(0, 3).join(' ')}: a sentence, no stack`, async () => {
      const { code, stderr } = await run(...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /);
    });

  it('a damaged cluster.json is named, with the remedy', async () => {
    mkdirSync(join(root, 'var/lib/cloudless'), { recursive: true });
    writeFileSync(join(root, 'var/lib/cloudless/cluster.json'), '{');
    for (const command of ['status', 'down']) {
      const { code, stderr } = await run(command, '--root', root);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^cloudless: .*cluster\.json is damaged .*: remove it and run 'cloudless up' again$/m,
      );
    }
  });

  it('version tells all three', async () => {
    assert.match((await run('version')).stdout, /^cloudless \d.*\nKubernetes v1\.36\.0\nnode v26\..*\n$/);
  });
});
