import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openMemoryDatastore } from '../memory.ts';

describe('a value that is put', () => {
  const key = Buffer.from('k');
  it('is copied, for its bytes may be part of a buffer that is used again', async () => {
    await using store = await openMemoryDatastore();
    const value = Buffer.from('before');
    await store.put({ key, value });
    value.write('after!');
    const { kvs } = await store.range({ key });
    assert.equal(Buffer.from(kvs[0]?.value ?? '').toString(), 'before');
  });

  it('is kept as it is when its writer says that it is final', async () => {
    await using store = await openMemoryDatastore();
    const value = Buffer.from('for ever');
    await store.put({ key, value, isFinal: true });
    const { kvs } = await store.range({ key });
    assert.equal(kvs[0]?.value, value);
    await store.put({ key, value: new Uint8Array(0), ignoreValue: true });
    assert.equal((await store.range({ key })).kvs[0]?.value, value);
  });
});
