import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import * as names from './name.ts';

const {
  compareNames,
  isSubdomain,
  labelsOf,
  lowerName,
  parentOf,
  parseName,
  printName,
  readName,
  writeName,
} = names;

const label = fc.uint8Array({ minLength: 1, maxLength: 12 });
const wire = fc
  .array(label, { maxLength: 6 })
  .map((labels) =>
    Buffer.concat([...labels.flatMap((bytes) => [Buffer.of(bytes.length), bytes]), Buffer.of(0)]),
  );

describe('names', () => {
  it('any octets have one text, and lead back to themselves', () => {
    fc.assert(
      fc.property(wire, (bytes) => {
        const { name, end } = readName(bytes, 0);
        assert.equal(end, bytes.length);
        assert.match(name, /^[\x21-\x7e]*$/);
        assert.deepEqual(writeName(name), bytes);
        assert.equal(parseName(printName(name)), name);
        assert.equal(names.skipName(bytes, 0), end);
      }),
    );
  });

  it('labels, parents and ancestors agree', () => {
    fc.assert(
      fc.property(wire, (bytes) => {
        const { name } = readName(bytes, 0);
        const labels = labelsOf(name);
        assert.equal(labels.join('.'), name);
        let ancestor: string | undefined = name;
        for (let i = 0; i <= labels.length; i++) {
          assert.equal(ancestor, labels.slice(i).join('.'));
          assert.ok(isSubdomain(name, ancestor));
          ancestor = parentOf(ancestor);
        }
        assert.equal(ancestor, undefined);
      }),
    );
  });

  it('an escaped dot separates nothing', () => {
    assert.equal(isSubdomain('a\\.example', 'example'), false);
    assert.equal(isSubdomain('a\\\\.example', 'example'), true);
    assert.equal(isSubdomain('bexample', 'example'), false);
    assert.equal(parentOf('a\\.b.c'), 'c');
    assert.deepEqual(labelsOf('a\\.b.c\\\\.d'), ['a\\.b', 'c\\\\', 'd']);
  });

  it('canonical order is that of RFC 4034 section 6.1', () => {
    const sorted = [
      'example',
      'a.example',
      'yljkjljk.a.example',
      'Z.a.example',
      'zABC.a.EXAMPLE',
      'z.example',
      '\\001.z.example',
      '*.z.example',
      '\\200.z.example',
    ];
    assert.deepEqual([...sorted].reverse().sort(compareNames), sorted);
    assert.equal(compareNames('A.example', 'a.EXAMPLE'), 0);
    fc.assert(
      fc.property(wire, wire, (a, b) => {
        const [left, right] = [readName(a, 0).name, readName(b, 0).name];
        const bytes = (name: string): Buffer[] =>
          labelsOf(lowerName(name))
            .map((text) => Buffer.from(names.unescaped(text), 'latin1'))
            .reverse();
        const [x, y] = [bytes(left), bytes(right)];
        let expected = x.length - y.length;
        for (let i = Math.min(x.length, y.length) - 1; i >= 0; i--)
          expected = Buffer.compare(x[i] as Buffer, y[i] as Buffer) || expected;
        assert.equal(Math.sign(compareNames(left, right)), Math.sign(expected));
      }),
    );
  });

  it('relative text stands below its origin', () => {
    assert.equal(parseName('@', 'example.org'), 'example.org');
    assert.equal(parseName('www', 'example.org'), 'www.example.org');
    assert.equal(parseName('www.', 'example.org'), 'www');
    assert.equal(parseName('.', 'example.org'), '');
    assert.equal(parseName('w\\119w\\.', 'example.org'), 'www\\..example.org');
    assert.equal(parseName('\\064', 'example.org'), '\\@.example.org');
    for (const text of ['', 'a..b', '.a', 'a\\', '\\256', '\\12', 'ü', 'x'.repeat(64)])
      assert.throws(() => parseName(text, 'example'), names.WireError, text);
    assert.throws(() => parseName('a', Array(4).fill('x'.repeat(62)).join('.') + '.y'), names.WireError);
  });

  it('a chain of pointers ends after as many as a name has labels', () => {
    const chain = Buffer.alloc(1000);
    for (let i = 14; i < 1000; i += 2) chain.writeUInt16BE(0xc000 | (i - 2), i);
    chain.writeUInt16BE(0, 12);
    assert.equal(readName(chain, 14 + 126 * 2).name, '');
    assert.throws(() => readName(chain, 14 + 127 * 2), /too many compression pointers/);
    assert.throws(() => readName(Buffer.from([...Array(12).fill(0), 0xc0, 2]), 12), /header/);
  });
});
