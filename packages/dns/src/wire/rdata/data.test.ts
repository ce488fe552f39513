import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import { rrType, typeNumber } from '../types.ts';
import { WireError, writeName } from '../name.ts';
import * as rdata from '../rdata.ts';
import { badData, goodData } from '../testing/data-corpus.ts';

const { canonicalData, checkData, parseData, printData, tokensOf } = rdata;

function split(record: string): [type: number, text: string] {
  const [, mnemonic = '', text = ''] = /^(\S+) ?([^]*)$/.exec(record) ?? [];
  return [typeNumber(mnemonic) ?? -1, text];
}

/** The text means the same data. WKS may have empty octets at its end, and LOC a zero with an exponent. */
function assertFaithful(type: number, printed: string, data: Buffer, message: string): void {
  const again = parseData(type, tokensOf(printed));
  if (type === rrType.WKS || type === rrType.LOC) assert.equal(printData(type, again), printed, message);
  else assert.deepEqual(again, data, message);
}

describe('data of records', () => {
  it('text of every type leads to octets and back to a text that means the same', () => {
    for (const record of goodData) {
      const [type, text] = split(record);
      const data = parseData(type, tokensOf(text), { origin: 'example' });
      checkData(type, data);
      const printed = printData(type, data);
      assert.deepEqual(parseData(type, tokensOf(printed)), data, `${record} → ${printed}`);
      assert.deepEqual(parseData(type, tokensOf(rdata.genericText(data))), data, record);
    }
  });

  it('what is cut off or too long is refused, or is other data of that type', () => {
    for (const record of goodData) {
      const [type, text] = split(record);
      const data = parseData(type, tokensOf(text), { origin: 'example' });
      const damaged = [...data.keys()].map((length) => data.subarray(0, length));
      for (const bytes of [...damaged, Buffer.concat([data, Buffer.of(0)])])
        try {
          checkData(type, bytes);
          assertFaithful(type, printData(type, bytes), bytes, record);
        } catch (error) {
          assert.ok(error instanceof WireError, `${record}: ${String(error)}`);
        }
    }
  });

  it('random octets are refused, or go to text and back', () => {
    const types = fc.constantFrom(...Object.values(rrType));
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 40 }), (type, bytes) => {
        const data = Buffer.from(bytes);
        let printed: string;
        try {
          printed = printData(type, data);
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
          return;
        }
        assertFaithful(type, printed, data, printed);
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 10) * 500 },
    );
  });

  it('random text is refused with a reason, or is data', () => {
    const types = fc.constantFrom(...Object.values(rrType));
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('1', '10', 'a.example.', '"x"', 'port=1', 'AQID', '0a0b'),
    );
    fc.assert(
      fc.property(types, fc.array(word, { maxLength: 6 }), (type, words) => {
        try {
          checkData(type, parseData(type, tokensOf(words.join(' ')), { origin: 'example' }));
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 10) * 200 },
    );
  });

  it('says which field of which type is wrong', () => {
    const said = (record: string): string => {
      const [type, text] = split(record);
      try {
        parseData(type, tokensOf(text), { origin: 'example' });
        return 'accepted';
      } catch (error) {
        return error instanceof WireError ? error.message : String(error);
      }
    };
    assert.equal(said('MX mail'), 'MX: preference is a number from 0 to 65535, not mail');
    assert.equal(said('A 192.0.2'), 'A: 192.0.2 is not an IPv4 address');
    assert.equal(said('SRV 0 0 5060'), 'SRV: target is missing');
    assert.equal(said('CNAME a b'), 'CNAME: b is too much');
    assert.equal(said('SVCB 1 . mandatory=port'), 'SVCB: port is mandatory and missing');
    for (const record of badData) assert.notEqual(said(record), 'accepted', record);
  });

  it('SOA times have units; MD and MF are still read', () => {
    const data = parseData(rrType.SOA, tokensOf('ns first\\.last 1 ( 2h 15m ; a comment\n 1w2d3h4m5s 0 )'), {
      origin: 'example',
    });
    assert.deepEqual(rdata.readSoa(data), {
      primary: 'ns.example',
      mailbox: 'first\\.last.example',
      serial: 1,
      refreshSeconds: 7200,
      retrySeconds: 900,
      expireSeconds: 788_645,
      minimumSeconds: 0,
    });
    assert.deepEqual(rdata.soaData(rdata.readSoa(data)), data);
    assert.equal(printData(rrType.MD, writeName('host.example')), 'host.example.');
  });

  it('the canonical form has names of the older types in lower case, and no others', () => {
    const canonical = (record: string): string => {
      const [type, text] = split(record);
      return printData(type, canonicalData(type, parseData(type, tokensOf(text))));
    };
    assert.equal(canonical('MX 1 Mail.Example.'), '1 mail.example.');
    assert.equal(canonical('NAPTR 1 2 U "E2U" "!X!" Sip.Example.'), '1 2 "U" "E2U" "!X!" sip.example.');
    assert.equal(canonical('TXT Text'), '"Text"');
    assert.equal(canonical('NSEC Next.Example. A'), 'Next.Example. A');
    assert.equal(canonical('SVCB 1 Svc.Example.'), '1 Svc.Example.');
    const rrsig = 'A 13 1 60 20300101000000 20290101000000 1';
    assert.equal(canonical(`RRSIG ${rrsig} Signer.Example. AQID`), `${rrsig} signer.example. AQID`);
  });

  it('typed data goes both ways', () => {
    const txt = rdata.txtData('x'.repeat(300));
    assert.deepEqual(rdata.readTxt(txt).map(String), ['x'.repeat(255), 'x'.repeat(45)]);
    assert.deepEqual(rdata.readTxt(rdata.txtData('')).map(String), ['']);
    assert.deepEqual(rdata.readMx(rdata.mxData(10, 'a.b')), { preference: 10, exchange: 'a.b' });
    const srv = { priority: 1, weight: 2, port: 3, target: 'a.b' };
    assert.deepEqual(rdata.readSrv(rdata.srvData(1, 2, 3, 'a.b')), srv);
    assert.deepEqual(rdata.readCaa(rdata.caaData(128, 'issue', 'x.y')), {
      flags: 128,
      tag: 'issue',
      value: 'x.y',
    });
    for (const [record, make, read] of [
      ['DNSKEY 257 3 13 AQID', rdata.dnskeyData, rdata.readDnskey],
      ['DS 1 13 9 AABB', rdata.dsData, rdata.readDs],
      ['RRSIG A 13 1 60 20300101000000 20290101000000 1 s.example. AQID', rdata.rrsigData, rdata.readRrsig],
      ['NSEC3PARAM 1 0 0 -', rdata.nsec3ParamData, rdata.readNsec3Param],
      ['NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG', rdata.nsec3Data, rdata.readNsec3],
      ['TSIG hmac-sha256. 1600000000 300 3 AQID 1234 BADTIME 6 AQIDBAUG', rdata.tsigData, rdata.readTsig],
    ] as [string, (value: unknown) => Buffer, (data: Buffer) => unknown][]) {
      const [type, text] = split(record);
      const data = parseData(type, tokensOf(text));
      assert.deepEqual(make(read(data)), data, record);
      assert.equal(printData(type, data), text);
    }
    const nsec = rdata.nsecData('b.example', [rrType.RRSIG, rrType.A, 1234, rrType.NSEC]);
    assert.deepEqual(rdata.readNsec(nsec), { next: 'b.example', types: [1, 46, 47, 1234] });
  });

  it('addresses are written by RFC 5952', () => {
    for (const text of [
      '::',
      '::1',
      '1::',
      '2001:db8::1:0:0:1',
      '1:0:2:0:3:0:4:0',
      '::ffff:192.0.2.1',
      'fe80::1',
      '10.0.0.1',
    ])
      assert.equal(rdata.addressText(rdata.addressData(text)), text);
  });
});
