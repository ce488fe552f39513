import { lowerName, parentOf } from '../wire/name.ts';
import { soaSerial } from '../zone/build.ts';
import { checkZone } from '../zone/check/check-zone.ts';
import { recordsOf } from '../zone/rrset.ts';
import { readZone } from '../zone/text/read.ts';
import type { Zone, ZoneProblem } from '../zone/zone.ts';
import { composeZone, type WrittenZone } from './compose.ts';
import type { ZoneText } from './config.ts';
import type { ComposedZone, LostRecords, WantedRecords } from './records.ts';
import type { Wish } from './wanted.ts';

/** What one object asks for in one zone. */
interface Share {
  readonly id: string;
  readonly wanted: readonly WantedRecords[];
}

interface Entry {
  written: WrittenZone;
  /** Text that `written` comes from, good or bad. */
  text: ZoneText;
  readonly shares: Map<string, Share>;
  composed: ComposedZone;
}

/**
 * All zones: their texts, what objects ask for, and what becomes of both. A change composes only the zones that it
 * touches. Texts that are bad leave the last good one in force.
 */
export class ZoneComposer {
  readonly #zones = new Map<string, Entry>();
  readonly #wishes = new Map<string, Wish>();
  /** By object, the zones it has records in; '' + undefined for those in none. */
  readonly #places = new Map<string, Set<Entry>>();
  readonly #outside = new Map<string, readonly WantedRecords[]>();
  readonly #dirty = new Set<Entry>();

