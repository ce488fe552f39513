import { parentOf } from '../wire/name.ts';
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

  get size(): number {
    return this.#zones.size;
  }

  get(origin: string): TableZone | undefined {
    return this.#zones.get(origin);
  }

  set(origin: string, zone: TableZone): void {
    this.#zones.set(origin, zone);
  }

  delete(origin: string): void {
    this.#zones.delete(origin);
  }

  find(name: string): TableZone | undefined {
    for (let at: string | undefined = name; at !== undefined; at = parentOf(at)) {
      const found = this.#zones.get(at);
      if (found) return found;
    }
    return undefined;
  }
}
