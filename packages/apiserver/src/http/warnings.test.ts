import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Warnings } from './warnings.ts';

const headersOf = (...texts: string[]): string[] => {
  const warnings = new Warnings();
  for (const text of texts) warnings.add(text);
  return warnings.headers();
};

describe('warnings', () => {
  it('come once each, quoted, on one line', () => {
    assert.deepEqual(headersOf('a "b" \\ c\nd', 'a "b" \\ c\nd', '', 'e'), [
      '299 - "a \\"b\\" \\\\ c d"',
      '299 - "e"',
    ]);
  });

  it('are whole while they fit, and all cut when they do not', () => {
    const long = (letter: string): string => letter.repeat(2000);
    assert.equal(headersOf(long('a'), long('b'))[1], `299 - "${long('b')}"`);
    assert.deepEqual(headersOf(long('a'), long('b'), long('c')), [
      `299 - "${'a'.repeat(256)}"`,
      `299 - "${'b'.repeat(256)}"`,
      `299 - "${'c'.repeat(256)}"`,
    ]);
  });

  it('end when no more fit, however many there are', () => {
    const many = headersOf(...Array.from({ length: 1000 }, (_, i) => `${i} ${'ü'.repeat(300)}`));
    assert.equal(many.length, 16);
  });
});
