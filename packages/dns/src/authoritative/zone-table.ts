import { labelsOf } from '../wire/name.ts';
import type { ZoneReader } from '../zone/zone.ts';
import type { AnswerSigner } from './signer.ts';

/** A zone that is answered for. */
export interface TableZone {
  /** Undefined: it is ours, but not loaded yet: SERVFAIL, so that nobody believes that its names do not exist. */
  readonly zone: ZoneReader | undefined;
  /** A secondary zone out of date (RFC 1035 section 4.3.5): SERVFAIL. */
  readonly isExpired: boolean;
  /** Undefined: the zone is not signed. */
  readonly signer: AnswerSigner | undefined;
}

/** The zones that one thread answers from. */
export interface ZoneTable {
  /** The zone with the longest origin at or above `name` (lower case). */
  find(name: string): TableZone | undefined;
}

/** Zones by origin, changed one at a time. */
export class ZonesByOrigin implements ZoneTable {
  readonly #zones = new Map<string, TableZone>();
  /** Of the origin that has the most. */
  #mostLabels = 0;

  get size(): number {
    return this.#zones.size;
  }

  get(origin: string): TableZone | undefined {
    return this.#zones.get(origin);
  }

  set(origin: string, zone: TableZone): void {
    this.#zones.set(origin, zone);
    this.#mostLabels = Math.max(this.#mostLabels, labelsOf(origin).length);
  }

  delete(origin: string): void {
    if (!this.#zones.delete(origin) || labelsOf(origin).length < this.#mostLabels) return;
    this.#mostLabels = 0;
    for (const other of this.#zones.keys())
      this.#mostLabels = Math.max(this.#mostLabels, labelsOf(other).length);
  }

  /** Looks from the right, no further than origins reach: a name of a hundred labels costs no more than others. */
  find(name: string): TableZone | undefined {
    let found = this.#zones.get('');
    let dot = name.length;
    for (let labels = 0; labels < this.#mostLabels && dot >= 0; labels++) {
      dot = separatorBefore(name, dot);
      found = this.#zones.get(dot < 0 ? name : name.slice(dot + 1)) ?? found;
    }
    return found;
  }
}

/** Where the last dot before `end` is that separates labels; -1: there is none. */
function separatorBefore(name: string, end: number): number {
  let dot = end;
  while (dot > 0) {
    dot = name.lastIndexOf('.', dot - 1);
    let backslashes = 0;
    while (name.charCodeAt(dot - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return dot;
  }
  return -1;
}
