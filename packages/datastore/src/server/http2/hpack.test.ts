import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ConnectionError } from './frames.ts';
import { encodeFields, HpackDecoder } from './hpack.ts';
import { decodeHuffman } from './huffman.ts';

const limit = 64 * 1024;
const decodeHex = (decoder: HpackDecoder, hex: string): string[][] => {
  const bytes = Buffer.from(hex, 'hex');
  return decoder.decode(bytes, 0, bytes.length).fields.map(({ name, value }) => [name, value]);
};
const request = (path: string, scheme: string): string[][] => [
  [':method', 'GET'],
  [':scheme', scheme],
  [':path', path],
  [':authority', 'www.example.com'],
];

describe('the header decoder', () => {
  for (const [what, blocks] of [
    [
      'plain requests (RFC 7541, C.3)',
      [
        '828684410f7777772e6578616d706c652e636f6d',
        '828684be58086e6f2d6361636865',
        '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ],
    ],
    [
      'requests in Huffman code (C.4)',
      [
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be5886a8eb10649cbf',
        '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ],
    ],
  ] as const)
    it(`reads ${what}, one after the other`, () => {
      const decoder = new HpackDecoder(limit);
      assert.deepEqual(
        blocks.map((block) => decodeHex(decoder, block)),
        [
          request('/', 'http'),
          [...request('/', 'http'), ['cache-control', 'no-cache']],
          [...request('/index.html', 'https'), ['custom-key', 'custom-value']],
        ],
      );
    });

  it('forgets what the table has no room for (C.5, with its table of 256 bytes)', () => {
    const decoder = new HpackDecoder(limit);
    const first = [
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ];
    assert.deepEqual(
      decodeHex(
        decoder,
        '3fe101' +
          '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54' +
          '6e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      ),
      first,
    );
    assert.deepEqual(decodeHex(decoder, '4803333037c1c0bf'), [[':status', '307'], ...first.slice(1)]);
    // The oldest entry, :status 302, had to go.
    assert.throws(() => decodeHex(decoder, 'c2'), ConnectionError);
  });

  for (const [what, hex] of [
    ['an entry that is not there', 'be'],
    ['entry 0', '80'],
    ['a string that is cut off', '0003616263ff'],
    ['an integer without end', '7fffffffffffffff'],
    ['a table larger than permitted', '3fe21f'],
    ['a change of the table inside a block', '8220'],
    ['padding of zeros', '00811800'],
    ['padding of a whole byte', '00821fff00'],
    ['the end of a string inside of one', '0084ffffffff00'],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => decodeHex(new HpackDecoder(limit), hex), ConnectionError);
    });

  it('drops what goes beyond the limit, and keeps its table right', () => {
    const decoder = new HpackDecoder(100);
    const bytes = Buffer.from(
      '400a637573746f6d2d6b65790c637573746f6d2d76616c7565' + 'be'.repeat(1000),
      'hex',
    );
    const { fields, isTooLarge } = decoder.decode(bytes, 0, bytes.length);
    assert.deepEqual([fields.length, isTooLarge], [1, true]);
    assert.deepEqual(decodeHex(decoder, 'be'), [['custom-key', 'custom-value']]);
  });

  it('says which fields HTTP/2 does not permit', () => {
    const isValid = (name: string, value: string): boolean | undefined => {
      const bytes = encodeFields([[name, value]]);
      return new HpackDecoder(limit).decode(bytes, 0, bytes.length).fields[0]?.isValid;
    };
    for (const [name, value] of [
      ['Upper', 'a'],
      ['', 'a'],
      ['a b', 'a'],
      ['a', 'b\r\nc: d'],
      ['a', ' b'],
      ['connection', 'close'],
      ['te', 'gzip'],
    ] as const)
      assert.equal(isValid(name, value), false, name);
    for (const [name, value] of [
      [':path', '/'],
      ['te', 'trailers'],
      ['x-y', ''],
      ['x', 'b c\u00e9'],
    ] as const)
      assert.equal(isValid(name, value), true, name);
  });

  it('never takes anything for what it is not: any bytes end in fields or a ConnectionError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (blocks) => {
        const decoder = new HpackDecoder(limit);
        for (const block of blocks) {
          try {
            decoder.decode(Buffer.from(block), 0, block.length);
          } catch (error) {
            assert.ok(error instanceof ConnectionError);
            return;
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('reads what the encoder writes', () => {
    const name = fc.stringMatching(/^[a-z][a-z-]{0,20}$/);
    const value = fc.stringMatching(/^[!-~]{0,300}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (fields) => {
        const bytes = encodeFields(fields);
        assert.deepEqual(decodeHex(new HpackDecoder(2 ** 20), bytes.toString('hex')), fields);
      }),
    );
  });
});

describe('the Huffman code', () => {
  it('is complete: every byte that can follow is a symbol or on the way to one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = decodeHuffman(bytes, 0, bytes.length);
        assert.ok(text === undefined || text.length <= (bytes.length * 8) / 5);
      }),
    );
  });
});
