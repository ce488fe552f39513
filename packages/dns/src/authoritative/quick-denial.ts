import { headerBytes, isEscapedByte, writeName } from '../wire/name.ts';
import type { ResourceRecord } from '../wire/record.ts';
import { ednsUdpSize } from '../wire/edns.ts';
import { classIn, isMetaType, rcode, rrType } from '../wire/types.ts';
import { findName } from '../zone/find-name.ts';
import type { ReadyAnswer } from './answer-cache.ts';
import type { HeldZone, HeldZones } from './held-zones.ts';
import type { Inquiry } from './inquiry.ts';

/** The authority section of a zone's denials, its names pointing to the question's. */
interface Template {
  /** The zone's version. */
  readonly stamp: number;
  /** The origin's length on the wire. */
  readonly originBytes: number;
  /** The SOA record behind its owner. */
  readonly bytes: Buffer;
  /** Where in {@link bytes} pointers to the origin are. */
  readonly pointers: readonly number[];
}

const optBytes = 11;
/** Names may be shorter than what they are in presentation form. */
const longestName = 255;

/**
 * NXDOMAIN without signatures, for names that nobody asked about before: a flood of random names is answered with the SOA
 * record that the last denial of that zone had, without parsing the question or choosing records again.
 */
export class QuickDenials {
  readonly #zones: HeldZones;
  readonly #templates: (Template | undefined)[] = [];
  readonly #name = Buffer.alloc(longestName + 1);
  readonly #out = Buffer.alloc(2048);

  constructor(zones: HeldZones) {
    this.#zones = zones;
  }

  /** `soa` is what a denial of this zone has in its authority section, and nothing else. */
  learn(zone: HeldZone, soa: ResourceRecord): void {
    const stamp = this.#zones.stamps[zone.index] as number;
    if (soa.type !== rrType.SOA || this.#templates[zone.index]?.stamp === stamp) return;
    this.#templates[zone.index] = templateOf(soa, stamp);
  }

  /** Writes the denial into `answer`, valid until the next call; false: it is another answer, or not known how to deny here. */
  deny(inquiry: Inquiry, mostBytes: number, answer: ReadyAnswer): boolean {
    const { type } = inquiry;
    if (inquiry.dnssecOk || (isMetaType(type) && type !== rrType.ANY)) return false;
    const name = this.#textOf(inquiry);
    const held = name === undefined ? undefined : this.#zones.find(name);
    if (name === undefined || !held?.zone || held.isExpired) return false;
    const template = this.#templates[held.index];
    if (template?.stamp !== this.#zones.stamps[held.index]) return false;
    if (findName(held.zone, name, type).kind !== 'missing') return false;
    const length = this.#write(inquiry, template as Template);
    if (length > mostBytes) return false;
    answer.bytes = this.#out;
    answer.at = 0;
    answer.length = length;
    answer.kind = ~held.index;
    answer.rcode = rcode.nxDomain;
    return true;
  }

  /** The name in presentation form; undefined: it has bytes that are written with escapes. */
  #textOf({ name, nameLength }: Inquiry): string | undefined {
    const text = this.#name;
    let length = 0;
    for (let at = 0; at < nameLength - 1;) {
      const end = at + 1 + (name[at] as number);
      if (at > 0) text[length++] = 0x2e;
      for (at += 1; at < end; at++) {
        const byte = name[at] as number;
        if (isEscapedByte(byte)) return undefined;
        text[length++] = byte;
      }
    }
    return text.toString('latin1', 0, length);
  }

  #write({ name, nameLength, type, hasEdns }: Inquiry, template: Template): number {
    const out = this.#out;
    out.fill(0, 0, headerBytes);
    out[2] = 0x84;
    out[3] = rcode.nxDomain;
    out[5] = 1;
    out[9] = 1;
    out[11] = hasEdns ? 1 : 0;
    for (let i = 0; i < nameLength; i++) out[headerBytes + i] = name[i] as number;
    let at = headerBytes + nameLength;
    out[at++] = type >> 8;
    out[at++] = type;
    out[at++] = 0;
    out[at++] = classIn;
    const origin = headerBytes + nameLength - template.originBytes;
    pointer(out, at, origin);
    at += 2;
    const { bytes } = template;
    for (let i = 0; i < bytes.length; i++) out[at + i] = bytes[i] as number;
    for (const position of template.pointers) pointer(out, at + position, origin);
    at += bytes.length;
    if (!hasEdns) return at;
    out.fill(0, at, at + optBytes);
    out[at + 2] = rrType.OPT;
    out[at + 3] = ednsUdpSize >> 8;
    out[at + 4] = ednsUdpSize & 0xff;
    return at + optBytes;
  }
}

function pointer(out: Buffer, at: number, target: number): void {
  out[at] = 0xc0 | (target >> 8);
  out[at + 1] = target & 0xff;
}

function templateOf({ name, ttlSeconds, data }: ResourceRecord, stamp: number): Template {
  const origin = writeName(name);
  const parts: Buffer[] = [];
  const pointers: number[] = [];
  let length = 10;
  let position = 0;
  // The primary server's name and the mailbox.
  for (let i = 0; i < 2; i++) {
    let end = position;
    let rest = -1;
    for (; data[end] !== 0; end += (data[end] as number) + 1)
      if (origin.equals(data.subarray(end, end + origin.length))) rest = end;
    end += 1;
    const part =
      rest < 0 || origin.length === 1
        ? data.subarray(position, end)
        : Buffer.concat([data.subarray(position, rest), Buffer.alloc(2)]);
    if (rest >= 0 && origin.length > 1) pointers.push(length + part.length - 2);
    parts.push(part);
    length += part.length;
    position = end;
  }
  parts.push(data.subarray(position));
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(rrType.SOA, 0);
  fixed.writeUInt16BE(classIn, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(
    parts.reduce((sum, part) => sum + part.length, 0),
    8,
  );
  return { stamp, originBytes: origin.length, bytes: Buffer.concat([fixed, ...parts]), pointers };
}
