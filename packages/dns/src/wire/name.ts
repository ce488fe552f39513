/** A message or its data is not DNS (RFC 1035); the server answers FORMERR where it can. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Of a message (RFC 1035 section 4.1.1). */
export const headerBytes = 12;

/** Longest name on the wire, and longest label (RFC 1035 section 2.3.4). */
const nameBytes = 255;
const labelBytes = 63;
/** As many as a name has labels: a chain of pointers to pointers is there to waste time. */
const pointerLimit = 127;

/** How a byte of a label is written in a name: as it is (undefined), `\.` or `\DDD`. */
const escapes: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if ('."\\();@$'.includes(character)) return `\\${character}`;
  return byte > 0x20 && byte < 0x7f ? undefined : `\\${String(byte).padStart(3, '0')}`;
});
const isEscaped = Uint8Array.from(escapes, (text) => (text === undefined ? 0 : 1));

/** Whether a byte of a label is written with an escape. */
export function isEscapedByte(byte: number): boolean {
  return isEscaped[byte] === 1;
}

/** Where {@link readName} found the end of the last name: it saves an object for each name of a message. */
let lastEnd = 0;

/**
 * Reads a name at `offset`, following compression pointers (RFC 1035 section 4.1.4); `end` is where the message goes on
 * after it. Labels keep their case and are joined by dots; the root is ''. Bytes outside 0x21–0x7e are `\DDD`, and
 * `. \ " ( ) ; @ $` in a label have a backslash: one name has one text. Pointers must go backwards, so a loop
 * cannot occur, and not into the header. Throws {@link WireError}.
 */
export function readName(message: Buffer, offset: number): { name: string; end: number } {
  const name = nameAt(message, offset);
  return { name, end: lastEnd };
}

/** {@link readName} without the object; its end is {@link endOfName}. */
export function nameAt(message: Buffer, offset: number): string {
  let name = '';
  let position = offset;
  let end = -1;
  let length = 0;
  let limit = offset;
  let pointers = 0;
  for (;;) {
    if (position >= message.length) throw new WireError('name runs past the end of the message');
    const size = message[position] as number;
    if (size === 0) {
      lastEnd = end < 0 ? position + 1 : end;
      return name;
    }
    if ((size & 0xc0) === 0xc0) {
      if (position + 1 >= message.length) throw new WireError('compression pointer is cut off');
      if (end < 0) end = position + 2;
      position = ((size & 0x3f) << 8) | (message[position + 1] as number);
      if (position >= limit) throw new WireError('compression pointer does not point backwards');
      if (position < headerBytes) throw new WireError('compression pointer leads into the header');
      if (++pointers > pointerLimit) throw new WireError('name has too many compression pointers');
      limit = position;
      continue;
    }
    if ((size & 0xc0) !== 0) throw new WireError('unknown label type');
    length += size + 1;
    if (length >= nameBytes) throw new WireError('name is longer than 255 octets');
    if (position + 1 + size > message.length) throw new WireError('label runs past the end of the message');
    const label = labelAt(message, position + 1, position + 1 + size);
    name = name === '' ? label : `${name}.${label}`;
    position += size + 1;
  }
}

/** Where the name that {@link nameAt} just read ended. */
export function endOfName(): number {
  return lastEnd;
}

/** Where the name at `offset` ends, without looking at what its pointer leads to. Throws {@link WireError}. */
export function skipName(message: Buffer, offset: number): number {
  for (let position = offset; position < message.length;) {
    const size = message[position] as number;
    if (size === 0) return position + 1;
    if ((size & 0xc0) === 0xc0) return position + 2;
    if ((size & 0xc0) !== 0) throw new WireError('unknown label type');
    position += size + 1;
    if (position - offset >= nameBytes) throw new WireError('name is longer than 255 octets');
  }
  throw new WireError('name runs past the end of the message');
}

function labelAt(message: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if (isEscaped[message[i] as number] === 1) {
      let text = '';
      for (let j = start; j < end; j++) {
        const byte = message[j] as number;
        text += escapes[byte] ?? String.fromCharCode(byte);
      }
      return text;
    }
  }
  return message.toString('latin1', start, end);
}

const scratch = Buffer.alloc(nameBytes + 1);

/** The wire form of a name, without compression. Throws {@link WireError} for labels over 63 and names over 255 octets. */
export function writeName(name: string): Buffer {
  return Buffer.from(scratch.subarray(0, writeNameInto(scratch, 0, name)));
}

/**
 * Writes a name at `offset`, which needs 255 octets of room, and returns where it ends. A dot at the end makes no
 * difference. Throws {@link WireError}.
 */
