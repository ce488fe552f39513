import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freezeMs, longestWaitMs, Loop, type LoopKernel, type LoopPart } from './loop.ts';

/** A kernel whose time passes in poll(2) only, and whose descriptors are ready when the script says so. */
class ScriptedKernel implements LoopKernel {
  timeMs = 1000;
  ready = new Set<number>();
  /** Added to the next wait, as if the thread had been stopped. */
  stallMs = 0;
  waits: number[] = [];
  nowMs(): number {
    return this.timeMs;
  }
  poll(fds: Uint8Array, count: number, timeoutMs: number): number {
    this.waits.push(timeoutMs);
    const view = new DataView(fds.buffer);
    let found = 0;
    for (let i = 0; i < count; i++) {
      const ready = this.ready.has(view.getInt32(i * 8, true));
      view.setInt16(i * 8 + 6, ready ? 1 : 0, true);
      if (ready) found += 1;
    }
    this.timeMs += this.stallMs + (found > 0 ? 0 : timeoutMs);
    this.stallMs = 0;
    return found;
  }
}

class ScriptedPart implements LoopPart {
  heard: string[] = [];
  list: readonly number[] = [7];
  nextMs = Infinity;
  onReadable = (): void => {};
  fds(): readonly number[] {
    return this.list;
  }
  readable(fd: number): void {
    this.heard.push(`readable ${fd}`);
    this.onReadable();
  }
  nextDeadlineMs(): number {
    return this.nextMs;
  }
  deadline(nowMs: number): void {
    this.heard.push(`deadline ${nowMs}`);
    this.nextMs = Infinity;
  }
  frozen(gapMs: number): void {
    this.heard.push(`frozen ${gapMs}`);
  }
}

function scripted(): { kernel: ScriptedKernel; part: ScriptedPart; loop: Loop } {
  const kernel = new ScriptedKernel();
  const part = new ScriptedPart();
  const loop = new Loop(kernel);
  loop.add(part);
  return { kernel, part, loop };
}

describe('the loop of the layer-2 thread', () => {
  it('sleeps until the next deadline, and never longer than a freeze could hide in', () => {
    const { kernel, part, loop } = scripted();
    part.nextMs = 1040.5;
    loop.turn();
    assert.deepEqual(kernel.waits, [41]);
    assert.deepEqual(part.heard, ['deadline 1041']);
    loop.turn();
    assert.equal(kernel.waits[1], longestWaitMs);
  });

  it('serves what is ready, and follows descriptors that come and go', () => {
    const { kernel, part, loop } = scripted();
    kernel.ready.add(7).add(8);
    loop.turn();
    part.list = [8];
    loop.turn();
    assert.deepEqual(part.heard, ['readable 7', 'readable 8']);
  });

  it('a socket that another part closed in the same round is not touched', () => {
    const { kernel, part, loop } = scripted();
    const second = new ScriptedPart();
    second.list = [8];
    loop.add(second);
    part.onReadable = () => (second.list = []);
    kernel.ready.add(7).add(8);
    loop.turn();
    assert.deepEqual(second.heard, []);
  });

  it('after a freeze every part hears of it before anything is answered', () => {
    const { kernel, part, loop } = scripted();
    kernel.ready.add(7);
    kernel.stallMs = freezeMs + 1;
    part.nextMs = 1001;
    loop.turn();
    assert.deepEqual(part.heard, [`frozen ${freezeMs + 1}`]);
    assert.equal(loop.freezes, 1);
    loop.turn();
    assert.deepEqual(part.heard.slice(1), ['readable 7', `deadline ${1000 + freezeMs + 1}`]);
  });

  it('a freeze while a part works is found by its own look at the clock', () => {
    const { kernel, part, loop } = scripted();
    kernel.ready.add(7);
    part.onReadable = () => {
      kernel.timeMs += 400;
      part.heard.push(`gave up: ${loop.checkpoint()}`);
    };
    loop.turn();
    assert.deepEqual(part.heard, ['readable 7', 'frozen 400', 'gave up: true']);
  });

  it('a wait of its full length is no freeze', () => {
    const { part, loop } = scripted();
    for (let i = 0; i < 20; i++) loop.turn();
    assert.deepEqual(part.heard, []);
  });
});
