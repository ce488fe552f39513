import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectCri, type RuntimeEvent } from '../cri/runtime.ts';
import { ContainerState } from '../cri/generated/types.ts';
import { startTestNode, type TestNode, until } from '../testing/node.ts';
import { nodeContext } from '@cloudless/kube/node/context';
import { findContainerd, inNodeNamespace, nodeNamespacePrefix, pidFileOf } from './namespace.ts';
import { identify, isAlive, listShims } from './process.ts';
import { startContainerd } from './start.ts';

describe('the private containerd', () => {
  let node: TestNode;
  before(async () => {
    node = await startTestNode('ctrd');
  });
  after(async () => {
    await node?.dispose();
  });

  it('tells of a container that starts and ends, and not of execs', async () => {
    const ended = new AbortController();
    const events: RuntimeEvent[] = [];
    const reading = (async () => {
      for await (const event of node.cri.events(ended.signal)) events.push(event);
    })();
    await until('a resync', () => events.find((event) => event.kind === 'resync'));
    const { containerId, podSandboxId } = await node.runPod({
      name: 'events',
      command: ['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.1; done'],
    });
    const run = await node.cri.execSync({ containerId, cmd: ['true'], timeout: 5n });
    assert.equal(run.exitCode, 0);
    await node.cri.stopContainer({ containerId, timeout: 5n });
    const exited = await until('an exit', () =>
      events.find((event) => event.kind === 'exited' && event.containerId === containerId),
    );
    assert.equal(exited.kind === 'exited' && exited.exitCode, 3);
    assert.equal(events.filter((event) => event.kind === 'exited').length, 1);
    await node.cri.stopPodSandbox({ podSandboxId });
    await node.cri.removePodSandbox({ podSandboxId });
    ended.abort();
    await reading;
  });

  it('is restarted when it dies, while pods live on', async () => {
    const { containerId } = await node.runPod({ name: 'survivor', command: ['sleep', '1000'] });
    const before = (await node.cri.containerStatus({ containerId }, {})).status;
    const killed = node.containerd.pid ?? 0;
    assert.ok(killed > 0);
    process.kill(killed, 'SIGKILL');
    await until('another containerd', () =>
      node.containerd.pid !== undefined && node.containerd.pid !== killed ? true : undefined,
    );
    await node.cri.waitReady({ timeoutMs: 10_000 });
    const { status } = await node.cri.containerStatus({ containerId });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    assert.equal(status?.startedAt, before?.startedAt);
  });

  it('is adopted by the next agent, and stop() leaves it running', async () => {
    const pid = node.containerd.pid;
    const second = await startContainerd({ context: node.context, log: node.log });
    assert.equal(second.adopted, true);
    assert.equal(second.pid, pid);
    await second.stop();
    await second.stop();
    await node.cri.version({});
    assert.equal(inNodeNamespace(node.context), true);
    assert.deepEqual(nodeNamespacePrefix(node.context).slice(0, 2), [
      'nsenter',
      `--mount=/proc/${pid}/ns/mnt`,
    ]);
  });

  it('is found again when its pid file is damaged, and started anew without hurting pods', async () => {
    const { containerId } = await node.runPod({ name: 'unnoticed', command: ['sleep', '1000'] });
    const old = identify(node.containerd.pid ?? 0);
    assert.ok(old);
    await node.containerd.stop();
    writeFileSync(pidFileOf(node.context), 'garbage');
    const next = await startContainerd({ context: node.context, log: node.log });
    assert.equal(next.adopted, false);
    assert.equal(isAlive(old), false);
    const { status } = await node.cri.containerStatus({ containerId });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    await next.stop();
  });

  it('says what is wrong with a root that is too long, or a containerd that cannot start', async () => {
    const context = nodeContext({ root: join(node.context.root, 'x'.repeat(100)), nodeName: 'long' });
    await assert.rejects(startContainerd({ context, log: node.log }), {
      problem: 'path-too-long',
      message: /shorter --root/,
    });
    const broken = nodeContext({ root: join(node.context.root, 'b'), nodeName: 'broken' });
    // A file where containerd wants a folder.
    mkdirSync(broken.paths.containerdRoot, { recursive: true });
    writeFileSync(join(broken.paths.containerdRoot, 'io.containerd.metadata.v1.bolt'), '');
    await assert.rejects(startContainerd({ context: broken, log: node.log, readyTimeoutMs: 5_000 }), {
      problem: 'not-ready',
      message: /containerd (ended at once|is not ready).*not a directory.*its log: .*containerd\.log/,
    });
    assert.equal(findContainerd(broken), undefined);
    await assert.rejects(
      startContainerd({ context, log: node.log, machineSocket: '/no/containerd.sock', readyTimeoutMs: 300 }),
      {
        problem: 'not-ready',
        message: /containerd at \/no\/containerd\.sock does not answer/,
      },
    );
  });

  it('cancels calls and gives errors with code and text', async () => {
    await assert.rejects(node.cri.containerStatus({ containerId: 'none' }), {
      name: 'CriError',
      code: 5,
      call: 'ContainerStatus',
    });
    await assert.rejects(node.cri.version({}, { signal: AbortSignal.abort() }), {
      name: 'CriError',
      code: 1,
    });
    const away = connectCri({ socketPath: '/nonexistent/containerd.sock', log: node.log });
    await assert.rejects(away.version({}, { deadlineMs: 2_000 }), { name: 'CriError', code: 14 });
    away.close();
  });

  it('shutdown leaves no process and no mount', async () => {
    await node.runPod({ name: 'left', command: ['sleep', '1000'] });
    assert.notEqual(listShims(node.containerd.socketPath).length, 0);
    await node.containerd.shutdown();
    assert.deepEqual(listShims(node.containerd.socketPath), []);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(node.context.root));
  });
});
