import { messageType, encodeFrame } from './frame.ts';
import { BgpError, errorCode } from './notification.ts';
import { type Family, familyOf, wireFamily } from './prefix.ts';

/** Stands for an AS number over 65535 where only two octets fit (RFC 6793). */
export const asTrans = 23456;

/** RFC 4724 section 3, RFC 8538 section 2. */
export interface GracefulRestart {
  /** The speaker has restarted: nobody waits for its End-of-RIB before sending. */
  readonly restarted: boolean;
  /** How long the routes are kept without a session; 12 bits, seconds. */
  readonly restartTimeSeconds: number;
  /** Families whose routes outlive the session, and whether packets were forwarded all the while (F bit). */
  readonly families: ReadonlyArray<{ readonly family: Family; readonly forwarding: boolean }>;
}

export interface Capabilities {
  /** RFC 4760; undefined: the capability was not sent, which means IPv4 alone. */
  readonly families: readonly Family[] | undefined;
  /** RFC 2918. */
  readonly routeRefresh: boolean;
  /** RFC 8950: IPv4 routes with an IPv6 next hop are understood. */
  readonly ipv4OverIpv6: boolean;
  readonly fourOctetAsn: number | undefined;
  readonly gracefulRestart: GracefulRestart | undefined;
}

export interface Open {
  /** The number in the header's two octets, before RFC 6793. */
  readonly shortAsn: number;
  readonly holdTimeSeconds: number;
  /** As a number; `identifierText` prints it. */
  readonly identifier: number;
  /** Undefined: the peer sent no capabilities at all. */
  readonly capabilities: Capabilities | undefined;
}

const capability = {
  multiprotocol: 1,
  routeRefresh: 2,
  extendedNextHop: 5,
  gracefulRestart: 64,
  fourOctetAsn: 65,
} as const;

const optionalParameterCapabilities = 2;
/** RFC 9072: as length and as first type it says that lengths have two octets from here on. */
const extendedLength = 255;

const tlv = (type: number, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type, value.length]), value]);

const malformed = (why: string): BgpError => new BgpError(errorCode.open, 0, undefined, why);

/** The whole OPEN message. Without `capabilities` it is one of a speaker that knows none (RFC 5492 section 3). */
export function encodeOpen(open: Open): Buffer {
  const parameters =
    open.capabilities === undefined
      ? Buffer.alloc(0)
      : tlv(optionalParameterCapabilities, encodeCapabilities(open.capabilities));
  const head = Buffer.alloc(10);
  head.writeUInt8(4, 0);
  head.writeUInt16BE(open.shortAsn, 1);
  head.writeUInt16BE(open.holdTimeSeconds, 3);
  head.writeUInt32BE(open.identifier, 5);
  head.writeUInt8(parameters.length, 9);
  return encodeFrame(messageType.open, Buffer.concat([head, parameters]));
}

function encodeCapabilities(capabilities: Capabilities): Buffer {
  const parts: Buffer[] = [];
  for (const family of capabilities.families ?? []) {
    const value = Buffer.alloc(4);
    value.writeUInt16BE(wireFamily[family], 0);
    value.writeUInt8(1, 3);
    parts.push(tlv(capability.multiprotocol, value));
  }
  if (capabilities.routeRefresh) parts.push(tlv(capability.routeRefresh, Buffer.alloc(0)));
  // AFI 1, SAFI 1, next hop of AFI 2.
  if (capabilities.ipv4OverIpv6) parts.push(tlv(capability.extendedNextHop, Buffer.from([0, 1, 0, 1, 0, 2])));
  if (capabilities.gracefulRestart)
    parts.push(tlv(capability.gracefulRestart, encodeGracefulRestart(capabilities.gracefulRestart)));
  if (capabilities.fourOctetAsn !== undefined) {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(capabilities.fourOctetAsn);
    parts.push(tlv(capability.fourOctetAsn, value));
  }
  return Buffer.concat(parts);
}

function encodeGracefulRestart(restart: GracefulRestart): Buffer {
  const value = Buffer.alloc(2 + 4 * restart.families.length);
  value.writeUInt16BE((restart.restarted ? 0x8000 : 0) | restart.restartTimeSeconds);
  for (const [i, { family, forwarding }] of restart.families.entries()) {
    value.writeUInt16BE(wireFamily[family], 2 + 4 * i);
    value.writeUInt8(1, 4 + 4 * i);
    value.writeUInt8(forwarding ? 0x80 : 0, 5 + 4 * i);
  }
  return value;
}

/**
 * Decodes and checks the body of an OPEN as far as it can be checked without knowing the peer (RFC 4271 section 6.2).
 * Throws {@link BgpError}.
 */
