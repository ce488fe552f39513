import { encodeAttribute, encodeNumbers } from '../wire/attributes.ts';
import { encodeFrame, keepaliveFrame } from '../wire/frame.ts';
import { type Capabilities, encodeOpen } from '../wire/open.ts';
import { allCapabilities, routeRefreshFrame } from './passive-peer.ts';

/** A choice of whole numbers, both ends included. */
export type Pick = (from: number, to: number) => number;

/** Bytes that break one rule, and what a speaker that keeps RFC 4271 answers. */
export interface Malformed {
  readonly name: string;
  /** Where it is sent: in place of our peer's OPEN, of its first KEEPALIVE, or in an established session. */
  readonly stage: 'open' | 'confirm' | 'established';
  readonly bytes: Buffer;
  readonly code: number;
  readonly subcode: number;
  /** The data of the NOTIFICATION where the RFC fixes it. */
  readonly data?: Buffer;
}

type Rule = (pick: Pick) => Malformed;

const established = (
  name: string,
  bytes: Buffer,
  code: number,
  subcode: number,
  data?: Buffer,
): Malformed => ({
  name,
  stage: 'established',
  bytes,
  code,
  subcode,
  ...(data && { data }),
});

const junk = (pick: Pick, length: number): Buffer => Buffer.from(Array.from({ length }, () => pick(0, 255)));

/** A frame with its length field as given, whatever its real one. */
function withLength(frame: Buffer, length: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt16BE(length, 16);
  return copy;
}

const update = (withdrawn: Buffer, attributes: Buffer, nlri: Buffer): Buffer =>
  encodeFrame(
    2,
    Buffer.concat([
      encodeNumbers(2, [withdrawn.length]),
      withdrawn,
      encodeNumbers(2, [attributes.length]),
      attributes,
      nlri,
    ]),
  );

const none = Buffer.alloc(0);
const prefix = Buffer.from([24, 198, 51, 100]);
const origin = encodeAttribute(0x40, 1, Buffer.from([0]));
const asPath = encodeAttribute(0x40, 2, Buffer.from([2, 1, 0, 0, 0xfc, 1]));
const nextHop = encodeAttribute(0x40, 3, Buffer.from([192, 0, 2, 254]));
const mandatory = [origin, asPath, nextHop];

/** An UPDATE whose list is good but for one attribute that is added or takes another's place. */
function bad(name: string, attribute: Buffer, subcode: number, replaces = -1, data = true): Malformed {
  const list = mandatory.map((one, i) => (i === replaces ? attribute : one));
  const all = Buffer.concat(replaces < 0 ? [...list, attribute] : list);
  return established(name, update(none, all, prefix), 3, subcode, data ? attribute : undefined);
}

const headers: Rule[] = [
  (pick) => {
    const bytes = keepaliveFrame();
    bytes.writeUInt8(pick(0, 254), pick(0, 15));
    return established('a marker that is not all ones', bytes, 1, 1);
  },
  (pick) => {
    const length = pick(0, 1) === 0 ? pick(0, 18) : pick(4097, 65535);
    const data = encodeNumbers(2, [length]);
    return established('a length out of bounds', withLength(keepaliveFrame(), length), 1, 2, data);
  },
  (pick) => {
    const length = pick(20, 4096);
    const bytes = withLength(Buffer.concat([keepaliveFrame(), junk(pick, length - 19)]), length);
    return established('a KEEPALIVE with a body', bytes, 1, 2, encodeNumbers(2, [length]));
  },
  (pick) => {
    const length = pick(19, 22);
    const bytes = withLength(encodeFrame(2, junk(pick, length - 19)), length);
    return established('an UPDATE without room for its lengths', bytes, 1, 2, encodeNumbers(2, [length]));
  },
  (pick) => {
    const length = pick(19, 20);
    const bytes = withLength(encodeFrame(3, junk(pick, length - 19)), length);
    return established('a NOTIFICATION without a code', bytes, 1, 2, encodeNumbers(2, [length]));
  },
  (pick) => {
    const bytes = Buffer.concat([routeRefreshFrame(1), junk(pick, 1)]);
    return established(
      'a ROUTE-REFRESH that is too long',
      withLength(bytes, 24),
      1,
      2,
      encodeNumbers(2, [24]),
    );
  },
  (pick) => {
    const type = pick(0, 250);
    const unknown = type >= 1 && type <= 5 ? type + 5 : type;
    return established(
      'an unknown type',
      encodeFrame(unknown, junk(pick, pick(0, 64))),
      1,
      3,
      Buffer.from([unknown]),
    );
  },
];

