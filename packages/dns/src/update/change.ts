import type { RRset, Zone } from '../zone/zone.ts';

/** What an UPDATE (RFC 2136) or a PATCH of PowerDNS's API does to one record set. */
export type RRsetChange =
  | { readonly kind: 'replace'; readonly rrset: RRset }
  /** `type` undefined: every record set of the name. */
  | { readonly kind: 'delete'; readonly name: string; readonly type: number | undefined };

/** The change cannot be made; `message` names record, place and remedy. */
export class ChangeRefusedError extends Error {
  override readonly name = 'ChangeRefusedError';
  /** `conflict`: the record is written by hand or another object's; `invalid`: it can't be; `unavailable`: try again. */
  readonly reason: 'conflict' | 'invalid' | 'unavailable' | 'not-found';
  constructor(reason: ChangeRefusedError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Where records made through an API are kept: `DNSEndpoint` objects in our namespace, so they outlast a pod. All changes
 * of one call are made, or none.
 */
export interface RecordKeeper {
  /**
   * Resolves once the changes are stored AND served here: with the serial that has them. Rejects with
   * {@link ChangeRefusedError}. `check` is called against the zone that the changes would be made to, and may throw
   * (prerequisites of RFC 2136); changes of one zone are made one after another.
   */
  apply(
    origin: string,
    changes: readonly RRsetChange[] | ((zone: Zone) => readonly RRsetChange[]),
    by: string,
  ): Promise<{ serial: number }>;
}