export function decodeOpen(body: Buffer): Open {
  const version = body.readUInt8(0);
  if (version !== 4)
    throw new BgpError(errorCode.open, 1, Buffer.from([0, 4]), `version ${version}, only 4 is spoken`);
  const holdTimeSeconds = body.readUInt16BE(3);
  if (holdTimeSeconds === 1 || holdTimeSeconds === 2)
    throw new BgpError(errorCode.open, 6, undefined, `${holdTimeSeconds} s is neither 0 nor at least 3`);
  const identifier = body.readUInt32BE(5);
  if (identifier === 0) throw new BgpError(errorCode.open, 3, undefined, '0.0.0.0');
  return {
    shortAsn: body.readUInt16BE(1),
    holdTimeSeconds,
    identifier,
    capabilities: decodeParameters(body),
  };
}

function decodeParameters(body: Buffer): Capabilities | undefined {
  const extended = body[9] === extendedLength && body[10] === extendedLength;
  if (extended && body.length < 13) throw malformed('optional parameters end early');
  const from = extended ? 13 : 10;
  const length = extended ? body.readUInt16BE(11) : body.readUInt8(9);
  if (from + length !== body.length)
    throw malformed(`optional parameters of ${length} bytes in a message of ${body.length + 19}`);
  const found = new CapabilityList();
  let any = false;
  for (const [type, value] of eachTlv(body.subarray(from), extended ? 2 : 1)) {
    if (type !== optionalParameterCapabilities)
      throw new BgpError(errorCode.open, 4, undefined, `parameter ${type}`);
    any = true;
    for (const [code, content] of eachTlv(value, 1)) found.add(code, content);
  }
  return any ? found.capabilities() : undefined;
}

function* eachTlv(buffer: Buffer, lengthOctets: 1 | 2): Generator<[number, Buffer], void, undefined> {
  for (let at = 0; at < buffer.length;) {
    const start = at + 1 + lengthOctets;
    if (start > buffer.length) throw malformed('a parameter or capability ends early');
    const length = buffer.readUIntBE(at + 1, lengthOctets);
    if (start + length > buffer.length) throw malformed('a parameter or capability ends early');
    yield [buffer.readUInt8(at), buffer.subarray(start, start + length)];
    at = start + length;
  }
}

/** Capabilities as they are read; unknown ones are passed over (RFC 5492 section 3). */
class CapabilityList {
  readonly #families = new Set<Family>();
  #multiprotocol = false;
  #routeRefresh = false;
  #ipv4OverIpv6 = false;
  #fourOctetAsn: number | undefined;
  #gracefulRestart: GracefulRestart | undefined;

  add(code: number, value: Buffer): void {
    const expect = (right: boolean): void => {
      if (!right) throw malformed(`capability ${code} of ${value.length} bytes`);
    };
    if (code === capability.multiprotocol) {
      expect(value.length === 4);
      this.#multiprotocol = true;
      const family = familyOf(value.readUInt16BE(0), value.readUInt8(3));
      if (family !== undefined) this.#families.add(family);
    } else if (code === capability.routeRefresh) {
      expect(value.length === 0);
      this.#routeRefresh = true;
    } else if (code === capability.extendedNextHop) {
      expect(value.length % 6 === 0);
      for (let at = 0; at < value.length; at += 6)
        if (familyOf(value.readUInt16BE(at), value.readUInt16BE(at + 2)) === 'ipv4')
          this.#ipv4OverIpv6 ||= value.readUInt16BE(at + 4) === wireFamily.ipv6;
    } else if (code === capability.fourOctetAsn) {
      expect(value.length === 4);
      this.#fourOctetAsn = value.readUInt32BE(0);
    } else if (code === capability.gracefulRestart) {
      expect(value.length >= 2 && (value.length - 2) % 4 === 0);
      this.#gracefulRestart = decodeGracefulRestart(value);
    }
  }

  capabilities(): Capabilities {
    return {
      families: this.#multiprotocol ? [...this.#families] : undefined,
      routeRefresh: this.#routeRefresh,
      ipv4OverIpv6: this.#ipv4OverIpv6,
      fourOctetAsn: this.#fourOctetAsn,
      gracefulRestart: this.#gracefulRestart,
    };
  }
}

function decodeGracefulRestart(value: Buffer): GracefulRestart {
  const head = value.readUInt16BE(0);
  const families: Array<{ family: Family; forwarding: boolean }> = [];
  for (let at = 2; at < value.length; at += 4) {
    const family = familyOf(value.readUInt16BE(at), value.readUInt8(at + 2));
    if (family !== undefined) families.push({ family, forwarding: (value.readUInt8(at + 3) & 0x80) !== 0 });
  }
  return { restarted: (head & 0x8000) !== 0, restartTimeSeconds: head & 0xfff, families };
}

/** `0xc0000201` → `192.0.2.1`. */
export function identifierText(identifier: number): string {
  return [24, 16, 8, 0].map((shift) => (identifier >>> shift) & 0xff).join('.');
}