const lists: Rule[] = [
  (pick) => {
    const bytes = update(none, none, none);
    bytes.writeUInt16BE(pick(1, 65535), 19);
    return established('withdrawn routes that overrun the message', bytes, 3, 1);
  },
  (pick) => {
    const bytes = update(none, Buffer.concat(mandatory), none);
    bytes.writeUInt16BE(pick(Buffer.concat(mandatory).length + 1, 65535), 21);
    return established('attributes that overrun the message', bytes, 3, 1);
  },
  (pick) =>
    established(
      'a list that ends within the head of an attribute',
      update(none, Buffer.concat([...mandatory, Buffer.from([0xc0, 8]).subarray(0, pick(1, 2))]), prefix),
      3,
      1,
    ),
  (pick) => bad('an attribute twice', mandatory[pick(0, 2)] as Buffer, 1, -1, false),
  (pick) => {
    const missing = pick(0, 2);
    const left = mandatory.filter((_, i) => i !== missing);
    const data = Buffer.from([missing + 1]);
    return established(
      'a mandatory attribute missing',
      update(none, Buffer.concat(left), prefix),
      3,
      3,
      data,
    );
  },
  (pick) => {
    const length = pick(33, 255);
    const nlri = Buffer.concat([Buffer.from([length]), junk(pick, Math.ceil(length / 8))]);
    return pick(0, 1) === 0
      ? established(
          'an announced prefix that is too long',
          update(none, Buffer.concat(mandatory), nlri),
          3,
          10,
        )
      : established('a withdrawn prefix that is too long', update(nlri, none, none), 3, 10);
  },
  (pick) =>
    established(
      'a prefix cut short',
      update(none, Buffer.concat(mandatory), Buffer.from([pick(17, 32), 10, 0])),
      3,
      10,
    ),
];

const attributes: Rule[] = [
  (pick) => {
    const length = pick(30, 255);
    const attribute = Buffer.concat([Buffer.from([0xc0, 8, length]), junk(pick, 8)]);
    const all = Buffer.concat([...mandatory, attribute]);
    return established('an attribute longer than the list', update(none, all, none), 3, 5);
  },
  (pick) => {
    const type = pick(40, 127);
    return bad('an unknown well-known attribute', encodeAttribute(0x40, type, junk(pick, pick(0, 20))), 2);
  },
  (pick) => {
    const which = pick(0, 2);
    const wrong = Buffer.from(mandatory[which] as Buffer);
    wrong.writeUInt8([0xc0, 0x80, 0x00, 0x60][pick(0, 3)] as number, 0);
    return bad('flags that its type does not have', wrong, 4, which);
  },
  (pick) => {
    const length = pick(0, 1) * pick(2, 9);
    return bad('an ORIGIN of another length', encodeAttribute(0x40, 1, Buffer.alloc(length)), 5, 0);
  },
  (pick) => {
    const length = [0, 1, 2, 3, 5, 16][pick(0, 5)] as number;
    return bad('a NEXT_HOP of another length', encodeAttribute(0x40, 3, Buffer.alloc(length, 10)), 5, 2);
  },
  (pick) => bad('an ORIGIN that means nothing', encodeAttribute(0x40, 1, Buffer.from([pick(3, 255)])), 6, 0),
  (pick) => {
    const first = pick(0, 1) === 0 ? 0 : pick(224, 255);
    const value = Buffer.concat([Buffer.from([first]), junk(pick, 3)]);
    return bad('a NEXT_HOP that is no host', encodeAttribute(0x40, 3, value), 8, 2);
  },
  (pick) => {
    const kind = pick(0, 1) === 0 ? 0 : pick(5, 255);
    const path = encodeAttribute(0x40, 2, Buffer.from([kind, 1, 0, 0, 0, 1]));
    return bad('an AS_PATH of an unknown segment', path, 11, 1, false);
  },
  (pick) => {
    const path = encodeAttribute(0x40, 2, Buffer.from([2, pick(2, 255), 0, 0, 0, 1]));
    return bad('an AS_PATH that overruns', path, 11, 1, false);
  },
  (pick) => {
    const length = 4 * pick(0, 10) + (pick(0, 1) === 0 ? 1 : 3);
    return bad('communities that are not whole', encodeAttribute(0xc0, 8, junk(pick, length)), 9);
  },
  (pick) => {
    const length = 12 * pick(0, 5) + pick(1, 11);
    return bad('large communities that are not whole', encodeAttribute(0xc0, 32, junk(pick, length)), 9);
  },
  (pick) => {
    const value = Buffer.concat([Buffer.from([0, 2, 1, pick(40, 255)]), junk(pick, 20)]);
    return bad('an MP_REACH_NLRI whose next hop overruns', encodeAttribute(0x80, 14, value), 9);
  },
  (pick) => {
    const value = Buffer.concat([
      Buffer.from([0, 2, 1, 16]),
      junk(pick, 16),
      Buffer.from([0, pick(129, 255)]),
    ]);
    return bad('an MP_REACH_NLRI with a prefix that is too long', encodeAttribute(0x80, 14, value), 9);
  },
  (pick) => bad('an MP_UNREACH_NLRI cut short', encodeAttribute(0x80, 15, junk(pick, pick(0, 2))), 9),
];

