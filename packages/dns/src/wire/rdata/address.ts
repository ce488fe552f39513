import { isIPv4, isIPv6 } from 'node:net';
import { WireError } from '../name.ts';

/** Octets of an IPv4 or IPv6 address. Throws {@link WireError} for text that is neither. */
export function addressBytes(text: string): Buffer {
  return text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text);
}

export function ipv4Bytes(text: string): Buffer {
  if (!isIPv4(text)) throw new WireError(`${text} is not an IPv4 address`);
  return Buffer.from(text.split('.').map(Number));
}

export function ipv6Bytes(text: string): Buffer {
  if (!isIPv6(text) || text.includes('%')) throw new WireError(`${text} is not an IPv6 address`);
  const [head = '', tail] = text.split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const data = Buffer.alloc(16);
  front.forEach((group, i) => data.writeUInt16BE(group, i * 2));
  back.forEach((group, i) => data.writeUInt16BE(group, 16 - (back.length - i) * 2));
  return data;
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [parseInt(group, 16)];
    const [a, b, c, d] = group.split('.').map(Number) as [number, number, number, number];
    return [a * 256 + b, c * 256 + d];
  });
}

/** `192.0.2.1`, or IPv6 by RFC 5952: lower case, the longest run of two or more zero groups as `::`. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[i * 2] as number) << 8) | (bytes[i * 2 + 1] as number),
  );
  // An IPv4-mapped address keeps its dots (RFC 5952 section 5).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return `::ffff:${bytes.slice(12).join('.')}`;
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best.length === 1) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}
