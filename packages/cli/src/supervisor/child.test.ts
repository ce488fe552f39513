import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Logger } from '@cloudless/kube/logger';
import { type ChildMessage, type ChildStatus, SupervisedChild } from './child.ts';

const silent = { warn: () => {}, error: () => {} } as unknown as Logger;

async function until(what: string, check: () => boolean, timeoutMs = 8000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe('a supervised child', () => {
  let folder = '';
  let child: SupervisedChild;
  let messages: ChildMessage[] = [];
  const make = (script: string): SupervisedChild => {
    child = new SupervisedChild({
      name: 'dns',
      command: () => [process.execPath, '-e', script, join(folder, 'starts')],
      logFolder: join(folder, 'logs'),
      onMessage: (message) => messages.push(message),
      log: silent,
    });
    return child;
  };
  const state = (): ChildStatus['state'] => child.status.state;
  /** When the child was started, milliseconds since the epoch. */
  const starts = (): number[] =>
    existsSync(join(folder, 'starts'))
      ? readFileSync(join(folder, 'starts'), 'utf8').trim().split('\n').map(Number)
      : [];
  const noteStart = `require('node:fs').appendFileSync(process.argv[1], Date.now() + '\\n');`;
  const ready = `process.send({ type: 'ready' });`;
  const stay = `setInterval(() => {}, 1000);`;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudless-child-'));
    messages = [];
  });
  afterEach(async () => {
    await child.stop(1000, 'leave-pods');
    rmSync(folder, { recursive: true });
  });

  it('is starting, then ready, then stopped; its output is in its log', async () => {
    make(`console.error('hello'); ${ready} ${stay}`).start();
    assert.equal(state(), 'starting');
    await until('ready', () => state() === 'ready');
    const pid = child.status.pid as number;
    assert.ok(isAlive(pid));
    await child.stop(5000, 'leave-pods');
    assert.deepEqual(
      [state(), child.status.pid, child.status.lastExit],
      ['stopped', undefined, 'signal SIGTERM'],
    );
    assert.equal(isAlive(pid), false);
    assert.match(readFileSync(join(folder, 'logs', 'dns.log'), 'utf8'), /hello/);
  });

  it('is started again with back-off when it ends by itself', async () => {
    make(`${noteStart} process.exit(3);`).start();
    await until('four starts', () => starts().length >= 4);
    const times = starts();
    const gaps = times.slice(1).map((time, i) => time - (times[i] as number));
    assert.ok(
      (gaps[0] as number) >= 95 && (gaps[1] as number) >= 195 && (gaps[2] as number) >= 395,
      gaps.join(', '),
    );
    assert.equal(child.status.lastExit, 'exit code 3');
    assert.ok(child.status.restarts >= 3);
  });

  it('is not started again once it was told to stop, also while it waits', async () => {
    make(`${noteStart} process.exit(1);`).start();
    await until('it waits', () => state() === 'waiting' && child.status.restarts >= 2);
    await child.stop(1000, 'leave-pods');
    const count = starts().length;
    assert.equal(state(), 'stopped');
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(starts().length, count);
  });

  it('kill -9 brings it back', async () => {
    make(`${ready} ${stay}`).start();
    await until('ready', () => state() === 'ready');
    const first = child.status.pid as number;
    process.kill(first, 'SIGKILL');
    await until('another', () => state() === 'ready' && child.status.pid !== first);
    assert.deepEqual([child.status.restarts, child.status.lastExit], [1, 'signal SIGKILL']);
  });

  it('one that does not stop in time is killed', async () => {
    make(`process.on('SIGTERM', () => {}); ${ready} ${stay}`).start();
    await until('ready', () => state() === 'ready');
    const pid = child.status.pid as number;
    await child.stop(200, 'leave-pods');
    assert.equal(child.status.lastExit, 'signal SIGKILL');
    assert.equal(isAlive(pid), false);
  });

  it('is told by the signal whether its pods end too', async () => {
    make(`process.on('SIGUSR2', () => process.exit(42)); ${ready} ${stay}`).start();
    await until('ready', () => state() === 'ready');
    await child.stop(5000, 'stop-pods');
    assert.equal(child.status.lastExit, 'exit code 42');
  });

  it('one that says at its first start that it cannot run is left alone', async () => {
    make(
      `${noteStart} process.send({ type: 'fatal', message: 'port 53 is taken' }, () => process.exit(1));`,
    ).start();
    await until('it has ended', () => child.status.lastExit !== undefined);
    assert.equal(state(), 'failed');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(starts().length, 1);
    assert.deepEqual(messages, [{ type: 'fatal', message: 'port 53 is taken' }]);
  });

  it('one that was ready once is tried again, whatever it says', async () => {
    const marker = join(folder, 'taken');
    make(
      `${noteStart} if (require('node:fs').existsSync(${JSON.stringify(marker)})) process.send({ type: 'fatal', message: 'taken' }, () => process.exit(1)); else { ${ready} ${stay} }`,
    ).start();
    await until('ready', () => state() === 'ready');
    writeFileSync(marker, '');
    process.kill(child.status.pid as number, 'SIGKILL');
    await until('two more tries', () => starts().length >= 3);
    assert.notEqual(state(), 'failed');
    rmSync(marker);
    await until('ready again', () => state() === 'ready');
    assert.deepEqual(
      messages.map((message) => message.type),
      ['ready', 'ready'],
    );
  });

  it('a program that is missing, or a log that cannot be written, is tried again', async () => {
    child = new SupervisedChild({
      name: 'dns',
      command: () => ['/nonexistent/program'],
      logFolder: join(folder, 'logs'),
      onMessage: (message) => messages.push(message),
      log: silent,
    });
    child.start();
    await until('two tries', () => child.status.restarts >= 2);
    await child.stop(100, 'leave-pods');
    writeFileSync(join(folder, 'file'), '');
    child = new SupervisedChild({
      name: 'dns',
      command: () => [process.execPath, '-e', ''],
      logFolder: join(folder, 'file'),
      onMessage: (message) => messages.push(message),
      log: silent,
    });
    child.start();
    assert.equal(state(), 'waiting');
    assert.match(child.status.lastExit ?? '', /EEXIST|ENOTDIR/);
  });
});
