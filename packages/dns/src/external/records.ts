import type { RRset, Zone, ZoneProblem } from '../zone/zone.ts';

/** An object of the cluster. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string;
}

/** A record set that one object asks for: external-dns's endpoint. */
export interface WantedRecords {
  readonly rrset: RRset;
  readonly from: ObjectReference;
  readonly setIdentifier: string | undefined;
  /** Of the object, milliseconds since the epoch: the older one wins a conflict. */
  readonly createdMs: number;
}

/** A record set that is not served as asked, and why: what `why` prints and the loser's Event says. */
export interface LostRecords {
  readonly wanted: WantedRecords;
  readonly reason:
    | 'NoZone'
    | 'WrittenByHand'
    | 'OlderObject'
    | 'CnameAndOther'
    | 'BelowDelegation'
    | 'InvalidTarget';
  /** A whole sentence that names the winner. */
  readonly message: string;
  readonly winner: ObjectReference | undefined;
}

/** One zone composed of its text and what objects want; pure in its input. Its serial is given later. */
export interface ComposedZone {
  readonly origin: string;
  /** Undefined: the text is bad and there was no good one before. */
  readonly zone: Zone | undefined;
  readonly problems: readonly ZoneProblem[];
  readonly won: readonly WantedRecords[];
  readonly lost: readonly LostRecords[];
}