const openWith = (change: { asn?: number; holdTimeSeconds?: number; identifier?: number }): Buffer =>
  encodeOpen({
    shortAsn: change.asn ?? 64513,
    holdTimeSeconds: change.holdTimeSeconds ?? 0,
    identifier: change.identifier ?? 0xc00002fe,
    capabilities: { ...allCapabilities, fourOctetAsn: change.asn ?? 64513 } satisfies Capabilities,
  });

/** A valid OPEN of the test's peer; a hold time of 0 leaves no timer running. */
export const goodOpen = openWith({});

const opening = (name: string, bytes: Buffer, code: number, subcode: number, data?: Buffer): Malformed => ({
  ...established(name, bytes, code, subcode, data),
  stage: 'open',
});

/** An OPEN with optional parameters as given. */
function openWithParameters(parameters: Buffer): Buffer {
  const head = Buffer.from([4, 0xfc, 1, 0, 0, 192, 0, 2, 254, parameters.length]);
  return encodeFrame(1, Buffer.concat([head, parameters]));
}

const opens: Rule[] = [
  (pick) => {
    const bytes = Buffer.from(goodOpen);
    bytes.writeUInt8([0, 1, 2, 3, 5, 255][pick(0, 5)] as number, 19);
    return opening('another version', bytes, 2, 1, Buffer.from([0, 4]));
  },
  (pick) => opening('another AS', openWith({ asn: [0, 1, 64512, 65000][pick(0, 3)] }), 2, 2),
  (pick) => opening('a hold time of a second or two', openWith({ holdTimeSeconds: pick(1, 2) }), 2, 6),
  () => opening('an identifier of zero', openWith({ identifier: 0 }), 2, 3),
  (pick) => {
    const type = pick(0, 1) === 0 ? pick(3, 254) : 1;
    const value = junk(pick, pick(0, 30));
    return opening(
      'an unknown optional parameter',
      openWithParameters(Buffer.concat([Buffer.from([type, value.length]), value])),
      2,
      4,
    );
  },
  (pick) =>
    opening('a parameter that overruns', openWithParameters(Buffer.from([2, pick(3, 255), 2, 0])), 2, 0),
  (pick) =>
    opening('a capability that overruns', openWithParameters(Buffer.from([2, 2, 65, pick(1, 255)])), 2, 0),
  (pick) => {
    const length = [0, 1, 2, 3, 5][pick(0, 4)] as number;
    const value = Buffer.concat([Buffer.from([2, 2 + length, 65, length]), junk(pick, length)]);
    return opening('a four-octet AS of another length', openWithParameters(value), 2, 0);
  },
  (pick) => {
    const bytes = Buffer.from(goodOpen);
    bytes.writeUInt8(bytes.readUInt8(28) + pick(1, 3), 28);
    return opening('parameters longer than the message', bytes, 2, 0);
  },
  (pick) => {
    const frames = [keepaliveFrame(), update(none, none, none), routeRefreshFrame(2)];
    const frame = frames[pick(0, 2)] as Buffer;
    return opening('something else than an OPEN', frame, 5, 1, frame.subarray(18, 19));
  },
  (pick) => {
    const frames = [goodOpen, update(none, none, none), routeRefreshFrame(1)];
    const frame = frames[pick(0, 2)] as Buffer;
    const whole = opening('something else than a KEEPALIVE', frame, 5, 2, frame.subarray(18, 19));
    return { ...whole, stage: 'confirm' };
  },
  () => established('another OPEN', goodOpen, 5, 3, Buffer.from([1])),
];

/** Every rule, once each. */
export const rules: readonly Rule[] = [...headers, ...lists, ...attributes, ...opens];

/** Good frames with some bytes changed, which may or may not be good still. */
export function mutated(pick: Pick): Buffer {
  const whole = update(none, Buffer.concat(mandatory), prefix);
  const frame = Buffer.from([whole, goodOpen, routeRefreshFrame(1), keepaliveFrame()][pick(0, 3)] as Buffer);
  for (let i = pick(1, 4); i > 0; i--) frame.writeUInt8(pick(0, 255), pick(16, frame.length - 1));
  return frame;
}
