import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Address6 } from 'ip-address';
import { addressBytes, addressText } from './address.ts';

describe('addresses as bytes and text', () => {
  it('v4 there and back', () => {
    assert.deepEqual(addressBytes('192.0.2.10'), Uint8Array.of(192, 0, 2, 10));
    assert.equal(addressText(Uint8Array.of(192, 0, 2, 10)), '192.0.2.10');
  });

  for (const text of [
    '::',
    '::1',
    '1::',
    'fe80::1:0:0:2',
    '1:0:0:2::3',
    '1:2:3:4:5:6:7:8',
    '1:0:2:3:4:5:6:7',
  ])
    it(`${text} is canonical and stays so`, () => assert.equal(addressText(addressBytes(text)), text));

  it('reads what is not canonical', () => {
    assert.equal(addressText(addressBytes('2001:DB8:0:0:0::0001')), '2001:db8::1');
    assert.equal(addressText(addressBytes('::ffff:192.0.2.1')), '::ffff:192.0.2.1');
  });

  for (const text of ['', '1.2.3', '1.2.3.4.5', ':::', 'fe80::1%eth0', '::g'])
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => addressBytes(text), TypeError));

  it('agrees with another implementation on any 16 bytes', () => {
    const zeroes = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(zeroes, { minLength: 16, maxLength: 16 }), (list) => {
        const bytes = Uint8Array.from(list);
        const text = addressText(bytes);
        assert.deepEqual(addressBytes(text), bytes);
        if (!text.includes('.')) assert.equal(text, Address6.fromByteArray(list).correctForm());
      }),
    );
  });
});
