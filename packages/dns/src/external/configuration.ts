import type { Running } from '@cloudless/kube/lifecycle';
import type { ZoneProblem } from '../zone/zone.ts';
import type { ExternalDnsConfig } from './config.ts';
import type { ObjectReference } from './records.ts';

/** Something wrong, and the object that it is wrong in, for its Event. */
export interface PlacedProblem extends ZoneProblem {
  readonly subject?: ObjectReference | undefined;
}

/** The configuration, kept up to date. */
export interface WatchedConfiguration extends Running {
  /** The last good one; undefined: there was none yet. */
  readonly config: ExternalDnsConfig | undefined;
  /** What keeps the newest from coming into force, and what is merely odd. */
  readonly problems: readonly PlacedProblem[];
  /** What is not read yet; undefined: all is. */
  readonly waitingFor: string | undefined;
  /** The object or file that a zone's text stands in. */
  subjectOf(origin: string): ObjectReference | undefined;
}
