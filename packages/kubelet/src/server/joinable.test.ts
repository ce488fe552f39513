import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { ContainerState, type ContainerStatusResponse } from '../cri/generated/types.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { isJoinable } from './joinable.ts';

const running = ContainerState.CONTAINER_RUNNING;
const exited = ContainerState.CONTAINER_EXITED;

/** A runtime that answers with one state after the other, and the last for ever. */
function runtime(states: readonly ContainerState[], info: Record<string, string>) {
  let asked = 0;
  const containerStatus = (): Promise<ContainerStatusResponse> => {
    const state = states[Math.min(asked++, states.length - 1)] as ContainerState;
    return Promise.resolve({ status: { state }, info } as ContainerStatusResponse);
  };
  return { cri: { containerStatus } as unknown as CriRuntime, asked: () => asked };
}
const ofProcess = (pid: number | undefined): Record<string, string> => ({
  info: JSON.stringify({ sandboxID: 'x', pid }),
});

describe('whether a container can be joined', () => {
  it('one whose process is alive can, and so can one of a runtime that tells of none', async () => {
    for (const info of [ofProcess(process.pid), {}, ofProcess(0), { info: 'no JSON' }])
      assert.equal(await isJoinable(runtime([running], info).cri, 'c'), true);
  });

  it('one that has ended cannot', async () => {
    assert.equal(await isJoinable(runtime([exited], {}).cri, 'c'), false);
  });

  it('one whose process is gone cannot, which is said when the runtime has noticed, or takes long', async () => {
    const { pid } = spawnSync('true');
    const noticed = runtime([running, running, running, exited], ofProcess(pid));
    assert.equal(await isJoinable(noticed.cri, 'c'), false);
    assert.equal(noticed.asked(), 4);
    assert.equal(await isJoinable(runtime([running], ofProcess(pid)).cri, 'c'), false);
  });
});
