import { isSubdomain, lowerName, parentOf } from '../wire/name.ts';
import { readTarget } from '../wire/rdata/typed.ts';
import { rrType, typeName } from '../wire/types.ts';
import { zoneWith } from '../zone/build.ts';
import { inCanonicalOrder } from '../zone/rrset.ts';
import type { RRset, Zone, ZoneProblem } from '../zone/zone.ts';
import type { ComposedZone, LostRecords, ObjectReference, WantedRecords } from './records.ts';

/** A zone as its text has it. */
export interface WrittenZone {
  readonly origin: string;
  /** Undefined: the text is bad and there was no good one before. */
  readonly zone: Zone | undefined;
  /** Of the newest text, also where an older one is in force. */
  readonly problems: readonly ZoneProblem[];
  /** What is odd in the text alone; records of objects may mend it. */
  readonly oddities?: readonly ZoneProblem[] | undefined;
}

/** `Service default/web`, or `Node one`. */
export function objectText({ kind, namespace, name }: ObjectReference): string {
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`;
}

const setText = ({ name, type }: RRset): string => `${name || '.'} ${typeName(type)}`;

/**
 * The order in which objects get what they ask for: the older first, then by namespace, name and kind. Of one object
 * addresses come before names, so that a balancer that has both gets its addresses (upstream prefers them, too).
 */
export function compareWanted(a: WantedRecords, b: WantedRecords): number {
  return (
    a.createdMs - b.createdMs ||
    compareText(a.from.namespace ?? '', b.from.namespace ?? '') ||
    compareText(a.from.name, b.from.name) ||
    compareText(a.from.kind, b.from.kind) ||
    compareText(a.from.uid, b.from.uid) ||
    Number(a.rrset.type === rrType.CNAME) - Number(b.rrset.type === rrType.CNAME) ||
    compareText(a.rrset.name, b.rrset.name) ||
    a.rrset.type - b.rrset.type ||
    compareText(a.setIdentifier ?? '', b.setIdentifier ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * One zone of its text and of what objects ask for there. What is written by hand comes first, then the older object; pure, and
 * the same for the same input in any order. `wanted` are all at or below the zone's origin and in no zone below it.
 */
export function composeZone(written: WrittenZone, wanted: Iterable<WantedRecords>): ComposedZone {
  const { origin, zone: base, problems } = written;
  if (!base) return { origin, zone: undefined, problems, won: [], lost: [] };
  const composition = new Composition(base);
  for (const one of [...wanted].sort(compareWanted)) composition.add(one);
  const { won, lost } = composition;
  const zone = won.length === 0 ? base : zoneWith(base, composition.sets());
  return { origin, zone, problems, won, lost };
}

/** A record set that is won, by one object or by several. */
interface Held {
  rrset: RRset;
  readonly by: WantedRecords[];
}

class Composition {
  readonly won: WantedRecords[] = [];
  readonly lost: LostRecords[] = [];
  readonly #base: Zone;
  /** By name, then type. */
  readonly #held = new Map<string, Map<number, Held>>();
  /** Names with an NS or DNAME set that an object has. */
  readonly #heldCuts = new Set<string>();

  constructor(base: Zone) {
    this.#base = base;
  }

  /** What was won, one set of a name and type, none of which the text has. */
  *sets(): Iterable<RRset> {
    for (const sets of this.#held.values()) for (const { rrset } of sets.values()) yield rrset;
  }

  add(wanted: WantedRecords): void {
    const refused = this.#refusal(wanted);
    if (refused) {
      this.lost.push({ wanted, ...refused });
      return;
    }
    const { rrset } = wanted;
    let sets = this.#held.get(rrset.name);
    if (!sets) this.#held.set(rrset.name, (sets = new Map()));
    const held = sets.get(rrset.type);
    if (held) {
      held.rrset = union(held.rrset, rrset);
      held.by.push(wanted);
    } else sets.set(rrset.type, { rrset, by: [wanted] });
    if (isCut(rrset, this.#base.origin)) this.#heldCuts.add(rrset.name);
    this.won.push(wanted);
  }

  #refusal(wanted: WantedRecords): Omit<LostRecords, 'wanted'> | undefined {
    const { rrset } = wanted;
    const written = this.#base.node(rrset.name);
    if (written?.rrset(rrset.type))
      return byHand(
        'WrittenByHand',
        `${setText(rrset)} is written in the text of zone ${this.#zone}, which counts`,
      );
    return (
      this.#cnameRefusal(wanted) ??
      this.#cutRefusal(wanted) ??
      this.#hidingRefusal(wanted) ??
      this.#rivalRefusal(wanted)
    );
  }

  get #zone(): string {
    return `${this.#base.origin}.`;
  }

  /** RFC 1034 section 3.6.2: beside a CNAME there is nothing. */
  #cnameRefusal({ rrset, from }: WantedRecords): Omit<LostRecords, 'wanted'> | undefined {
    const { name, type } = rrset;
    const isCname = type === rrType.CNAME;
    if (isCname && name === this.#base.origin)
      return byHand(
        'CnameAndOther',
        `${name || '.'} is the top of its zone, where no CNAME can be (RFC 1034): give addresses as target instead of a name`,
      );
    const written = this.#base.node(name)?.types() ?? [];
    const rival = isCname ? written[0] : written.find((one) => one === rrType.CNAME);
    if (rival !== undefined)
      return byHand(
        'CnameAndOther',
        `${setText(rrset)} cannot be beside the ${typeName(rival)} that is written in the text of zone ${this.#zone}`,
      );
    for (const [other, held] of this.#held.get(name) ?? []) {
      if (other === type || !(isCname || other === rrType.CNAME)) continue;
      const winner = (held.by[0] as WantedRecords).from;
      const whose = winner.uid === from.uid ? 'the same object' : objectText(winner);
      return {
        reason: 'CnameAndOther',
        message: `${setText(rrset)} cannot be beside the ${typeName(other)} of ${whose}, which comes first`,
        winner,
      };
    }
    return undefined;
  }

  /** Names below a delegation or a DNAME belong to somebody else; glue excepted. */
  #cutRefusal({ rrset }: WantedRecords): Omit<LostRecords, 'wanted'> | undefined {
    const { name, type } = rrset;
    const { origin } = this.#base;
    for (let at: string | undefined = name; at !== undefined && at !== origin; at = parentOf(at)) {
      const delegation = this.#set(at, rrType.NS);
      const atCut = at === name && (type === rrType.NS || type === rrType.DS);
      if (delegation && !atCut && !isGlue(rrset, delegation.rrset)) return cutBy(rrset, at, delegation);
      const alias = at === name ? undefined : this.#set(at, rrType.DNAME);
      if (alias) return cutBy(rrset, at, alias);
    }
    const top = name === origin ? undefined : this.#set(origin, rrType.DNAME);
    return top && cutBy(rrset, origin, top);
  }

  /** A delegation or DNAME must not take away what is there: what is written, and what an object before has. */
  #hidingRefusal({ rrset }: WantedRecords): Omit<LostRecords, 'wanted'> | undefined {
    if (!isCut(rrset, this.#base.origin)) return undefined;
    const { name: cut, type } = rrset;
    const hides = (other: RRset): boolean => {
      if (!isSubdomain(other.name, cut)) return false;
      if (other.name === cut)
        return type === rrType.NS && other.type !== rrType.DS && other.type !== rrType.NS;
      return type === rrType.DNAME || !isGlue(other, rrset);
    };
    for (const other of this.#base.rrsets())
      if (hides(other))
        return byHand(
          'WrittenByHand',
          `${setText(rrset)} would hide ${setText(other)}, which is written in the text of zone ${this.#zone}`,
        );
    for (const sets of this.#held.values())
      for (const held of sets.values())
        if (hides(held.rrset)) {
          const winner = (held.by[0] as WantedRecords).from;
          return {
            reason: 'OlderObject',
            message: `${setText(rrset)} would hide ${setText(held.rrset)} of ${objectText(winner)}, which comes first`,
            winner,
          };
        }
    return undefined;
  }

  /** Another object has this name and type: both are served if both have a set identifier, or ask for the same. */
  #rivalRefusal(wanted: WantedRecords): Omit<LostRecords, 'wanted'> | undefined {
    const { rrset, setIdentifier } = wanted;
    const held = this.#held.get(rrset.name)?.get(rrset.type);
    if (!held || includes(held.rrset, rrset)) return undefined;
    const isSingular = rrset.type === rrType.CNAME || rrset.type === rrType.DNAME;
    const merges = setIdentifier !== undefined && held.by.every((one) => one.setIdentifier !== undefined);
    if (merges && !isSingular) return undefined;
    const winner = (held.by[0] as WantedRecords).from;
    return {
      reason: 'OlderObject',
      message: `${setText(rrset)} is already that of ${objectText(winner)}, which ${
        (held.by[0] as WantedRecords).createdMs < wanted.createdMs ? 'is older' : 'comes first by its name'
      }`,
      winner,
    };
  }

  #set(name: string, type: number): Held | undefined {
    if (cutsOf(this.#base).has(name)) {
      const written = this.#base.node(name)?.rrset(type);
      if (written) return { rrset: written, by: [] };
    }
    return this.#heldCuts.has(name) ? this.#held.get(name)?.get(type) : undefined;
  }
}

/** Names with a delegation or DNAME in a text. */
const cutsOfZone = new WeakMap<Zone, ReadonlySet<string>>();

/** Found once for each text: thousands of changes compose the same one. */
function cutsOf(zone: Zone): ReadonlySet<string> {
  let cuts = cutsOfZone.get(zone);
  if (!cuts) {
    const names = new Set<string>();
    for (const rrset of zone.rrsets()) if (isCut(rrset, zone.origin)) names.add(rrset.name);
    cutsOfZone.set(zone, (cuts = names));
  }
  return cuts;
}

function isCut({ name, type }: RRset, origin: string): boolean {
  return type === rrType.DNAME || (type === rrType.NS && name !== origin);
}

function byHand(reason: LostRecords['reason'], message: string): Omit<LostRecords, 'wanted'> {
  return { reason, message, winner: undefined };
}

function cutBy(rrset: RRset, at: string, { rrset: cut, by }: Held): Omit<LostRecords, 'wanted'> {
  const winner = by[0]?.from;
  const what = cut.type === rrType.NS ? 'delegated to other servers' : 'another name by DNAME';
  return {
    reason: 'BelowDelegation',
    message: `${setText(rrset)} cannot be served: ${at} is ${what} by ${winner ? objectText(winner) : "the zone's text"}`,
    winner,
  };
}

/** Addresses of a delegation's own servers. */
function isGlue({ name, type }: RRset, delegation: RRset): boolean {
  if (type !== rrType.A && type !== rrType.AAAA) return false;
  return delegation.data.some((data) => lowerName(readTarget(data)) === name);
}

function includes(whole: RRset, part: RRset): boolean {
  return part.data.every((one) => whole.data.some((other) => other.equals(one)));
}

/** All data of both, with the lower TTL (RFC 2181 section 5.2). */
function union(a: RRset, b: RRset): RRset {
  if (includes(a, b)) return a;
  const data = inCanonicalOrder([...a.data, ...b.data], (one) => one);
  return { ...a, ttlSeconds: Math.min(a.ttlSeconds, b.ttlSeconds), data };
}
