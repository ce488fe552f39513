import type { Clock } from '@cloudless/kube/clock';
import type { AnswerSigner } from '../authoritative/signer.ts';
import type { Zone } from '../zone/zone.ts';
import type { ServedZone, SigningPolicy } from '../zone/zones.ts';
import { policyDigest } from './apex.ts';
import { answerSigner, SignatureMemory } from './signer.ts';
import { signingEpoch, ZoneSigner } from './sign-zone.ts';

interface Kept {
  readonly signer: ZoneSigner;
  zone: Zone;
  state: string;
  signed: Promise<Zone | undefined>;
}

/**
 * Signing in the main thread: whole zones for transfers, and the answers that it gives itself. A zone is signed once for
 * each version however many secondaries come for it, in slices that leave the thread free.
 */
export class ServedSigning {
  readonly #clock: Clock;
  readonly #memory: SignatureMemory;
  readonly #kept = new Map<string, Kept>();
  readonly #signers = new WeakMap<ServedZone, AnswerSigner>();
  readonly #ending = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#memory = new SignatureMemory(clock);
  }

  /** The zone with its signatures; as it is when it is not signed. Rejects when it is withdrawn or stopped meanwhile. */
  async signZone(served: ServedZone): Promise<Zone> {
    const { zone, signing } = served;
    if (!signing) return zone;
    const signed = await this.#version(zone, signing);
    if (!signed) throw new Error(`signing ${zone.origin}. was broken off`);
    return signed;
  }

  /** Signs answers about a version of a zone; undefined when it is not signed. */
  signerOf(served: ServedZone): AnswerSigner | undefined {
    if (!served.signing) return undefined;
    let signer = this.#signers.get(served);
    if (!signer) {
      signer = answerSigner(served.zone, served.signing, this.#memory);
      this.#signers.set(served, signer);
    }
    return signer;
  }

  /** Forgets a zone that is gone. */
  forget(origin: string): void {
    this.#kept.delete(origin);
  }

  /** Breaks off what is being signed. */
  stop(): void {
    this.#ending.abort(new Error('signing is stopped'));
    this.#kept.clear();
  }

  #version(zone: Zone, signing: SigningPolicy): Promise<Zone | undefined> {
    const nowMs = this.#clock.nowMs();
    const state = `${policyDigest(signing)} ${signingEpoch(zone.origin, signing, nowMs)}`;
    const kept = this.#kept.get(zone.origin);
    if (kept?.zone === zone && kept.state === state) return kept.signed;
    const signer = kept?.signer ?? new ZoneSigner();
    const run = (): Promise<Zone | undefined> =>
      signer.signInSlices(zone, signing, nowMs, this.#ending.signal);
    // One version after the other: the later one takes over what the earlier one has signed.
    const signed = kept ? kept.signed.then(run, run) : run();
    this.#kept.set(zone.origin, { signer, zone, state, signed });
    return signed;
  }
}
