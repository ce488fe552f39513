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

/**
 * The log is out of reach for now: what needs it is refused, and everything goes on by itself when it is back.
 * `outcome`: whether an append was certainly not made, or may have been made.
 */
export class LogUnavailableError extends Error {
  readonly outcome: 'refused' | 'unknown';

  constructor(outcome: LogUnavailableError['outcome'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LogUnavailableError';
    this.outcome = outcome;
  }
}

/** A row was removed by another server, after a compaction: catch up, then look again. */
export class RowGoneError extends Error {
  readonly position: number;

  constructor(position: number) {
    super(`the row at position ${position} of the log was removed after a compaction`);
    this.name = 'RowGoneError';
    this.position = position;
  }
}
