import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { BgpCommunity } from '../../config/config.ts';
import { FrameReader, encodeFrame, keepaliveFrame, maxMessageBytes } from './frame.ts';
import { parseIncoming } from './incoming.ts';
import { BgpError, describeNotification, shutdownData } from './notification.ts';
import { type Capabilities, decodeOpen, encodeOpen } from './open.ts';
import { type ParsedUpdate, parseUpdate } from './parse-update.ts';
import { decodePrefixes, encodePrefix } from './prefix.ts';
import {
  AttributesTooLongError,
  type UpdateFormat,
  encodeAnnouncements,
  encodeEndOfRib,
  encodeWithdrawals,
} from './update.ts';

const format: UpdateFormat = {
  localAsn: 64512,
  internal: false,
  fourOctetAsn: true,
  nextHops: {
    ipv4: { address: '192.0.2.1', linkLocal: undefined },
    ipv6: { address: '2001:db8::1', linkLocal: 'fe80::1' },
  },
};

const parseAll = (frames: readonly Buffer[], fourOctetAsn = true): ParsedUpdate[] =>
  [...new FrameReader().push(Buffer.concat(frames))].map(({ body }) => parseUpdate(body, fourOctetAsn));

/** Plain objects, as the decoder makes them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });

const address4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }));
const number = (max: number) => fc.integer({ min: 0, max });
const communities: fc.Arbitrary<BgpCommunity[]> = fc.array(
  fc.oneof(
    record({ type: fc.constant('standard' as const), high: number(0xffff), low: number(0xffff) }),
    record({
      type: fc.constant('large' as const),
      global: number(0xffffffff),
      local1: number(0xffffffff),
      local2: number(0xffffffff),
    }),
  ),
  { maxLength: 100 },
);

describe('frames', () => {
  it('come out of a stream whole, however it is cut', () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 4, maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (list, cuts) => {
        const stream = Buffer.concat(list.map((body) => encodeFrame(2, Buffer.from(body))));
        const reader = new FrameReader();
        const got: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length] as number;
          for (const { body } of reader.push(stream.subarray(at, at + size))) got.push(Buffer.from(body));
          at += size;
        }
        assert.deepEqual(
          got,
          list.map((body) => Buffer.from(body)),
        );
      }),
    );
  });

  it('the messages before a wrong header are given out', () => {
    const reader = new FrameReader();
    const got: number[] = [];
    const stream = Buffer.concat([keepaliveFrame(), keepaliveFrame(), Buffer.alloc(19)]);
    assert.throws(
      () => {
        for (const { type } of reader.push(stream)) got.push(type);
      },
      new BgpError(1, 1),
    );
    assert.deepEqual(got, [4, 4]);
  });

  it('a KEEPALIVE is what RFC 4271 says it is', () => {
    assert.equal(keepaliveFrame().toString('hex'), `${'ff'.repeat(16)}001304`);
  });
});

describe('OPEN', () => {
  const family = fc.constantFrom('ipv4' as const, 'ipv6' as const);
  const capabilities: fc.Arbitrary<Capabilities> = record({
    families: fc.option(fc.uniqueArray(family, { minLength: 1 }), { nil: undefined }),
    routeRefresh: fc.boolean(),
    ipv4OverIpv6: fc.boolean(),
    fourOctetAsn: fc.option(number(0xffffffff), { nil: undefined }),
    gracefulRestart: fc.option(
      record({
        restarted: fc.boolean(),
        restartTimeSeconds: number(4095),
        families: fc.array(record({ family, forwarding: fc.boolean() }), { maxLength: 2 }),
      }),
      { nil: undefined },
    ),
  });

  it('is read as it was written', () => {
    const opens = record({
      shortAsn: number(0xffff),
      holdTimeSeconds: fc.integer({ min: 3, max: 0xffff }),
      identifier: fc.integer({ min: 1, max: 0xffffffff }),
      capabilities,
    });
    fc.assert(
      fc.property(opens, (open) => assert.deepEqual(decodeOpen(encodeOpen(open).subarray(19)), open)),
    );
  });

  it('without capabilities has no parameters at all', () => {
    const open = { shortAsn: 1, holdTimeSeconds: 0, identifier: 1, capabilities: undefined };
    assert.equal(encodeOpen(open).length, 29);
    assert.deepEqual(decodeOpen(encodeOpen(open).subarray(19)), open);
  });

  it('parameters in the extended form of RFC 9072 are read', () => {
    const capability = [65, 4, 0, 1, 0, 0];
    const body = [4, 0xfc, 1, 0, 90, 1, 2, 3, 4, 255, 255, 0, 9, 2, 0, 6, ...capability];
    assert.equal(decodeOpen(Buffer.from(body)).capabilities?.fourOctetAsn, 65536);
  });

  it('several parameters of one capability each are read as one list', () => {
    const body = [4, 0xfc, 1, 0, 90, 1, 2, 3, 4, 12, 2, 2, 2, 0, 2, 6, 1, 4, 0, 2, 0, 1];
    const { capabilities: read } = decodeOpen(Buffer.from(body));
    assert.equal(read?.routeRefresh, true);
    assert.deepEqual(read?.families, ['ipv6']);
  });

  it('unknown capabilities and families are passed over', () => {
    const body = [4, 0xfc, 1, 0, 90, 1, 2, 3, 4, 11, 2, 9, 70, 1, 7, 1, 4, 0, 25, 0, 65];
    assert.deepEqual(decodeOpen(Buffer.from(body)).capabilities?.families, []);
  });
});

describe('UPDATE', () => {
  it('announces any prefixes with any attributes, in messages within the limit', () => {
    fc.assert(
      fc.property(fc.array(address4, { minLength: 1, maxLength: 2000 }), communities, (list, all) => {
        const prefixes = list.map(([address, bits]) => encodePrefix(`${address}/${bits}`));
        const frames = encodeAnnouncements(prefixes, 'ipv4', { localPref: 0, communities: all }, format);
        assert.ok(frames.every(({ length }) => length <= maxMessageBytes));
        const updates = parseAll(frames);
        const wanted = decodePrefixes(Buffer.concat(prefixes.map(({ bytes }) => bytes)), 'ipv4');
        assert.deepEqual(
          updates.flatMap(({ announced }) => announced),
          wanted,
        );
        const standardFirst = [
          ...all.filter(({ type }) => type === 'standard'),
          ...all.filter(({ type }) => type === 'large'),
        ];
        for (const update of updates) {
          assert.deepEqual(update.communities, standardFirst);
          assert.deepEqual(update.nextHops, ['192.0.2.1']);
          assert.deepEqual(update.asPath, [64512]);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('IPv6 is announced and withdrawn by the multiprotocol attributes', () => {
    const prefixes = ['2001:db8:9::/48', '2001:db8::9/128', '::/0'].map((one) => encodePrefix(one));
    const [update] = parseAll(
      encodeAnnouncements(prefixes, 'ipv6', { localPref: 0, communities: [] }, format),
    );
    assert.deepEqual(update?.announced, ['2001:db8:9::/48', '2001:db8::9/128', '::/0']);
    assert.deepEqual(update?.nextHops, ['2001:db8::1', 'fe80::1']);
    const [gone] = parseAll(encodeWithdrawals(prefixes, 'ipv6', format));
    assert.deepEqual(gone?.withdrawn, update?.announced);
    assert.equal(gone?.endOfRib, undefined);
  });

  it('IPv4 with an IPv6 next hop goes the way of RFC 8950, and back', () => {
    const over6 = { ...format, nextHops: { ...format.nextHops, ipv4: format.nextHops.ipv6 } };
    const prefixes = [encodePrefix('198.51.100.7/32')];
    const [update] = parseAll(
      encodeAnnouncements(prefixes, 'ipv4', { localPref: 0, communities: [] }, over6),
    );
    assert.deepEqual(update?.announced, ['198.51.100.7/32']);
    assert.deepEqual(update?.nextHops, ['2001:db8::1', 'fe80::1']);
    assert.deepEqual(parseAll(encodeWithdrawals(prefixes, 'ipv4', over6))[0]?.withdrawn, ['198.51.100.7/32']);
  });

  it('the ends of the routes are told apart by family', () => {
    const ends = parseAll([encodeEndOfRib('ipv4'), encodeEndOfRib('ipv6')]);
    assert.deepEqual(
      ends.map(({ endOfRib }) => endOfRib),
      ['ipv4', 'ipv6'],
    );
  });

  it('a peer of two octets gets AS_TRANS, and the number in AS4_PATH', () => {
    const short = { ...format, localAsn: 4_200_000_001, fourOctetAsn: false };
    const [frame] = encodeAnnouncements(
      [encodePrefix('10.0.0.0/8')],
      'ipv4',
      { localPref: 0, communities: [] },
      short,
    );
    assert.deepEqual(parseAll([frame as Buffer], false)[0]?.asPath, [23456]);
    assert.ok(frame?.includes(Buffer.from([0xc0, 17, 6, 2, 1, 0xfa, 0x56, 0xea, 0x01])));
  });

  it('attributes that leave no room are refused', () => {
    const many = Array.from({ length: 1100 }, (_, i) => ({ type: 'standard' as const, high: 1, low: i }));
    assert.throws(
      () =>
        encodeAnnouncements(
          [encodePrefix('10.0.0.0/8')],
          'ipv4',
          { localPref: 0, communities: many },
          format,
        ),
      AttributesTooLongError,
    );
  });

  it('attributes and families that are not known are passed over', () => {
    // Optional transitive 99; MP_REACH_NLRI of L2VPN EVPN.
    const attributes = Buffer.from([0xc0, 99, 1, 7, 0x80, 14, 10, 0, 25, 70, 4, 10, 0, 0, 1, 0, 5]);
    const mandatory = Buffer.from([0x40, 1, 1, 0, 0x40, 2, 0]);
    const body = Buffer.concat([Buffer.from([0, 0, 0, 24]), mandatory, attributes]);
    const update = parseUpdate(body, true);
    assert.deepEqual([update.announced, update.withdrawn, update.endOfRib], [[], [], undefined]);
  });

  it('bits after the length of a prefix mean nothing', () => {
    assert.deepEqual(decodePrefixes(Buffer.from([20, 10, 1, 0xff]), 'ipv4'), ['10.1.240.0/20']);
    assert.equal(encodePrefix('10.1.255.9/20').bytes.toString('hex'), '140a01f0');
  });
});

describe('NOTIFICATION', () => {
  it("is told in words, with the peer's own", () => {
    const data = shutdownData('maintenance until\n10:00');
    assert.equal(
      describeNotification({ code: 6, subcode: 2, data }),
      'cease: administrative shutdown ("maintenance until 10:00")',
    );
    assert.equal(
      describeNotification({ code: 2, subcode: 2, data: Buffer.alloc(0) }),
      'OPEN message error: bad peer AS',
    );
    assert.equal(describeNotification({ code: 77, subcode: 5, data: Buffer.alloc(0) }), 'code 77: subcode 5');
  });

  it('words are cut to 255 bytes, between characters', () => {
    const data = shutdownData('ü'.repeat(200));
    assert.equal(data.length, 255);
    assert.equal(data[0], 254);
  });

  it('no bytes whatever throw anything else than a BgpError', () => {
    const types = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(
        types,
        fc.uint8Array({ minLength: 0, maxLength: 200 }),
        fc.boolean(),
        (type, bytes, four) => {
          try {
            for (const frame of new FrameReader().push(encodeFrame(type, Buffer.from(bytes))))
              parseIncoming(frame, four);
          } catch (error) {
            if (!(error instanceof BgpError)) throw error;
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
