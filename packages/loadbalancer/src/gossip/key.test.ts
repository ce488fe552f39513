import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metallbKey } from './key.ts';

test('the key is the first 32 bytes of the secret followed by the hash of nothing, as MetalLB makes it', () => {
  const hex = (secret: string): string => Buffer.from(metallbKey(secret) ?? []).toString('hex');
  assert.equal(hex('abc'), '616263e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b78');
  assert.equal(hex('x'.repeat(32)), '78'.repeat(32));
  assert.equal(hex('x'.repeat(128)), '78'.repeat(32), 'what is longer than 32 bytes is cut off');
  assert.equal(hex('ü'.repeat(20)).slice(0, 4), 'c3bc', 'bytes of UTF-8');
});

test('an empty secret is no key: gossip is not encrypted', () => {
  assert.equal(metallbKey(''), undefined);
});
