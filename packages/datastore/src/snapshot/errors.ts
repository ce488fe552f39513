/** A file that cannot be read as an etcd snapshot. Nothing was changed. */
export class SnapshotFileError extends Error {
  readonly path: string;
  /** `foreign`: no bbolt file or not etcd's; `damaged`: bytes are missing or wrong. */
  readonly reason: 'foreign' | 'damaged' | 'no-checksum';

  constructor(path: string, reason: SnapshotFileError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SnapshotFileError';
    this.path = path;
    this.reason = reason;
  }
}
