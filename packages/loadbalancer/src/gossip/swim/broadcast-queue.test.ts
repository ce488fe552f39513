import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BroadcastQueue } from './broadcast-queue.ts';
import { retransmitLimit, scaledPushPullMs, suspicionTimeoutMs } from './scaling.ts';

const text = (messages: readonly Buffer[]): string[] => messages.map(String);

test('a message is sent as often as the cluster is large, newer ones first', () => {
  const queue = new BroadcastQueue(4, () => 5);
  let sent = 0;
  queue.add('a', Buffer.from('old'), () => sent++);
  assert.deepEqual(text(queue.take(2, 100)), ['old']);
  queue.add('b', Buffer.from('new'));
  assert.deepEqual(text(queue.take(2, 100)), ['new', 'old']);
  assert.deepEqual(text(queue.take(2, 5)), ['new'], 'what was sent less often has the first claim to room');
  queue.take(2, 100);
  queue.take(2, 100);
  assert.equal(sent, 1);
  assert.deepEqual(text(queue.take(2, 100)), []);
  assert.equal(queue.length, 0);
});

test('news of a member replace what was to be told of it', () => {
  const queue = new BroadcastQueue(4, () => 5);
  let replaced = 0;
  queue.add('a', Buffer.from('suspect a'), () => replaced++);
  queue.take(2, 100);
  queue.add('a', Buffer.from('alive a'));
  assert.equal(replaced, 1);
  assert.deepEqual(text(queue.take(2, 100)), ['alive a']);
});

test('a packet is never filled beyond its limit, and what does not fit waits', () => {
  const queue = new BroadcastQueue(4, () => 100);
  for (let index = 0; index < 50; index++) queue.add(`n${index}`, Buffer.alloc(10 + index));
  for (let round = 0; round < 20; round++) {
    const bytes = queue.take(2, 200).reduce((sum, message) => sum + message.length + 2, 0);
    assert.ok(bytes <= 200 && bytes > 0);
  }
  assert.deepEqual(queue.take(2, 5), []);
});

// Values of memberlist's own util_test.go.
test('times and counts grow with the cluster as in memberlist', () => {
  const near = (value: number, expected: number): void =>
    assert.ok(Math.abs(value - expected) <= 3, `${value}`);
  near(suspicionTimeoutMs(3, 5, 1000), 3000);
  near(suspicionTimeoutMs(3, 10, 1000), 3000);
  near(suspicionTimeoutMs(3, 50, 1000), 5096);
  near(suspicionTimeoutMs(3, 500, 1000), 8096);
  assert.deepEqual(
    [0, 1, 99].map((members) => retransmitLimit(3, members)),
    [0, 3, 6],
  );
  const sync = (members: number): number => scaledPushPullMs(1000, members);
  assert.deepEqual([0, 32, 33, 64, 65, 128].map(sync), [1000, 1000, 2000, 2000, 3000, 3000]);
});
