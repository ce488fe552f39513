/**
 * Who owns the time of leases when several servers share a log: one of them, the lessor. It alone counts down and
 * revokes; every other server asks it. Where a log has no authority, its only engine is the lessor.
 */
export interface LeaseAuthority {
  /** Hands the engine's side over, once, before anything else is asked. */
  serve(local: LocalLessor): void;
  /**
   * Renews through the lessor, this server or another; the lease's TTL in seconds, 0 when there is no such lease.
   * After the answer the lease lives for its whole TTL, whoever becomes lessor meanwhile.
   *
   * @throws LogUnavailableError when no lessor answered in time
   */
  renew(id: bigint): Promise<number>;
  /** Milliseconds left as the lessor counts them; undefined when there is no such lease. @throws LogUnavailableError */
  remainingMs(id: bigint): Promise<number | undefined>;
}

/** What the authority needs of the engine. */
export interface LocalLessor {
  /** Catches up if the lease is not known; its TTL in seconds, 0 when there is none. Only asked while this engine owns. */
  renew(id: bigint): Promise<number>;
  remainingMs(id: bigint): Promise<number | undefined>;
  /** True: catch up, give every lease its full time again, then count down. False: stop counting at once. */
  own(isOwner: boolean): Promise<void>;
  /** How many leases there are: an authority may rest while there is none. */
  leaseCount(): number;
}
