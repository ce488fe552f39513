import { presignedSigner } from '../dnssec/presigned.ts';
import { answerSigner, SignatureMemory } from '../dnssec/signer.ts';
import { openImage } from '../zone/image.ts';
import type { ZoneSnapshot } from '../zone/registry.ts';
import { type TableZone, ZonesByOrigin, type ZoneTable } from './zone-table.ts';

/** A zone as one thread has it. */
export interface HeldZone extends TableZone {
  /** Its place in {@link HeldZones.stamps}, for as long as it is served. */
  readonly index: number;
}

/** The zones of one thread, opened from their snapshots, each version under a stamp of its own. */
export class HeldZones implements ZoneTable {
  readonly #zones = new ZonesByOrigin();
  readonly #memory: () => SignatureMemory;
  readonly #indexes = new Map<string, number>();
  readonly #free: number[] = [];
  #stamp = 0;
  #lastName: string | undefined;
  #lastZone: HeldZone | undefined;
  /** By index: ready answers count while they bear this stamp. */
  readonly stamps: number[] = [];

  /** @param memory of signatures, made when the first signed zone comes */
  constructor(memory: () => SignatureMemory) {
    this.#memory = memory;
  }

  find(name: string): HeldZone | undefined {
    // One question asks for the same name from several sides.
    if (name !== this.#lastName) {
      this.#lastZone = this.#zones.find(name) as HeldZone | undefined;
      this.#lastName = name;
    }
    return this.#lastZone;
  }

  /** True: a zone came or went, so that any name may have another zone now. */
  set(origin: string, snapshot: ZoneSnapshot | undefined): boolean {
    const known = this.#indexes.get(origin);
    this.#lastName = undefined;
    if (snapshot === undefined) {
      if (known === undefined) return false;
      this.#zones.delete(origin);
      this.#indexes.delete(origin);
      this.#free.push(known);
      this.stamps[known] = this.#nextStamp();
      return true;
    }
    const index = known ?? this.#free.pop() ?? this.stamps.length;
    this.#indexes.set(origin, index);
    this.stamps[index] = this.#nextStamp();
    const zone = openImage(snapshot.image);
    const signer = snapshot.signing
      ? answerSigner(zone, snapshot.signing, this.#memory())
      : presignedSigner(zone);
    const held: HeldZone = { zone, isExpired: snapshot.isExpired, signer, index };
    this.#zones.set(origin, held);
    return known === undefined;
  }

  #nextStamp(): number {
    this.#stamp = (this.#stamp + 1) | 0;
    return this.#stamp;
  }
}