export function writeNameInto(target: Buffer, offset: number, name: string): number {
  let position = offset;
  if (name !== '' && name !== '.') {
    let start = position++;
    for (let i = 0; i < name.length; i++) {
      let code = name.charCodeAt(i);
      if (code === 0x2e) {
        endLabel(target, start, position, name);
        if (i === name.length - 1) {
          start = -1;
          break;
        }
        start = position++;
        continue;
      }
      if (code === 0x5c) {
        code = escapedByte(name, i);
        i += name.charCodeAt(i + 1) >= 0x30 && name.charCodeAt(i + 1) <= 0x39 ? 3 : 1;
      } else if (code > 0x7e) throw new WireError(`name ${name} is not ASCII: write it in its xn-- form`);
      // One octet remains for the root.
      if (position - offset >= nameBytes - 1) throw new WireError(`name ${name} is longer than 255 octets`);
      target[position++] = code;
    }
    if (start >= 0) endLabel(target, start, position, name);
  }
  target[position] = 0;
  return position + 1;
}

function endLabel(target: Buffer, start: number, end: number, name: string): void {
  const size = end - start - 1;
  if (size === 0) throw new WireError(`name ${name} has an empty label`);
  if (size > labelBytes) throw new WireError(`a label of ${name} is longer than 63 octets`);
  target[start] = size;
}

/** The byte of the escape at `index`: `\X` or `\DDD` (RFC 1035 section 5.1). */
function escapedByte(text: string, index: number): number {
  const code = text.charCodeAt(index + 1);
  if (code >= 0x30 && code <= 0x39) {
    const digits = text.slice(index + 1, index + 4);
    if (!/^\d{3}$/.test(digits) || Number(digits) > 255)
      throw new WireError(`\\${digits} in ${text} is no escape: three digits up to 255 are`);
    return Number(digits);
  }
  if (!(code <= 0x7e)) throw new WireError(`the backslash in ${text} escapes nothing`);
  return code;
}

/** ASCII letters in lower case (RFC 4343); the other bytes of a name are escaped digits. */
export function lowerName(name: string): string {
  return name.toLowerCase();
}

/** Labels as they stand in the name, the leftmost first; none for the root. */
export function labelsOf(name: string): string[] {
  if (name === '') return [];
  if (!name.includes('\\')) return name.split('.');
  return name.match(/(?:\\[^]|[^.\\])+/g) ?? [];
}

/** The name without its leftmost label; undefined for the root. */
export function parentOf(name: string): string | undefined {
  if (name === '') return undefined;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0x5c) i++;
    else if (code === 0x2e) return name.slice(i + 1);
  }
  return '';
}

/** Whether `name` is `ancestor` or below it. Both in the same case. */
export function isSubdomain(name: string, ancestor: string): boolean {
  if (ancestor === '' || name === ancestor) return true;
  return name.endsWith(ancestor) && isSeparator(name, name.length - ancestor.length - 1);
}

/** Whether a dot stands at `index`, and not an escaped one. */
function isSeparator(text: string, index: number): boolean {
  if (text.charCodeAt(index) !== 0x2e) return false;
  let backslashes = 0;
  while (text.charCodeAt(index - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 0;
}

/** Canonical order (RFC 4034 section 6.1): by labels from the right, by their bytes in lower case. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [labelBytesOf(a), labelBytesOf(b)];
  for (let i = 1; i <= left.length && i <= right.length; i++) {
    const [x, y] = [left[left.length - i] as string, right[right.length - i] as string];
    if (x !== y) return x < y ? -1 : 1;
  }
  return left.length - right.length;
}

/** Labels in lower case with a character for each byte. */
function labelBytesOf(name: string): string[] {
  const labels = labelsOf(lowerName(name));
  return name.includes('\\') ? labels.map(unescaped) : labels;
}

/** A character (up to U+00FF) for each byte of text with escapes. Throws {@link WireError}. */
export function unescaped(text: string): string {
  return text.replace(/\\(?:\d{1,3}|[^])?/g, (_match, index: number) =>
    String.fromCharCode(escapedByte(text, index)),
  );
}

/** Presentation text: with the dot at the end, so that no origin is added. */
export function printName(name: string): string {
  return `${name}.`;
}

/**
 * A name out of presentation text, its escapes made uniform, case kept. A relative name stands below `origin`, `@` is
 * the origin itself; without an origin names are absolute, dot or no dot. Throws {@link WireError} with the reason.
 */
export function parseName(text: string, origin = ''): string {
  if (text === '@') return origin;
  if (text === '') throw new WireError('a name is empty');
  const bytes = writeName(text);
  const name = nameAt(bytes, 0);
  if (name === '' || origin === '' || isSeparator(text, text.length - 1)) return name;
  const whole = `${name}.${origin}`;
  writeName(whole);
  return whole;
}
