import type { ResourceRecord } from '../wire/message.ts';

/** The records of one name and type. Names are lower case, without the dot at the end; the root is ''. */
export interface RRset {
  readonly name: string;
  readonly type: number;
  readonly ttlSeconds: number;
  /** RDATA without compression, in canonical order (RFC 4034 section 6.3), none twice. */
  readonly data: readonly Buffer[];
}

/** A name of a zone. One without record sets is an empty non-terminal (RFC 8499): it exists, and has no data. */
export interface ZoneNode {
  readonly name: string;
  /** Set where a delegation begins: an NS record set below the apex. */
  readonly isDelegation: boolean;
  rrset(type: number): RRset | undefined;
  types(): readonly number[];
}

/**
 * What answering needs of a zone, immutable: implemented by the main thread's zone and by the view of a snapshot in
 * shared memory that serving threads have.
 */
export interface ZoneReader {
  /** Lower case. */
  readonly origin: string;
  readonly serial: number;
  readonly soa: RRset;
  /** Undefined: there is no such name; `*` labels are looked up like others. `name` is lower case. */
  node(name: string): ZoneNode | undefined;
}

/** A whole zone in the main thread: what is composed, compared, transferred and signed. */
export interface Zone extends ZoneReader {
  readonly recordCount: number;
  /** In canonical order of names (RFC 4034 section 6.1), the SOA first. */
  rrsets(): Iterable<RRset>;
  /** The same content with this serial in its SOA. */
  withSerial(serial: number): Zone;
  /** A digest of all content except the serial: the same on every replica for the same records, in any order. */
  readonly contentHash: string;
}

/** What leads from one version of a zone to the next, SOA apart, as RFC 1995 wants it. */
export interface ZoneDifference {
  readonly from: RRset;
  readonly to: RRset;
  readonly removed: readonly ResourceRecord[];
  readonly added: readonly ResourceRecord[];
}

/** A place in a zone's text, or in the object that it came from. */
export interface Place {
  /** A file, `ConfigMap NAMESPACE/NAME key KEY`, or the name of a values file. */
  readonly source: string;
  /** From 1; of the source, not of the zone's text within it. */
  readonly line: number;
}

/** What is wrong, or merely odd, with a zone: a sentence that names the thing and the remedy. */
export interface ZoneProblem {
  readonly severity: 'error' | 'warning';
  readonly place: Place | undefined;
  readonly message: string;
}
