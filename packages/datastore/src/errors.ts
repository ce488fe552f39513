/** The file at `path` cannot be used as a datastore; nothing in it was changed. */
export class DatastoreFileError extends Error {
  readonly path: string;
  readonly reason: 'foreign' | 'corrupt' | 'newer-schema' | 'in-use' | 'unusable';

  constructor(path: string, reason: DatastoreFileError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'DatastoreFileError';
    this.path = path;
    this.reason = reason;
  }
}

/** The disk is full: the write was refused whole, reads go on, writes succeed again when there is space. */
export class NoSpaceError extends Error {
  readonly path: string;

  constructor(path: string, cause?: unknown) {
    super(
      `no space left on the device for the datastore ${path}: ` +
        'writes are refused until space is freed there; reads go on',
      cause === undefined ? undefined : { cause },
    );
    this.name = 'NoSpaceError';
    this.path = path;
  }
}

/** Storage failed in a way after which nothing more may be acknowledged. The owner must end the process. */
export class DatastoreFailedError extends Error {
  constructor(path: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `the datastore ${path} failed and stopped: ${why}. Every acknowledged write is safe; ` +
        'check the disk (dmesg) and start again',
      { cause },
    );
    this.name = 'DatastoreFailedError';
  }
}
