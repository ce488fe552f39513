import { isSerialHigher } from '../zone/build.ts';

/** Versions by resource (`services`), as the API gives them: decimal numbers that only rise (KEP-5504). */
export type Revisions = Readonly<Record<string, string>>;

/** What is recorded of one zone, for all replicas to see. */
export interface SerialEntry {
  readonly serial: number;
  readonly contentHash: string;
  /** State of the cluster that the content was composed of. */
  readonly revisions: Revisions;
}

/** What a replica knows when it judges one zone. */
export interface SerialView {
  /** Of the zone as this replica composes it now. */
  readonly contentHash: string;
  /** In the SOA of the zone's text. */
  readonly textSerial: number;
  /** What this replica serves; undefined: nothing yet. */
  readonly served: { readonly serial: number; readonly contentHash: string } | undefined;
  readonly recorded: SerialEntry | undefined;
  /**
   * For each resource in use, the version of the last change that this replica's content has in it: an object's own, or of
   * the list that began it.
   */
  readonly own: Revisions;
  /** For each resource in use, up to where this replica knows it: bookmarks count. */
  readonly seen: Revisions;
  readonly nowSeconds: number;
}

export type SerialVerdict =
  /** Serve the content under the recorded serial. */
  | { readonly kind: 'adopt'; readonly serial: number }
  /** Record this, and once it is recorded serve the content under its serial. */
  | { readonly kind: 'advance'; readonly entry: SerialEntry }
  /** Somebody has seen more of `resource`: go on with what is served. */
  | { readonly kind: 'behind'; readonly resource: string }
  /**
   * Another replica made other content of the same state of the cluster: its configuration or its version is another. `entry`
   * is what to record for who wants to insist.
   */
  | { readonly kind: 'contested'; readonly entry: SerialEntry };

/**
 * Which serial a zone's content is to be served under, so that all replicas have the same one for the same content, it
 * rises with each change and never falls, without a leader: content that has the recorded hash is served under the recorded
 * serial, and other content may be recorded only by who has seen all that went into the recorded one. Pure.
 *
 * A resource that only one of the two uses does not count: whether it is used follows from others (the configuration, the
 * definitions of kinds, the Services), and those are compared.
 */
export function judgeSerial(view: SerialView): SerialVerdict {
  const { contentHash, textSerial, served, recorded, own, seen } = view;
  if (recorded?.contentHash === contentHash) {
    // Where a record was lost, another one may be lower than what is served here, or the same with other content.
    const fits =
      !served ||
      isSerialHigher(recorded.serial, served.serial) ||
      (served.serial === recorded.serial && served.contentHash === contentHash);
    if (fits && !isSerialHigher(textSerial, recorded.serial))
      return { kind: 'adopt', serial: recorded.serial };
  }
  const revisions: Record<string, string> = {};
  let isNewer = !recorded;
  for (const [resource, version] of Object.entries(own)) {
    const known = recorded?.revisions[resource];
    if (known !== undefined && compareVersions(known, seen[resource] ?? '') > 0)
      return { kind: 'behind', resource };
    const isAhead = compareVersions(version, known ?? '') > 0;
    if (isAhead && known !== undefined) isNewer = true;
    revisions[resource] = isAhead ? version : (known as string);
  }
  const serial =
    !recorded && served?.contentHash === contentHash && !isSerialHigher(textSerial, served.serial)
      ? served.serial
      : nextSerial(view);
  const entry: SerialEntry = { serial, contentHash, revisions };
  const isSame = recorded?.contentHash === contentHash;
  return { kind: isNewer || isSame ? 'advance' : 'contested', entry };
}

/** One more than what is recorded and what is served, and at least the time and the text's own. */
function nextSerial({ recorded, served, textSerial, nowSeconds }: SerialView): number {
  let serial = recorded ? following(recorded.serial) : nowSeconds >>> 0;
  const raise = (other: number): void => {
    if (isSerialHigher(other, serial)) serial = other;
  };
  raise(nowSeconds >>> 0);
  raise(textSerial);
  if (served) raise(following(served.serial));
  return serial;
}

/** The next serial; not 0, which some take for none. */
export function following(serial: number): number {
  return (serial + 1) >>> 0 || 1;
}

/** Negative, zero or positive as `a` is older than, the same as or newer than `b`; '' is older than all. */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}
