/** One entry of a container's log file: `TIMESTAMP stdout|stderr F|P TEXT` (CRI: container log format). */
export interface LogEntry {
  timestamp: string;
  stream: 'stdout' | 'stderr';
  /** The line goes on in the next entry of the stream. */
  partial: boolean;
  /** With the newline that ends it, unless partial. */
  text: Buffer;
}

const space = 0x20;
const newline = 0x0a;
const colon = 0x3a;

/** Reads one line of the file, its newline included; undefined for what is no entry. */
export function parseLogEntry(line: Buffer): LogEntry | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 0 || second < 0 || third < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  // Tags are separated by colons; the first says whether the line is whole.
  let tagEnd = line.indexOf(colon, second + 1);
  if (tagEnd < 0 || tagEnd > third) tagEnd = third;
  const partial = line.toString('latin1', second + 1, tagEnd) === 'P';
  const end = partial && line.at(-1) === newline ? line.length - 1 : line.length;
  return {
    timestamp: line.toString('latin1', 0, first),
    stream,
    partial,
    text: line.subarray(third + 1, end),
  };
}

/** RFC 3339 with exactly nine digits of a second, as logs are shown. */
export function fixedNanoseconds(timestamp: string): string {
  const match = /^(.*T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/.exec(timestamp);
  return match ? `${match[1]}.${(match[2] ?? '').padEnd(9, '0')}${match[3]}` : timestamp;
}

/** What of a log is wanted. */
export interface LogSelection {
  timestamps: boolean;
  /** Milliseconds since the epoch; earlier entries are left out. */
  sinceMs?: number | undefined;
  limitBytes?: number | undefined;
  stream: 'All' | 'Stdout' | 'Stderr';
}

/** Turns lines of the file into what the client sees, until the limit is reached. */
export class LogWriter {
  readonly #selection: LogSelection;
  #remaining: number;
  /** The next entry starts a line; entries of one line carry one timestamp. */
  #lineStarts = true;

  constructor(selection: LogSelection) {
    this.#selection = selection;
    this.#remaining = selection.limitBytes ?? Infinity;
  }

  get full(): boolean {
    return this.#remaining <= 0;
  }

  /** The bytes to show for one line; empty for what is not wanted. */
  convert(line: Buffer): Buffer {
    const entry = parseLogEntry(line);
    if (!entry || this.full) return Buffer.alloc(0);
    const { stream, sinceMs, timestamps } = this.#selection;
    if (stream !== 'All' && stream.toLowerCase() !== entry.stream) return Buffer.alloc(0);
    if (sinceMs !== undefined && Date.parse(entry.timestamp) < sinceMs) return Buffer.alloc(0);
    const prefix =
      timestamps && this.#lineStarts ? Buffer.from(`${fixedNanoseconds(entry.timestamp)} `) : undefined;
    this.#lineStarts = !entry.partial;
    let shown = prefix ? Buffer.concat([prefix, entry.text]) : entry.text;
    if (shown.length > this.#remaining) shown = shown.subarray(0, this.#remaining);
    this.#remaining -= shown.length;
    return shown;
  }
}
