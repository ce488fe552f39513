import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { errorText } from './error-text.ts';
import { UsageError } from './options.ts';

const thrownBy = (action: () => unknown): unknown => {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe('what a person sees of an error', () => {
  it('a named error is its sentence', () => {
    assert.equal(errorText(new UsageError('--root x: no')), '--root x: no');
  });

  it('what the system said, with its remedy where there is one', () => {
    assert.equal(
      errorText(thrownBy(() => readFileSync('/none'))),
      "ENOENT: no such file or directory, open '/none'",
    );
    const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/x'"), {
      code: 'EACCES',
      syscall: 'mkdir',
    });
    assert.match(
      errorText(denied),
      /mkdir '\/x': run this as root, or keep the state in a folder of your own with --root$/,
    );
    assert.match(
      errorText(thrownBy(() => writeFileSync('/dev/full', 'x'))),
      /^ENOSPC.*: the disk is full: make room$/,
    );
  });

  it('a mistake of this program shows where it is', () => {
    assert.match(
      errorText(thrownBy(() => (undefined as unknown as { a: { b: 1 } }).a.b)),
      /TypeError[\s\S]*at /,
    );
    assert.equal(errorText('text'), 'text');
  });
});
