import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { isolate, type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { builtImage, cloudless, eventually, TestCluster } from './cluster.ts';

const image = builtImage('examples/web/images/back/image.yaml');
isolate();
const run = promisify(execFile);

describe('a second node', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const root = mkdtempSync('/tmp/cl-');
  const kubeconfig = join(root, 'node-2.conf');
  let machine: Namespace;
  const onSecond = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    run('nsenter', [`--net=${machine.path}`, cloudless, ...args], { timeout: 120_000 });

  before(async () => {
    machine = await newNamespace();
    // One cable between the two machines.
    const ip = (...args: string[]): void => void execFileSync('ip', args);
    ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'uplink', 'netns', machine.path);
    ip('addr', 'add', '192.0.2.10/24', 'dev', 'uplink');
    ip('link', 'set', 'uplink', 'up');
    ip('route', 'add', 'default', 'via', '192.0.2.1');
    machine.run('ip', 'link', 'set', 'lo', 'up');
    machine.run('ip', 'addr', 'add', '192.0.2.11/24', 'dev', 'uplink');
    machine.run('ip', 'link', 'set', 'uplink', 'up');
    machine.run('ip', 'route', 'add', 'default', 'via', '192.0.2.1');
    await cluster.up();
    await cluster.cloudless('image', 'load', image);
    await cluster.cloudless('kubeconfig', 'node', 'node-2', '--out', kubeconfig);
  });
  after(async () => {
    try {
      await onSecond('down', '--root', root);
    } finally {
      await cluster.remove();
      machine.close();
      rmSync(root, { recursive: true, force: true });
    }
  });

  it('joins with `cloudless agent` and becomes Ready', async () => {
    await onSecond('agent', '--detach', '--root', root, '--node-name', 'node-2', '--kubeconfig', kubeconfig);
    await onSecond('image', 'load', image, '--root', root);
    assert.match(await kubectl.run(['get', 'nodes']), /node-1\s+Ready[\s\S]*node-2\s+Ready/);
  });

  it('runs pods, which reach and are reached from the first node’s pods by address, Service and name', async () => {
    for (const node of ['node-1', 'node-2']) {
      const overrides = JSON.stringify({ spec: { nodeName: node } });
      await kubectl.run([
        'run',
        `on-${node}`,
        '--image=cloudless.local/web-back:1',
        '--image-pull-policy=Never',
        `--overrides=${overrides}`,
        '--labels=app=both',
        '--env=POD_NAME=x',
      ]);
    }
    await kubectl.run(['wait', '--for=condition=Ready', 'pod', '-l', 'app=both', '--timeout=60s']);
    await kubectl.run(['create', 'service', 'clusterip', 'both', '--tcp=80:8080']);
    const ipOf = async (pod: string): Promise<string> =>
      (await kubectl.run(['get', 'pod', pod, '-o', 'jsonpath={.status.podIP}'])).trim();
    for (const [from, to] of [
      ['on-node-1', 'on-node-2'],
      ['on-node-2', 'on-node-1'],
    ] as const) {
      const get = (url: string): Promise<string> =>
        kubectl.run(['exec', from, '--', 'wget', '-q', '-O', '-', url]);
      assert.equal(
        await eventually(`${from} reaches ${to}`, async () => get(`http://${await ipOf(to)}:8080/healthz`)),
        'ok\n',
      );
      assert.equal(await eventually('the Service by name', () => get('http://both/healthz')), 'ok\n');
    }
    assert.match(await kubectl.run(['logs', 'on-node-2']), /^/);
    assert.equal(
      await kubectl.run(['exec', '-i', 'on-node-2', '--', 'cat'], { input: 'through the other node' }),
      'through the other node',
    );
  });

  it('its credentials are refused an unrelated Secret and another node’s objects', async () => {
    await kubectl.run(['create', 'secret', 'generic', 'unrelated', '--from-literal=a=b']);
    const asNode = (...args: string[]): Promise<string> =>
      cluster.kubectl().run([`--kubeconfig=${kubeconfig}`, ...args]);
    await assert.rejects(asNode('get', 'secret', 'unrelated'), /forbidden/i);
    await assert.rejects(asNode('get', 'secrets', '-A'), /forbidden/i);
    await assert.rejects(asNode('label', 'node', 'node-1', 'x=y'), /forbidden|not allowed/i);
    await assert.rejects(asNode('delete', 'node', 'node-1'), /forbidden|not allowed/i);
    await assert.rejects(asNode('delete', 'pod', 'on-node-1'), /forbidden|only allowed|can only/i);
    await assert.rejects(
      asNode('label', 'node', 'node-2', 'node-restriction.kubernetes.io/x=y'),
      /forbidden|not allowed/i,
    );
    assert.match(await asNode('get', 'node', 'node-2', '-o', 'name'), /node\/node-2/);
  });
});
