/** Header compression (RFC 7541): a decoder with its dynamic table, and an encoder that keeps no state. */
import { ConnectionError, errorCode } from './frames.ts';
import { decodeHuffman } from './huffman.ts';

/** One header field as it arrived; shared by all requests that refer to the same entry of a table. */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** What it counts for in tables and limits (RFC 7541, 4.1). */
  readonly bytes: number;
  /** Whether HTTP/2 permits it: by its characters (RFC 9113, 8.2.1), and not one of HTTP/1.1's connection (8.2.2). */
  readonly isValid: boolean;
}

const fieldOverheadBytes = 32;
/** The size of the dynamic table that a peer may use unless told otherwise. */
const tableBytes = 4096;

const validName = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// oxlint-disable-next-line no-control-regex -- the characters that may not be in a value
const invalidValue = /[\0\r\n]|^[ \t]|[ \t]$/;

const ofConnection = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

const field = (name: string, value: string): Field => ({
  name,
  value,
  bytes: name.length + value.length + fieldOverheadBytes,
  isValid:
    validName.test(name) &&
    !invalidValue.test(value) &&
    !ofConnection.has(name) &&
    (name !== 'te' || value === 'trailers'),
});

/** RFC 7541, appendix A. */
const staticTable: readonly Field[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...[200, 204, 206, 304, 400, 404, 500].map((status): [string, string] => [':status', String(status)]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...[
    'accept-language',
    'accept-ranges',
    'accept',
    'access-control-allow-origin',
    'age',
    'allow',
    'authorization',
    'cache-control',
    'content-disposition',
    'content-encoding',
    'content-language',
    'content-length',
    'content-location',
    'content-range',
    'content-type',
    'cookie',
    'date',
    'etag',
    'expect',
    'expires',
    'from',
    'host',
    'if-match',
    'if-modified-since',
    'if-none-match',
    'if-range',
    'if-unmodified-since',
    'last-modified',
    'link',
    'location',
    'max-forwards',
    'proxy-authenticate',
    'proxy-authorization',
    'range',
    'referer',
    'refresh',
    'retry-after',
    'server',
    'set-cookie',
    'strict-transport-security',
    'transfer-encoding',
    'user-agent',
    'vary',
    'via',
    'www-authenticate',
  ].map((name): [string, string] => [name, '']),
].map(([name = '', value = '']) => field(name, value));

const compressionError = (message: string): ConnectionError =>
  new ConnectionError(errorCode.compression, message);

/** One header block as it was read. */
export interface HeaderBlock {
  readonly fields: readonly Field[];
  /** More than the limit: the fields beyond it were read, for the table's sake, and dropped. */
  readonly isTooLarge: boolean;
}

export class HpackDecoder {
  readonly #maxListBytes: number;
  /** The newest last. */
  readonly #table: Field[] = [];
  #tableBytes = 0;
  #maxTableBytes = tableBytes;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** @param maxListBytes of all fields of a block together */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** Reads a whole header block. @throws ConnectionError: the table is lost, and the connection with it */
  decode(bytes: Buffer, start: number, end: number): HeaderBlock {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    const fields: Field[] = [];
    let listBytes = 0;
    let first = true;
    while (this.#at < end) {
      const byte = bytes[this.#at] as number;
      if ((byte & 0xe0) === 0x20) {
        if (!first) throw compressionError('the size of the table changes inside a header block');
        this.#resize(this.#integer(5));
        continue;
      }
      first = false;
      const next = (byte & 0x80) === 0 ? this.#literal(byte) : this.#entry(this.#integer(7));
      listBytes += next.bytes;
      if (listBytes <= this.#maxListBytes) fields.push(next);
    }
    return { fields, isTooLarge: listBytes > this.#maxListBytes };
  }

  #entry(index: number): Field {
    const entry =
      index <= staticTable.length
        ? staticTable[index - 1]
        : this.#table[this.#table.length - (index - staticTable.length)];
    if (entry === undefined) throw compressionError(`the tables have no entry ${index}`);
    return entry;
  }

  #literal(byte: number): Field {
    const isIndexed = (byte & 0x40) !== 0;
    const index = this.#integer(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const literal = field(name, this.#string());
    if (isIndexed) {
      this.#evict(this.#maxTableBytes - literal.bytes);
      if (literal.bytes <= this.#maxTableBytes) {
        this.#table.push(literal);
        this.#tableBytes += literal.bytes;
      }
    }
    return literal;
  }

  #resize(bytes: number): void {
    if (bytes > tableBytes) throw compressionError(`a table of ${bytes} bytes`);
    this.#maxTableBytes = bytes;
    this.#evict(bytes);
  }

  #evict(downTo: number): void {
    while (this.#tableBytes > downTo && this.#table.length > 0)
      this.#tableBytes -= (this.#table.shift() as Field).bytes;
  }

  #integer(prefixBits: number): number {
    const max = 2 ** prefixBits - 1;
    const first = this.#byte() & max;
    if (first < max) return first;
    let value = max;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw compressionError('an integer of more than 28 bits');
  }

  #byte(): number {
    if (this.#at >= this.#end) throw compressionError('the header block is cut off');
    return this.#bytes[this.#at++] as number;
  }

  #string(): string {
    if (this.#at >= this.#end) throw compressionError('the header block is cut off');
    const isHuffman = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    if (length > this.#end - start) throw compressionError('the header block is cut off');
    this.#at += length;
    if (!isHuffman) return this.#bytes.toString('latin1', start, this.#at);
    const text = decodeHuffman(this.#bytes, start, this.#at);
    if (text === undefined) throw compressionError('a string that is not Huffman-coded');
    return text;
  }
}

/**
 * A header block of these fields, `:status` first. It refers to the static table only, so that it means the same on
 * every connection, at any time.
 */
export function encodeFields(fields: ReadonlyArray<readonly [name: string, value: string]>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const same = staticTable.findIndex(
      (entry) => entry.name === name && entry.value === value && value !== '',
    );
    if (same >= 0) {
      parts.push(prefixed(0x80, 7, same + 1));
      continue;
    }
    const named = staticTable.findIndex((entry) => entry.name === name);
    parts.push(prefixed(0, 4, named + 1));
    for (const text of named >= 0 ? [value] : [name, value]) {
      const bytes = Buffer.from(text, 'latin1');
      parts.push(prefixed(0, 7, bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function prefixed(pattern: number, prefixBits: number, value: number): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.from([pattern | value]);
  const bytes = [pattern | max];
  let rest = value - max;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
