import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { bytesOf, keyOf } from './key.ts';

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };

describe('keys', () => {
  it('come back from their bytes, whatever became of other keys', () => {
    const key = fc.uint8Array({ maxLength: 2_000 });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 40 }), (keys) => {
        const copies = keys.map((bytes) => bytesOf(keyOf(bytes)));
        for (const [i, copy] of copies.entries()) {
          assert.deepEqual(new Uint8Array(copy), keys[i]);
          copy.fill(i);
        }
        for (const [i, copy] of copies.entries()) assert.ok(copy.every((byte) => byte === i));
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 200), ...seed },
    );
  });

  it('keep little beside themselves in memory', () => {
    const memory = new Set<ArrayBufferLike>();
    let bytes = 0;
    for (let i = 0; i < 1_000; i++) {
      // Whatever else goes through Node's pool between two keys.
      assert.equal(Buffer.from('x'.repeat(20_000)).length, 20_000);
      const { buffer } = bytesOf(`/registry/pods/default/pod-${i}`);
      if (!memory.has(buffer)) bytes += buffer.byteLength;
      memory.add(buffer);
    }
    assert.ok(bytes < 50_000, `${bytes} bytes for a thousand keys`);
  });
});
