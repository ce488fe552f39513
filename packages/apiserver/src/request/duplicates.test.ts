import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { hasDuplicates } from './duplicates.ts';

const judge = (text: string): boolean => hasDuplicates(Buffer.from(text), JSON.parse(text));

describe('repeated keys', () => {
  it('are noticed wherever they stand', () => {
    for (const text of [
      '{"a":1,"a":2}',
      '{"x":[{"b":{},"b":[]}]}',
      '{"a:\\"":1,"a:\\"":{"b":"c:d"}}',
      '{"a":{"b":1},"a":{"c":1,"d":2}}',
    ]) {
      assert.ok(judge(text), text);
    }
  });

  it('are not seen where there are none, whatever keys and texts hold', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => assert.equal(judge(JSON.stringify(value, undefined, 1)), false)),
    );
  });
});
