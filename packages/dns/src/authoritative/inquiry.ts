import { headerBytes } from '../wire/name.ts';
import { ednsOption, rrClass, rrType } from '../wire/types.ts';

/** What a message turned out to be at first sight. */
export type Sight =
  /** An ordinary question, and every field of the inquiry is set. */
  | 'plain'
  /** No question, but a cookie: the client wants to know ours (RFC 7873 section 5.4). */
  | 'cookie'
  /** Perhaps DNS, but nothing common: to be parsed with care. */
  | 'other'
  /** To be left without an answer: a response, or no header. */
  | 'silence';

/** Longest name on the wire. */
const nameBytes = 255;

/**
 * One message looked at where it lies, without making an object of it: what finding a ready answer needs. One inquiry is
 * used for message after message.
 */
export class Inquiry {
  /** The question's name in lower case, wire form, with its final 0. */
  readonly name = new Uint8Array(nameBytes + 1);
  nameLength = 0;
  /** Of name, type and {@link flavour}. */
  hash = 0;
  type = 0;
  hasEdns = false;
  dnssecOk = false;
  /** CO (RFC 9824 section 5.1). */
  compactOk = false;
  udpSize = 512;
  /** Where the COOKIE option's data is; 0: there is none. */
  cookieAt = 0;
  cookieLength = 0;
  wantsNsid = false;
  wantsKeepalive = false;
  wantsPadding = false;

  /** What of an answer depends on more than the question: OPT, signatures, and how long it may be. */
  flavour(isUdp: boolean): number {
    // CO changes signed answers alone.
    const signed = this.dnssecOk ? (this.compactOk ? 10 : 2) : 0;
    return (this.hasEdns ? 1 : 0) | signed | (isUdp ? 4 : 0);
  }

  clear(): void {
    this.nameLength = 0;
    this.type = 0;
    this.hasEdns = false;
    this.dnssecOk = false;
    this.compactOk = false;
    this.udpSize = 512;
    this.cookieAt = 0;
    this.wantsNsid = false;
    this.wantsKeepalive = false;
    this.wantsPadding = false;
  }

  /** Looks at the message in `bytes` from `start` to `end`. */
  look(bytes: Uint8Array, start: number, end: number, isUdp: boolean): Sight {
    this.clear();
    if (end - start < headerBytes) return 'silence';
    const flags = bytes[start + 2] as number;
    if ((flags & 0x80) !== 0) return 'silence';
    // Opcode and TC; one question; no answers, no authorities; at most OPT.
    if ((flags & 0x7a) !== 0 || u16(bytes, start + 6) !== 0 || u16(bytes, start + 8) !== 0) return 'other';
    const questions = u16(bytes, start + 4);
    const additionals = u16(bytes, start + 10);
    if (questions === 0 && additionals === 1)
      return this.#readOpt(bytes, start + headerBytes, end) && this.cookieAt !== 0 ? 'cookie' : 'other';
    if (questions !== 1 || additionals > 1) return 'other';
    const nameEnd = this.#readName(bytes, start + headerBytes, end);
    if (nameEnd === 0 || nameEnd + 4 > end) return 'other';
    this.type = u16(bytes, nameEnd);
    if (u16(bytes, nameEnd + 2) !== rrClass.IN || (this.type >= rrType.TKEY && this.type < rrType.ANY))
      return 'other';
    if (additionals === 1) {
      if (!this.#readOpt(bytes, nameEnd + 4, end)) return 'other';
    } else if (nameEnd + 4 !== end) return 'other';
    let hash = Math.imul(this.hash ^ (this.type & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (this.type >> 8), 0x01000193);
    hash = Math.imul(hash ^ this.flavour(isUdp), 0x01000193);
    hash ^= hash >>> 15;
    this.hash = Math.imul(hash, 0x85ebca6b) ^ (hash >>> 13);
    return 'plain';
  }

  /** Copies the name in lower case; where it ends, 0: it is none, or has pointers. */
  #readName(bytes: Uint8Array, start: number, end: number): number {
    const { name } = this;
    let hash = 0x811c9dc5;
    let length = 0;
    for (let at = start; ;) {
      if (at >= end) return 0;
      const size = bytes[at++] as number;
      hash = Math.imul(hash ^ size, 0x01000193);
      name[length++] = size;
      if (size === 0) {
        this.nameLength = length;
        this.hash = hash;
        return at;
      }
      if (size > 63 || length + size >= nameBytes || at + size > end) return 0;
      for (const labelEnd = at + size; at < labelEnd; at++) {
        let octet = bytes[at] as number;
        if (octet >= 0x41 && octet <= 0x5a) octet |= 0x20;
        hash = Math.imul(hash ^ octet, 0x01000193);
        name[length++] = octet;
      }
    }
  }

  /** OPT of version 0 as the last thing in the message. */
  #readOpt(bytes: Uint8Array, start: number, end: number): boolean {
    if (start + 11 > end || bytes[start] !== 0 || u16(bytes, start + 1) !== rrType.OPT) return false;
    if (bytes[start + 5] !== 0 || bytes[start + 6] !== 0) return false;
    if (start + 11 + u16(bytes, start + 9) !== end) return false;
    this.hasEdns = true;
    this.udpSize = Math.max(512, u16(bytes, start + 3));
    this.dnssecOk = ((bytes[start + 7] as number) & 0x80) !== 0;
    this.compactOk = ((bytes[start + 7] as number) & 0x40) !== 0;
    for (let at = start + 11; at < end;) {
      if (at + 4 > end) return false;
      const next = at + 4 + u16(bytes, at + 2);
      if (next > end) return false;
      if (!this.#readOption(u16(bytes, at), at + 4, next - at - 4)) return false;
      at = next;
    }
    return true;
  }

  #readOption(code: number, at: number, length: number): boolean {
    if (code === ednsOption.cookie) {
      // Another length than those that RFC 7873 allows is a format error.
      if (this.cookieAt !== 0 || (length !== 8 && (length < 16 || length > 40))) return false;
      this.cookieAt = at;
      this.cookieLength = length;
    } else if (code === ednsOption.nsid) this.wantsNsid = true;
    else if (code === ednsOption.keepalive) this.wantsKeepalive = true;
    else if (code === ednsOption.padding) this.wantsPadding = true;
    return true;
  }
}

const u16 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
