import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Address4, Address6 } from 'ip-address';
import { addressOf, addressText } from './address.ts';

describe('addresses', () => {
  it('are read and written as a library of addresses does', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    console.log(`SEED=${seed}`);
    // Zeros in rows are what texts are shortened by.
    const group = fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(15));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const long = groups.map((one) => one.toString(16)).join(':');
        const known = new Address6(long);
        assert.deepEqual(addressOf(long), { text: known.correctForm(), family: 6, value: known.bigInt() });
        assert.deepEqual(addressOf(known.correctForm()), addressOf(long));
        assert.equal(addressOf(known.canonicalForm().toUpperCase())?.value, known.bigInt());
      }),
      { seed, numRuns: Number(process.env['ITERATIONS'] ?? 300) },
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        assert.deepEqual(addressOf(text), { text, family: 4, value: new Address4(text).bigInt() });
        assert.equal(addressText(4, new Address4(text).bigInt()), text);
      }),
      { seed },
    );
  });

  it('are nothing else', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.256',
      '01.2.3.4',
      '1.2.3.4/32',
      '1.2.3.4.5',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7',
      '::g',
      '::12345',
      'fe80::1%eth0',
      '::/0',
      'name',
    ])
      assert.equal(addressOf(text), undefined, text);
    assert.equal(addressOf('64:ff9b::192.0.2.1')?.text, '64:ff9b::c000:201');
    assert.equal(addressOf('::192.0.2.1')?.text, '::c000:201');
    for (const text of ['1::192.0.2', '192.0.2.1::', '1:2:3:4:5:6:7:192.0.2.1', '::192.0.2.256'])
      assert.equal(addressOf(text), undefined, text);
    assert.equal(addressOf('1:2:3:4:5:6:192.0.2.1')?.text, '1:2:3:4:5:6:c000:201');
    assert.equal(addressOf('::')?.text, '::');
    assert.equal(addressOf('1::')?.text, '1::');
  });
});
