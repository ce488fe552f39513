import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { ReadYaml } from '../request/body.ts';
import { isLongYaml, YamlThread } from './yaml-thread.ts';

const long = (text: string): Uint8Array => Buffer.from(text);
const value = (read: ReadYaml): unknown =>
  'json' in read ? JSON.parse(Buffer.from(read.json).toString()) : assert.fail(read.failure);

describe('long YAML', () => {
  const stopping = new AbortController();
  let thread: YamlThread;
  before(() => (thread = new YamlThread(stopping.signal)));
  after(() => stopping.abort());

  it('is told from what is read at once', () => {
    const bytes = Buffer.alloc(40_000, 'a');
    assert.ok(isLongYaml({ type: 'bytes', bytes, mediaType: 'application/yaml' }));
    assert.ok(isLongYaml({ type: 'bytes', bytes, mediaType: 'application/apply-patch+yaml' }));
    assert.ok(!isLongYaml({ type: 'bytes', bytes, mediaType: 'application/json' }));
    const json = Buffer.concat([Buffer.from('{'), bytes]);
    assert.ok(!isLongYaml({ type: 'bytes', bytes: json, mediaType: 'application/apply-patch+yaml' }));
    assert.ok(!isLongYaml({ type: 'bytes', bytes: bytes.subarray(0, 100), mediaType: 'application/yaml' }));
  });

  it('becomes JSON with what it repeats, or an error, each its own', async () => {
    const [good, twice, broken] = await Promise.all(
      ['a: 9007199254740993', 'a: 1\na: 2', 'a: [1'].map((text) => thread.read(long(text))),
    );
    assert.deepEqual(good && 'json' in good && Buffer.from(good.json).toString(), '{"a":9007199254740993}');
    assert.ok(twice && 'json' in twice && twice.duplicates.length === 1);
    assert.ok(broken && 'failure' in broken && broken.failure.startsWith('yaml: '));
  });

  it('does not hold up the thread that asks', async () => {
    const text = `a: [${'a,'.repeat(150_000)}]`;
    await thread.read(long('a: 1'));
    const loop = monitorEventLoopDelay({ resolution: 5 });
    loop.enable();
    const read = await thread.read(long(text));
    loop.disable();
    assert.equal((value(read) as { a: unknown[] }).a.length, 150_000);
    // Reading it here takes some hundred milliseconds in one turn; what is left is the copy.
    assert.ok(loop.max / 1e6 < 150, `the event loop stood still for ${loop.max / 1e6} ms`);
  });

  it('ends with its server, whatever waits', async () => {
    const ending = new AbortController();
    const other = new YamlThread(ending.signal);
    const waiting = other.read(long(`a: [${'a,'.repeat(400_000)}]`));
    await delay(10);
    ending.abort();
    assert.deepEqual(await waiting, { failure: 'the server is stopping' });
    assert.deepEqual(await other.read(long('a: 1')), { failure: 'the server is stopping' });
  });
});