  /** The zones as they are composed now. */
  get composed(): Iterable<ComposedZone> {
    return Array.from(this.#zones.values(), ({ composed }) => composed);
  }

  zone(origin: string): ComposedZone | undefined {
    return this.#zones.get(origin)?.composed;
  }

  /**
   * What is wrong or odd in a zone's newest text. What it lacks and an object gives is not odd: the addresses of its name
   * servers may be a Service's.
   */
  problems(origin: string): readonly ZoneProblem[] {
    const entry = this.#zones.get(origin);
    if (!entry) return [];
    const { zone } = entry.composed;
    const { problems, oddities = [], zone: base } = entry.written;
    const isMended = zone && zone !== base && zone.recordCount <= maxCheckedRecords;
    if (!isMended || oddities.length === 0) return [...problems, ...oddities];
    let remaining = remainingOddities.get(zone);
    if (!remaining) {
      const records = [...zone.rrsets()].flatMap((rrset) => recordsOf(rrset));
      remaining = new Set(checkZone(origin, records, zone).map(({ message }) => message));
      remainingOddities.set(zone, remaining);
    }
    const still = remaining;
    return [...problems, ...oddities.filter(({ message }) => still.has(message))];
  }

  /** Serial in the text that is in force. */
  textSerial(origin: string): number {
    const soa = this.#zones.get(origin)?.written.zone?.soa.data[0];
    return soa ? soaSerial(soa) : 0;
  }

  /** The zone that a name (lower case) belongs to. */
  originOf(name: string): string | undefined {
    return this.#zoneOf(name)?.composed.origin;
  }

  /** What objects ask for in no zone. */
  *outside(): Iterable<WantedRecords> {
    for (const wanted of this.#outside.values()) yield* wanted;
  }

  /** What objects ask for that cannot be, whatever the zone. */
  *invalid(): Iterable<LostRecords> {
    for (const { lost } of this.#wishes.values()) yield* lost;
  }

  /** Takes the texts of all zones. Returns the origins that are gone. */
  setTexts(texts: readonly ZoneText[]): string[] {
    const gone = new Set(this.#zones.keys());
    let isMoved = false;
    for (const text of texts) {
      gone.delete(text.origin);
      const entry = this.#zones.get(text.origin);
      if (!entry) {
        const written = readText(text, undefined);
        const fresh: Entry = { written, text, shares: new Map(), composed: composeZone(written, []) };
        this.#zones.set(text.origin, fresh);
        this.#dirty.add(fresh);
        isMoved = true;
      } else if (!isSameText(entry.text, text)) {
        entry.written = readText(text, entry.written.zone);
        entry.text = text;
        this.#dirty.add(entry);
      }
    }
    for (const origin of gone) {
      const entry = this.#zones.get(origin);
      if (entry) this.#dirty.delete(entry);
      this.#zones.delete(origin);
      isMoved = true;
    }
    // A zone more or less changes whose names are whose.
    if (isMoved) for (const [id, wish] of Array.from(this.#wishes)) this.#place(id, wish);
    return [...gone];
  }

  /** What the object `id` asks for now; undefined: it is gone. */
  setWish(id: string, wish: Wish | undefined): void {
    if (wish && (wish.wanted.length > 0 || wish.lost.length > 0)) this.#wishes.set(id, wish);
    else this.#wishes.delete(id);
    this.#place(id, wish);
  }

  /** Objects that ask for something. */
  ids(): string[] {
    return [...this.#wishes.keys()];
  }

  /** Composes what was touched since the last call; the origins of those zones. */
  compose(): string[] {
    const origins: string[] = [];
    for (const entry of this.#dirty) {
      const wanted: WantedRecords[] = [];
      for (const share of entry.shares.values()) wanted.push(...share.wanted);
      entry.composed = composeZone(entry.written, wanted);
      origins.push(entry.composed.origin);
    }
    this.#dirty.clear();
    return origins;
  }

  #zoneOf(name: string): Entry | undefined {
    for (let at: string | undefined = name; at !== undefined; at = parentOf(at)) {
      const entry = this.#zones.get(at);
      if (entry) return entry;
    }
    return undefined;
  }

  #place(id: string, wish: Wish | undefined): void {
    for (const entry of this.#places.get(id) ?? []) {
      entry.shares.delete(id);
      if (this.#zones.get(entry.composed.origin) === entry) this.#dirty.add(entry);
    }
    this.#places.delete(id);
    this.#outside.delete(id);
    const byZone = new Map<Entry | undefined, WantedRecords[]>();
    for (const wanted of wish?.wanted ?? []) {
      const entry = this.#zoneOf(wanted.rrset.name);
      const list = byZone.get(entry);
      if (list) list.push(wanted);
      else byZone.set(entry, [wanted]);
    }
    const places = new Set<Entry>();
    for (const [entry, wanted] of byZone) {
      if (!entry) {
        this.#outside.set(id, wanted);
        continue;
      }
      entry.shares.set(id, { id, wanted });
      this.#dirty.add(entry);
      places.add(entry);
    }
    if (places.size > 0) this.#places.set(id, places);
  }
}

/** A larger zone's oddities are told as its text alone has them: checking it with each change would take too long. */
const maxCheckedRecords = 10_000;
/** What is odd in a composed zone; it is asked for again and again. */
const remainingOddities = new WeakMap<Zone, ReadonlySet<string>>();

function isSameText(a: ZoneText, b: ZoneText): boolean {
  if (a.text !== b.text || a.place.source !== b.place.source || a.place.line !== b.place.line) return false;
  // Only what the text includes would count, and few texts include anything.
  if (!/^\s*\$include/im.test(b.text)) return true;
  const [one, other] = [a.includes, b.includes];
  if (one?.size !== other?.size) return false;
  return [...(one ?? [])].every(([key, { text }]) => other?.get(key)?.text === text);
}

/** The zone of a text; `before` stays in force when it has errors. */
export function readText(text: ZoneText, before: Zone | undefined): WrittenZone {
  const origin = lowerName(text.origin);
  const { zone, problems, oddities } = readZone(text);
  if (!zone) return { origin, zone: before, problems };
  const ofWords = problems.filter((problem) => !oddities.includes(problem));
  return { origin, zone, problems: ofWords, oddities };
}
