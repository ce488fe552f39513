/**
 * The answer algorithm of an authoritative server (RFC 1034 section 4.3.2) over zones that are held here: exact names
 * and empty non-terminals, wildcards (RFC 4592), delegations with glue, CNAME and DNAME chains within our zones
 * (RFC 6672, RFC 6604), negative answers (RFC 2308), ANY (RFC 8482) and DS on the parent's side (RFC 4035
 * section 3.1.4.1). Nothing is recursive, and nothing waits.
 */
import type { ResourceRecord } from '../wire/message.ts';
import { lowerName, nameAt, parentOf, WireError, writeName } from '../wire/name.ts';
import { isMetaType, rcode, rrType } from '../wire/types.ts';
import { recordsOf, StoredRRset } from '../zone/rrset.ts';
import type { RRset, ZoneNode, ZoneReader } from '../zone/zone.ts';
import { addAdditionals, addGlue } from './additional.ts';
import { findName, type Match } from '../zone/find-name.ts';
import type { Denial, DenialKind } from './signer.ts';
import type { TableZone, ZoneTable } from './zone-table.ts';

export interface AuthoritativeQuery {
  /** In any case; answers about it have it in lower case. */
  readonly name: string;
  /** Class IN. Transfers are asked elsewhere. */
  readonly type: number;
  /** Signatures are wanted (RFC 3225). */
  readonly dnssecOk: boolean;
  /** EDNS's CO flag. */
  readonly compactOk?: boolean;
}

/** Records are shared with the zone: not to be changed. */
export interface AuthoritativeAnswer {
  rcode: number;
  /** The AA bit: of the first name in the answer section, or of the question's (RFC 1035 section 4.1.1). */
  authoritative: boolean;
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  additionals: ResourceRecord[];
  /**
   * How many of the additional records, from the first on, a referral cannot do without: glue for servers within the
   * delegated domain. An answer without them has TC set (RFC 9471).
   */
  requiredAdditionals: number;
  /** Answer with EDNS's CO flag. */
  compactOk: boolean;
}

/** CNAME and DNAME steps in one answer, as BIND has them; a longer chain is SERVFAIL like one without an end. */
const maxChainSteps = 12;

/** Answers one question from the zones held here; names outside of them are REFUSED. */
export function answerQuestion(zones: ZoneTable, query: AuthoritativeQuery): AuthoritativeAnswer {
  const { type } = query;
  if (isMetaType(type) && type !== rrType.ANY)
    return empty(type === rrType.MAILA || type === rrType.MAILB ? rcode.notImp : rcode.formErr);
  const name = lowerName(query.name);
  const held = zoneFor(zones, name, type);
  if (!held) return empty(rcode.refused);
  if (!held.zone || held.isExpired) return empty(rcode.servFail);
  const answer = empty(rcode.noError);
  answer.authoritative = true;
  answer.compactOk = query.dnssecOk && query.compactOk === true && held.signer?.isCompact === true;
  new Answering(zones, type, query.dnssecOk, answer).resolve(name, held, held.zone);
  return answer;
}

function empty(code: number): AuthoritativeAnswer {
  return {
    rcode: code,
    authoritative: false,
    answers: [],
    authorities: [],
    additionals: [],
    requiredAdditionals: 0,
    compactOk: false,
  };
}

/** The zone that a question is for: DS of a zone's apex is in the zone above, if that one is ours too. */
function zoneFor(zones: ZoneTable, name: string, type: number): TableZone | undefined {
  const held = zones.find(name);
  if (type !== rrType.DS || held?.zone?.origin !== name) return held;
  const above = parentOf(name);
  return (above === undefined ? undefined : zones.find(above)) ?? held;
}

/** One question on its way through names and zones. */
class Answering {
  readonly #zones: ZoneTable;
  readonly #type: number;
  readonly #dnssecOk: boolean;
  readonly #answer: AuthoritativeAnswer;
  /** Names that the chain went through; undefined while there is no chain. */
  #visited: Set<string> | undefined;

  constructor(zones: ZoneTable, type: number, dnssecOk: boolean, answer: AuthoritativeAnswer) {
    this.#zones = zones;
    this.#type = type;
    this.#dnssecOk = dnssecOk;
    this.#answer = answer;
  }

