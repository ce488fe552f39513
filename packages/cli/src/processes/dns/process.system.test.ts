import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { nodeContext } from '@cloudless/kube/node/context';
import { isolate } from '@cloudless/network/testing/namespaces';
import { type ClusterConfig, saveConfig } from '../../cluster-config.ts';
import { addressIn, parseOptions } from '../../options.ts';
import { dnsUid } from './user.ts';

isolate();
const run = promisify(execFile);

describe('the dns process', () => {
  const root = mkdtempSync('/tmp/cl-');
  const context = nodeContext({ root, nodeName: 'n1' });
  let dns: ChildProcess;
  let heard = '';
  const statusOf = (field: string): string =>
    new RegExp(`^${field}:[ \\t]*(.*)$`, 'm')
      .exec(readFileSync(`/proc/${dns.pid}/status`, 'utf8'))?.[1]
      ?.trim() ?? '?';
  const until = async (what: string, check: () => boolean | Promise<boolean>): Promise<void> => {
    const endMs = performance.now() + 15_000;
    while (!(await check())) {
      if (performance.now() > endMs) throw new Error(`not within 15 s: ${what}\n${heard}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  before(() => {
    const options = parseOptions({ root, nodeName: 'n1', nodeIp: '127.0.0.1', runtime: 'simulated' });
    const config: ClusterConfig = {
      ...options,
      role: 'up',
      nodeIp: '127.0.0.1',
      simulatedBecause: undefined,
      dnsIp: addressIn(options.serviceCidr, 10),
      nodeKubeconfig: context.paths.kubeletKubeconfig,
    };
    const path = saveConfig(context, config);
    // As on a machine where only root may look into the state folder.
    chmodSync(context.paths.state, 0o700);
    const main = join(import.meta.dirname, '..', '..', 'main.ts');
    dns = spawn(process.execPath, [main, 'process', 'dns', '--config', path], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    dns.stderr?.on('data', (text: Buffer) => (heard += text.toString()));
    dns.on('message', (message) => (heard += JSON.stringify(message)));
  });
  after(() => {
    dns.kill('SIGKILL');
    rmSync(root, { recursive: true });
  });

  it('waits for its credentials, and gives root away before the first packet', async () => {
    await until('it waits', () => heard.includes('waiting for credentials'));
    assert.match(statusOf('Uid'), /^0\s/);
    assert.equal((await run('ss', ['-Hlnut'])).stdout, '', 'nothing listens yet');
    const folder = context.paths.dns;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, 'token'), 'secret', { mode: 0o600 });
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        { name: 'c', cluster: { server: 'https://127.0.0.1:6443', 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'u', user: { tokenFile: 'token' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    for (const path of [folder, join(folder, 'token')]) chownSync(path, dnsUid, dnsUid);
    writeFileSync(join(folder, 'kubeconfig'), JSON.stringify(kubeconfig));
    await until('an answer', async () => {
      const args = [
        '@127.0.0.1',
        '-p',
        String(context.ports.dns),
        '+tries=1',
        '+time=1',
        'a.svc.cluster.local',
      ];
      return run('dig', args).then(
        ({ stdout }) => stdout.includes('status: SERVFAIL'),
        () => false,
      );
    });
    const ids = `${dnsUid}\t${dnsUid}\t${dnsUid}\t${dnsUid}`;
    assert.deepEqual(['Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm'].map(statusOf), [
      ids,
      ids,
      '',
      '0000000000000000',
      '0000000000000000',
    ]);
    for (const task of globSync(`/proc/${dns.pid}/task/*/status`))
      assert.match(readFileSync(task, 'utf8'), new RegExp(`^Uid:\\s+${dnsUid}`, 'm'), 'every thread');
  });

  it('ends at once when told to', async () => {
    const ended = new Promise((resolve) => dns.once('exit', resolve));
    dns.kill('SIGTERM');
    assert.equal(await ended, 0);
  });
});
