import type { KeyValue } from '@cloudless/kube/etcd/store';
import { type BinaryKey, bytesOf } from './key.ts';

/** Value length of a tombstone. */
export const tombstoneBytes = -1;

/**
 * One version of one key: what a row of the log says, without the value. Versions of a key are chained from
 * the newest to the oldest retained one.
 */
export class Version {
  readonly key: BinaryKey;
  /** The transaction's revision. */
  readonly revision: number;
  /** The row of the log. */
  readonly position: number;
  /** 0 for a tombstone. */
  readonly createRevision: number;
  /** 0 for a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  /** {@link tombstoneBytes} for a deletion. */
  readonly valueBytes: number;
  /** The version before this one, while reads may still need it. */
  prev: Version | undefined;
  /** The value while it is hot. Shared with callers, never changed. */
  kv: KeyValue | undefined = undefined;
  /** Read since the cache last looked. */
  touched = false;

  constructor(
    key: BinaryKey,
    revision: number,
    position: number,
    createRevision: number,
    version: number,
    lease: bigint,
    valueBytes: number,
    prev: Version | undefined,
  ) {
    this.key = key;
    this.revision = revision;
    this.position = position;
    this.createRevision = createRevision;
    this.version = version;
    this.lease = lease;
    this.valueBytes = valueBytes;
    this.prev = prev;
  }

  get isTombstone(): boolean {
    return this.valueBytes === tombstoneBytes;
  }
}

/** The version that a read at `revision` sees, or undefined when the key does not exist there. */
export function visibleAt(head: Version | undefined, revision: number): Version | undefined {
  let version = head;
  while (version !== undefined && version.revision > revision) version = version.prev;
  return version === undefined || version.isTombstone ? undefined : version;
}

const noValue = new Uint8Array(0);

/** The result form of a version; `value` absent: keys only. */
export function keyValueOf(version: Version, value?: Uint8Array): KeyValue {
  return {
    key: bytesOf(version.key),
    value: value ?? noValue,
    createRevision: version.createRevision,
    modRevision: version.revision,
    version: version.version,
    lease: version.lease,
  };
}