  /** Follows the question's name from zone to zone until there is an answer, or none. */
  resolve(first: string, held: TableZone, zone: ZoneReader): void {
    let name: string = first;
    for (let step = 0; step < maxChainSteps; step++) {
      const target = this.#step(name, held, zone);
      if (target === undefined) return;
      this.#visited ??= new Set([first]);
      if (this.#visited.has(target)) {
        // A loop has no answer (RFC 1034 section 3.6.2); what is wrong stands in the answer section.
        this.#answer.rcode = rcode.servFail;
        return;
      }
      this.#visited.add(target);
      const next = zoneFor(this.#zones, target, this.#type);
      if (!next) return;
      if (!next.zone || next.isExpired) {
        this.#answer.rcode = rcode.servFail;
        return;
      }
      [name, held, zone] = [target, next, next.zone];
    }
    this.#answer.rcode = rcode.servFail;
  }

  /** What one zone says to one name; the name where it goes on, if there is one. */
  #step(name: string, held: TableZone, zone: ZoneReader): string | undefined {
    const match = findName(zone, name, this.#type);
    switch (match.kind) {
      case 'exact':
      case 'wildcard':
        return this.#fromNode(name, held, zone, match);
      case 'dname':
        return this.#redirect(name, held, match.node as ZoneNode);
      case 'delegation':
        this.#refer(held, zone, match.node as ZoneNode);
        return undefined;
      default:
        this.#deny('nxdomain', name, held, zone, match);
        return undefined;
    }
  }

  /** Data of the name's own node, or of the wildcard for it. */
  #fromNode(name: string, held: TableZone, zone: ZoneReader, match: Match): string | undefined {
    const node = match.node as ZoneNode;
    const found = this.#wanted(node, held, zone);
    const rrset = found ?? node.rrset(rrType.CNAME);
    if (!rrset) {
      this.#deny(match.kind === 'wildcard' ? 'wildcard-nodata' : 'nodata', name, held, zone, match);
      return undefined;
    }
    const given = match.kind === 'wildcard' ? withOwner(rrset, name) : rrset;
    if (this.#type === rrType.RRSIG && held.signer)
      this.#answer.answers.push(...held.signer.sign(given, wildcardName(match)));
    else this.#give(given, held, match);
    if (!found) return lowerName(nameAt(rrset.data[0] as Buffer, 0));
    if (this.#type !== rrType.ANY)
      addAdditionals(this.#answer.additionals, zone, given, this.#dnssecOk ? held.signer : undefined);
    return undefined;
  }

  /** The set that is asked for. */
  #wanted(node: ZoneNode, held: TableZone, zone: ZoneReader): RRset | undefined {
    if (this.#type === rrType.ANY) return anyOf(node);
    if (this.#type === rrType.RRSIG && held.signer) return anyOf(node);
    // The keys' own sets hold what the zone's text has of them too.
    const made = node.name === zone.origin ? held.signer?.apexRRset(this.#type) : undefined;
    return made ?? node.rrset(this.#type);
  }

  #give(rrset: RRset, held: TableZone, match: Match): void {
    const { answers, authorities } = this.#answer;
    for (const record of recordsOf(rrset)) answers.push(record);
    if (!this.#dnssecOk || !held.signer || !held.zone) return;
    answers.push(...held.signer.sign(rrset, wildcardName(match)));
    if (match.kind !== 'wildcard') return;
    const denial = held.signer.deny({
      kind: 'wildcard',
      zone: held.zone,
      name: rrset.name,
      type: rrset.type,
      node: match.node,
      closestEncloser: match.closestEncloser,
      ttlSeconds: negativeSoa(held.zone).ttlSeconds,
    });
    authorities.push(...denial.records);
  }

  /** The DNAME above the name, and the CNAME that it means for it (RFC 6672 section 3.1). */
  #redirect(name: string, held: TableZone, node: ZoneNode): string | undefined {
    const dname = node.rrset(rrType.DNAME) as RRset;
    this.#give(dname, held, { kind: 'exact', node, closestEncloser: node.name });
    const suffix = nameAt(dname.data[0] as Buffer, 0);
    const prefix = name.slice(0, node.name === '' ? undefined : -node.name.length - 1);
    const target = suffix === '' ? prefix : `${prefix}.${suffix}`;
    let data: Buffer;
    try {
      data = writeName(target);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#answer.rcode = rcode.yxDomain;
      return undefined;
    }
    this.#answer.answers.push({ name, type: rrType.CNAME, ttlSeconds: dname.ttlSeconds, data });
    return this.#type === rrType.CNAME || this.#type === rrType.ANY ? undefined : lowerName(target);
  }

  #refer(held: TableZone, zone: ZoneReader, cut: ZoneNode): void {
    const answer = this.#answer;
    if (answer.answers.length === 0) answer.authoritative = false;
    const servers = cut.rrset(rrType.NS) as RRset;
    answer.authorities.push(...recordsOf(servers));
    if (this.#dnssecOk && held.signer) {
      const ds = cut.rrset(rrType.DS);
      if (ds) answer.authorities.push(...recordsOf(ds), ...held.signer.sign(ds));
      else {
        const denial = held.signer.deny({
          kind: 'nodata',
          zone,
          name: cut.name,
          type: rrType.DS,
          node: cut,
          closestEncloser: cut.name,
          ttlSeconds: negativeSoa(zone).ttlSeconds,
        });
        answer.authorities.push(...denial.records);
      }
    }
    answer.requiredAdditionals = addGlue(answer.additionals, zone, servers);
  }

  /** The SOA with the time that the denial may be kept (RFC 2308 section 3), and its proof. */
  #deny(kind: DenialKind, name: string, held: TableZone, zone: ZoneReader, match: Match): void {
    const answer = this.#answer;
    if (kind === 'nxdomain') answer.rcode = rcode.nxDomain;
    const soa = negativeSoa(zone);
    const denial = this.#dnssecOk ? this.#prove(kind, name, held, zone, match) : undefined;
    if (denial?.isAnswer) answer.answers.push(...denial.records);
    else answer.authorities.push(...recordsOf(soa));
    if (!denial || !held.signer) return;
    if (!denial.isAnswer) answer.authorities.push(...held.signer.sign(soa), ...denial.records);
    if (denial.rcode !== undefined && !answer.compactOk) answer.rcode = denial.rcode;
  }

  #prove(
    kind: DenialKind,
    name: string,
    held: TableZone,
    zone: ZoneReader,
    match: Match,
  ): Denial | undefined {
    const { node, closestEncloser } = match;
    const { ttlSeconds } = negativeSoa(zone);
    return held.signer?.deny({ kind, zone, name, type: this.#type, node, closestEncloser, ttlSeconds });
  }
}

function wildcardName(match: Match): string | undefined {
  return match.kind === 'wildcard' ? match.node?.name : undefined;
}

/** The set under the name that it is expanded for. */
function withOwner({ type, ttlSeconds, data }: RRset, name: string): RRset {
  return new StoredRRset(name, type, ttlSeconds, data);
}

/** What ANY gets: one record set, the one that most questions are after (RFC 8482 section 4.1). */
function anyOf(node: ZoneNode): RRset | undefined {
  for (const type of anyOrder) {
    const found = node.rrset(type);
    if (found) return found;
  }
  const first = node.types()[0];
  return first === undefined ? undefined : node.rrset(first);
}

const anyOrder = [rrType.CNAME, rrType.A, rrType.AAAA, rrType.MX, rrType.TXT, rrType.SOA] as const;

const negativeSoas = new WeakMap<ZoneReader, RRset>();

/** The SOA as negative answers have it: with the lower of its TTL and minimum (RFC 2308 section 3). */
function negativeSoa(zone: ZoneReader): RRset {
  let soa = negativeSoas.get(zone);
  if (!soa) {
    const { name, type, ttlSeconds, data } = zone.soa;
    const [rdata] = data as [Buffer];
    soa = new StoredRRset(name, type, Math.min(ttlSeconds, rdata.readUInt32BE(rdata.length - 4)), data);
    negativeSoas.set(zone, soa);
  }
  return soa;
}
