import { type Answer, writeAnswer } from '../wire/answer.ts';
import { extendedErrorOption } from '../wire/edns.ts';
import { lowerName } from '../wire/name.ts';
import type { Query } from '../wire/query.ts';
import { txtData } from '../wire/rdata.ts';
import type { ResourceRecord } from '../wire/record.ts';
import { rcode, rrClass, rrType } from '../wire/types.ts';
import { answerQuestion, type AuthoritativeAnswer } from './answer.ts';
import type { HeldZone, HeldZones } from './held-zones.ts';

/** An answer in its bytes. */
export interface Built {
  readonly bytes: Buffer;
  /** Answers of the same kind count as one for rate limits. */
  readonly kind: number;
  readonly rcode: number;
  /** Undefined: this answer is not to be given to others. */
  readonly keep: { readonly zone: HeldZone; readonly isLasting: boolean } | undefined;
  /** A name of this zone is denied with this record alone. */
  readonly denial?: { readonly zone: HeldZone; readonly soa: ResourceRecord } | undefined;
}

/** Types that clients ask for all the time: that a name lacks them is worth keeping. */
const usualTypes = new Set<number>([
  rrType.A,
  rrType.AAAA,
  rrType.MX,
  rrType.TXT,
  rrType.NS,
  rrType.SOA,
  rrType.PTR,
  rrType.SRV,
  rrType.CAA,
  rrType.HTTPS,
  rrType.SVCB,
  rrType.DS,
  rrType.DNSKEY,
  rrType.CNAME,
  rrType.TLSA,
]);

const nothing: Answer = {
  rcode: rcode.noError,
  authoritative: false,
  recursionAvailable: false,
  answers: [],
  authorities: [],
  additionals: [],
};

/** Makes answers that are not ready. */
export class Builder {
  readonly #zones: HeldZones;

  constructor(zones: HeldZones) {
    this.#zones = zones;
  }

  /** Throws SigningBusyError. */
  answer(query: Query, mostBytes: number): Built {
    const { type } = query.question;
    const name = lowerName(query.question.name);
    const { dnssecOk = false, compactOk = false } = query.edns ?? {};
    const answer = answerQuestion(this.#zones, { name, type, dnssecOk, compactOk });
    const bytes = write(query, answer, mostBytes);
    const zone = this.#zones.find(name);
    if (!zone?.zone || (answer.rcode !== rcode.noError && answer.rcode !== rcode.nxDomain))
      return { bytes, kind: answer.rcode, rcode: answer.rcode, keep: undefined };
    const exists = zone.zone.node(name) !== undefined;
    // What a client makes up gives it no new credit: names below a wildcard, a delegation or nothing count for the zone.
    const kind = exists ? hashOf(name) ^ type : ~zone.index;
    const isOfThisZone = this.#isWithin(zone, name, type, answer);
    const isLasting = exists && (answer.answers.length > 0 || usualTypes.has(type));
    const [soa] = answer.authorities;
    const isDenial = answer.rcode === rcode.nxDomain && answer.authorities.length === 1 && !dnssecOk;
    return {
      bytes,
      kind,
      rcode: answer.rcode,
      keep: isOfThisZone ? { zone, isLasting } : undefined,
      // At the end of a chain the SOA may be another zone's.
      denial: soa && isDenial && isOfThisZone && answer.answers.length === 0 ? { zone, soa } : undefined,
    };
  }

  /** Whether all that the answer says is of one zone, so that it holds until that zone changes. */
  #isWithin(zone: HeldZone, name: string, type: number, answer: AuthoritativeAnswer): boolean {
    if (type === rrType.DS && name === zone.zone?.origin) return false;
    let last = name;
    for (const section of [answer.answers, answer.authorities, answer.additionals])
      for (const record of section) {
        if (record.name === last || record.name === zone.zone?.origin) continue;
        last = record.name;
        if (this.#zones.find(record.name) !== zone) return false;
      }
    return true;
  }

  /** An answer without records, but perhaps with the reason (RFC 8914). */
  refuse(query: Query, code: number, reason?: number): Built {
    const options = reason === undefined ? [] : [extendedErrorOption(reason)];
    const bytes = writeAnswer(query, { ...nothing, rcode: code, options }, 65_535);
    clearCheckingDisabled(bytes);
    return { bytes, kind: code, rcode: code, keep: undefined };
  }

  /** No records and TC: come again by TCP. */
  truncated(query: Query): Built {
    const { bytes } = this.refuse(query, rcode.noError);
    bytes[2] = (bytes[2] as number) | 2;
    return { bytes, kind: rcode.servFail, rcode: rcode.noError, keep: undefined };
  }

  /** `version.bind` and `id.server` in class CHAOS (RFC 4892). */
  identity(query: Query, { version, id }: { version: string | undefined; id: string | undefined }): Built {
    const { name, type } = query.question;
    const asked = lowerName(name);
    const text =
      asked === 'version.bind' || asked === 'version.server'
        ? version
        : asked === 'id.server' || asked === 'hostname.bind'
          ? id
          : undefined;
    if (text === undefined || (type !== rrType.TXT && type !== rrType.ANY))
      return this.refuse(query, rcode.refused);
    const record: ResourceRecord = {
      name: asked,
      type: rrType.TXT,
      class: rrClass.CH,
      ttlSeconds: 0,
      data: txtData(text),
    };
    const bytes = writeAnswer(query, { ...nothing, authoritative: true, answers: [record] }, 512);
    return { bytes, kind: rrClass.CH, rcode: rcode.noError, keep: undefined };
  }
}

function write(query: Query, answer: AuthoritativeAnswer, mostBytes: number): Buffer {
  const bytes = writeAnswer(query, { ...answer, recursionAvailable: false }, mostBytes);
  clearCheckingDisabled(bytes);
  return bytes;
}

/** RFC 4035 section 3.1.6: the bit means nothing to an authoritative server. */
function clearCheckingDisabled(bytes: Buffer): void {
  bytes[3] = (bytes[3] as number) & ~0x10;
}

function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash;
}
