import type { BgpCommunity } from '../config/config.ts';
import type { BgpRoute } from './bgp.ts';
import { type Family, type WirePrefix, encodePrefix } from './wire/prefix.ts';
import {
  AttributesTooLongError,
  type PathAttributes,
  type UpdateFormat,
  encodeAnnouncements,
  encodeEndOfRib,
  encodeWithdrawals,
} from './wire/update.ts';

/** RFC 4271 knows no default for LOCAL_PREF; every implementation takes 100 where none is configured (0 here). */
const defaultLocalPref = 100;

interface Told {
  readonly wire: WirePrefix;
  /** What its attributes were, to see a change by. */
  readonly attributes: string;
}

/** A group of routes that share their UPDATEs. */
interface Group {
  readonly family: Family;
  readonly attributes: PathAttributes;
  readonly text: string;
  readonly prefixes: Array<[prefix: string, wire: WirePrefix]>;
}

/** What one peer has been told (the Adj-RIB-Out of RFC 4271), and the UPDATEs that change it. No sockets. */
export class AdjRibOut {
  readonly #format: UpdateFormat;
  readonly #families: ReadonlySet<Family>;
  readonly #told = new Map<string, Told>();
  #untold: Array<{ prefix: string; why: string }> = [];

  /** `families`: those that both sides speak. */
  constructor(format: UpdateFormat, families: readonly Family[]) {
    this.#format = format;
    this.#families = new Set(families);
  }

  /** How many routes the peer has. */
  get size(): number {
    return this.#told.size;
  }

  /** Routes of the last {@link change} that could not be told, and why. */
  get untold(): ReadonlyArray<{ readonly prefix: string; readonly why: string }> {
    return this.#untold;
  }

  /** The UPDATEs after which the peer has `routes` and nothing else: withdrawals, then announcements. */
  change(routes: readonly BgpRoute[]): Buffer[] {
    this.#untold = [];
    const wanted = new Set<string>();
    const groups = new Map<string, Group>();
    const textOf = attributesTexts();
    for (const route of routes) {
      if (wanted.has(route.prefix)) continue;
      const attributes = this.#attributesOf(route);
      const text = textOf(attributes);
      // Most changes are of one route among thousands.
      if (this.#told.get(route.prefix)?.attributes !== text) {
        const wire = this.#sayable(route.prefix);
        if (wire === undefined) continue;
        addTo(groups, { family: wire.family, attributes, text, prefixes: [[route.prefix, wire]] });
      }
      wanted.add(route.prefix);
    }
    const withdrawals = this.#withdraw((prefix) => !wanted.has(prefix));
    return [...withdrawals, ...[...groups.values()].flatMap((group) => this.#announce(group))];
  }

  /** Forgets what was told of a family, so that the next {@link change} tells it again (RFC 2918). */
  refresh(family: Family): void {
    for (const [prefix, { wire }] of this.#told) if (wire.family === family) this.#told.delete(prefix);
  }

  /** The markers after the first routes (RFC 4724). */
  endOfRib(): Buffer[] {
    return [...this.#families].map((family) => encodeEndOfRib(family));
  }

  /** The prefix as it goes over the wire; undefined, with the reason kept, when this peer cannot be told of it. */
  #sayable(prefix: string): WirePrefix | undefined {
    const cannot = (why: string): undefined => void this.#untold.push({ prefix, why });
    let wire: WirePrefix;
    try {
      wire = encodePrefix(prefix);
    } catch (error) {
      return cannot(error instanceof Error ? error.message : String(error));
    }
    if (!this.#families.has(wire.family))
      return cannot(`the peer does not speak ${wire.family} unicast in this session`);
    if (this.#format.nextHops[wire.family] === undefined)
      return cannot(`the interface of this session has no ${wire.family} address to be the next hop`);
    return wire;
  }

  #attributesOf({ localPref, communities }: BgpRoute): PathAttributes {
    return { localPref: this.#format.internal ? localPref || defaultLocalPref : 0, communities };
  }

  #announce({ family, attributes, text, prefixes }: Group): Buffer[] {
    const wires = prefixes.map(([, wire]) => wire);
    try {
      const updates = encodeAnnouncements(wires, family, attributes, this.#format);
      for (const [prefix, wire] of prefixes) this.#told.set(prefix, { wire, attributes: text });
      return updates;
    } catch (error) {
      if (!(error instanceof AttributesTooLongError)) throw error;
      for (const [prefix] of prefixes) this.#untold.push({ prefix, why: error.message });
      // Better none than one with attributes of the past.
      const gone = new Set(prefixes.map(([prefix]) => prefix));
      return this.#withdraw((prefix) => gone.has(prefix));
    }
  }

  #withdraw(which: (prefix: string) => boolean): Buffer[] {
    const gone: Record<Family, WirePrefix[]> = { ipv4: [], ipv6: [] };
    for (const [prefix, { wire }] of this.#told)
      if (which(prefix)) {
        gone[wire.family].push(wire);
        this.#told.delete(prefix);
      }
    return [
      ...encodeWithdrawals(gone.ipv4, 'ipv4', this.#format),
      ...encodeWithdrawals(gone.ipv6, 'ipv6', this.#format),
    ];
  }
}

function addTo(groups: Map<string, Group>, one: Group): void {
  const key = `${one.family} ${one.text}`;
  const group = groups.get(key);
  if (group) group.prefixes.push(...one.prefixes);
  else groups.set(key, one);
}

/** Attributes as text, to compare by; routes that share an array of communities share the work. */
function attributesTexts(): (attributes: PathAttributes) => string {
  const known = new Map<readonly BgpCommunity[], string>();
  return ({ localPref, communities }) => {
    let text = known.get(communities);
    if (text === undefined) known.set(communities, (text = communities.map(communityText).join(' ')));
    return `${localPref} ${text}`;
  };
}

/** As MetalLB writes them: `65535:666`, `large:1:2:3`. */
export function communityText(community: BgpCommunity): string {
  return community.type === 'standard'
    ? `${community.high}:${community.low}`
    : `large:${community.global}:${community.local1}:${community.local2}`;
}
