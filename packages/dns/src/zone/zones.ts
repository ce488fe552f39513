import type { Zone, ZoneDifference } from './zone.ts';

/** How a zone is signed while it is served. */
export interface SigningKey {
  /** 257 for a combined or key-signing key, 256 for a zone-signing key (RFC 4034 section 2.1.1). */
  readonly flags: 256 | 257;
  /** 13: ECDSA P-256 with SHA-256 (RFC 6605). */
  readonly algorithm: 13;
  readonly keyTag: number;
  /** RDATA of its DNSKEY. */
  readonly dnskey: Buffer;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
  /** Published, but not signed with (RFC 6781 section 4.1.1). */
  readonly isActive: boolean;
  /** Its DS belongs at the parent: it is in CDS and CDNSKEY (RFC 7344). False for a zone-signing key. */
  readonly isInParent: boolean;
}

export interface SigningPolicy {
  readonly keys: readonly SigningKey[];
  /** `compact`: RFC 9824; `nsec3`: white lies (RFC 7129 appendix B). */
  readonly denial: 'compact' | 'nsec3';
  /** What the zone asks of its parent: its keys' DS, that it take them away (RFC 8078 section 4), or nothing. */
  readonly cds: 'publish' | 'delete' | 'none';
  /** How long a signature counts; it is made anew when three quarters are over. */
  readonly validitySeconds: number;
}

/** One zone as it is served. */
export interface ServedZone {
  readonly zone: Zone;
  readonly signing: SigningPolicy | undefined;
  /** Held for somebody else: a secondary zone cannot be updated, and its serial is the primary's. */
  readonly role: 'primary' | 'secondary';
  /** A secondary zone whose primary was silent for its expiry: answered with SERVFAIL (RFC 1035 section 4.3.5). */
  readonly isExpired: boolean;
  /** The latest differences, oldest first, each beginning where the one before ended; for IXFR. */
  readonly history: readonly ZoneDifference[];
}

/** What happened to a zone. `previous` is undefined for a new one, `current` for one that is gone. */
export interface ZoneChange {
  readonly origin: string;
  readonly previous: ServedZone | undefined;
  readonly current: ServedZone | undefined;
}

/**
 * The zones of this process, in its main thread. Publishing makes the difference to the version before, hands the new
 * snapshot to the serving threads, and then tells the listeners (NOTIFY, metrics). A serial that is not higher than the
 * one before (RFC 1982) with other content is refused: throws Error.
 */
export interface Zones {
  readonly all: ReadonlyMap<string, ServedZone>;
  /** The zone with the longest origin at or above `name` (lower case). */
  find(name: string): ServedZone | undefined;
  publish(
    zone: Zone,
    options?: { signing?: SigningPolicy | undefined; role?: 'primary' | 'secondary'; isExpired?: boolean },
  ): void;
  withdraw(origin: string): void;
  /** Returns the function that ends it. */
  onChange(listener: (change: ZoneChange) => void): () => void;
}
