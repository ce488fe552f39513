import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { CriCalls } from '../cri/runtime.ts';
import { simulatedRuntime, type SimulatedRuntime } from '../simulated/runtime.ts';
import { labels } from './labels.ts';
import { RuntimeView } from './view.ts';

const podLabels = { [labels.podUid]: 'u', [labels.podNamespace]: 'n', [labels.podName]: 'p' };

/** A runtime whose answers to some calls can be held back after it has given them. */
class SlowRuntime {
  readonly runtime: SimulatedRuntime = simulatedRuntime({ clock: systemClock });
  readonly view: RuntimeView;
  readonly #held = new Map<keyof CriCalls, Promise<void>>();

  constructor() {
    const slow = (name: keyof CriCalls) => async (request: never) => {
      const held = this.#held.get(name);
      this.#held.delete(name);
      const answer = await (this.runtime[name] as (request: never) => Promise<never>)(request);
      await held;
      return answer;
    };
    this.view = new RuntimeView({
      ...this.runtime,
      listPodSandbox: slow('listPodSandbox'),
      listContainers: slow('listContainers'),
      podSandboxStatus: slow('podSandboxStatus'),
      containerStatus: slow('containerStatus'),
    });
  }

  /** The answer to the next call of this name comes when the returned function is called. */
  hold(name: keyof CriCalls): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(name, promise);
    return resolve;
  }

  async sandbox(): Promise<string> {
    const metadata = { name: 'p', namespace: 'n', uid: 'u', attempt: 0 };
    const { podSandboxId } = await this.runtime.runPodSandbox({ config: { metadata, labels: podLabels } });
    await this.view.lookAtSandbox(podSandboxId);
    return podSandboxId;
  }

  async container(podSandboxId: string): Promise<string> {
    const config = {
      metadata: { name: 'c', attempt: 0 },
      image: { image: 'example.com/c:1' },
      labels: { ...podLabels, [labels.containerName]: 'c' },
    };
    return (await this.runtime.createContainer({ podSandboxId, config })).containerId;
  }

  states(): string[] {
    return (this.view.pod('u')?.containers ?? []).map(({ state }) => state);
  }
}

describe('the view of the runtime', () => {
  it('keeps what is made while a listing is under way', async () => {
    const slow = new SlowRuntime();
    const go = [slow.hold('listPodSandbox'), slow.hold('listContainers')];
    const listing = slow.view.relist();
    const sandbox = await slow.sandbox();
    const container = await slow.container(sandbox);
    await slow.runtime.startContainer({ containerId: container });
    await slow.view.lookAtContainer(container, sandbox);
    for (const each of go) each();
    assert.deepEqual([...(await listing)], []);
    assert.equal(slow.view.pod('u')?.sandboxes[0]?.id, sandbox);
    assert.deepEqual(slow.states(), ['running']);
    slow.runtime.close();
  });

  it('forgets what is gone since the last listing', async () => {
    const slow = new SlowRuntime();
    const sandbox = await slow.sandbox();
    await slow.runtime.removePodSandbox({ podSandboxId: sandbox });
    assert.deepEqual([...(await slow.view.relist())], ['u']);
    assert.equal(slow.view.pod('u'), undefined);
    slow.runtime.close();
  });

  it('does not go back to an answer that was overtaken', async () => {
    const slow = new SlowRuntime();
    const sandbox = await slow.sandbox();
    const container = await slow.container(sandbox);
    const go = slow.hold('containerStatus');
    const late = slow.view.lookAtContainer(container, sandbox);
    await slow.runtime.startContainer({ containerId: container });
    assert.equal((await slow.view.lookAtContainer(container, sandbox))?.state, 'running');
    go();
    assert.equal((await late)?.state, 'running');
    assert.deepEqual(slow.states(), ['running']);
    slow.runtime.close();
  });

  it('does not bring back by a late answer what was removed meanwhile', async () => {
    const slow = new SlowRuntime();
    const sandbox = await slow.sandbox();
    const container = await slow.container(sandbox);
    await slow.view.lookAtContainer(container, sandbox);
    const go = [slow.hold('containerStatus'), slow.hold('podSandboxStatus')];
    const late = [slow.view.lookAtContainer(container), slow.view.lookAtSandbox(sandbox)];
    slow.view.forget(container);
    slow.view.forget(sandbox);
    for (const each of go) each();
    assert.deepEqual(await Promise.all(late), [undefined, undefined]);
    assert.deepEqual(slow.view.uids(), []);
    slow.runtime.close();
  });
});
