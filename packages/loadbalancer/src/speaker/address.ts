/** An address as a number, beside its canonical text. */
export interface IpAddress {
  readonly text: string;
  readonly family: 4 | 6;
  readonly value: bigint;
}

const octets = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** Parses an IPv4 or IPv6 address without prefix or zone; undefined when it is none. */
export function addressOf(text: string): IpAddress | undefined {
  const match = octets.exec(text);
  if (match) {
    let value = 0;
    for (let i = 1; i <= 4; i++) {
      const octet = Number(match[i]);
      if (octet > 255) return undefined;
      value = value * 256 + octet;
    }
    return { text, family: 4, value: BigInt(value) };
  }
  if (!text.includes(':') || text.includes('/') || text.includes('%')) return undefined;
  const value = groupsValue(text);
  return value === undefined ? undefined : { text: addressText(6, value), family: 6, value };
}

/** The canonical text (RFC 5952) of an address that is a number. */
export function addressText(family: 4 | 6, value: bigint): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 0xff}.${(number >>> 8) & 0xff}.${number & 0xff}`;
  }
  const hex = value.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, i) => Number.parseInt(hex.slice(i * 4, i * 4 + 4), 16));
  // The first of the longest runs of two and more zeros is left out.
  let from = 8;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [from, length] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return from === 8 ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`;
}

/** RFC 4291, section 2.2: groups of hexadecimal digits, at most one `::`, the last two groups maybe as IPv4. */
function groupsValue(text: string): bigint | undefined {
  const embedded = /^(.*:)([\d.]+)$/.exec(text);
  if (embedded?.[2]?.includes('.')) {
    const low = addressOf(embedded[2]);
    if (!low) return undefined;
    return groupsValue(
      `${embedded[1]}${(low.value >> 16n).toString(16)}:${(low.value & 0xffffn).toString(16)}`,
    );
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let hex = '0x';
  for (const group of [...head, ...Array.from({ length: missing }, () => '0'), ...tail]) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
    hex += group.padStart(4, '0');
  }
  return BigInt(hex);
}
