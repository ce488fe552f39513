import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** Address families as nft's names end: `services-frontends4`, `services-frontends6`. */
export type Family = 4 | 6;

/**
 * An address in the one text that nft, conntrack and the kernel write; undefined for any other text, and for IPv4
 * addresses in the dress of IPv6, which never come in a packet of either kind.
 */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  return address.startsWith('::ffff:') && address.includes('.') ? undefined : address;
}

export const familyOf = (ip: string): Family => (ip.includes(':') ? 6 : 4);

/** A block of addresses: all that agree with `first` in the leading `prefix` bits. */
export interface Block {
  family: Family;
  first: bigint;
  prefix: number;
}

const widthOf = (family: Family): number => (family === 4 ? 32 : 128);

function toNumber(ip: string): bigint {
  if (familyOf(ip) === 4) return ip.split('.').reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(ip);
  const [head = '', tail] = (
    dotted
      ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
      : ip
  ).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const missing = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...missing, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function toText(family: Family, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

/** Parses `10.1.0.0/16`, host bits and blanks around it tolerated as the API does; undefined for any other text. */
export function parseBlock(text: string): Block | undefined {
  const match = /^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(text.trim());
  const ip = match ? canonicalIp(match[1] as string) : undefined;
  const prefix = Number(match?.[2]);
  if (ip === undefined || prefix > widthOf(familyOf(ip))) return undefined;
  const family = familyOf(ip);
  const hostBits = BigInt(widthOf(family) - prefix);
  return { family, first: (toNumber(ip) >> hostBits) << hostBits, prefix };
}

export const formatBlock = ({ family, first, prefix }: Block): string => `${toText(family, first)}/${prefix}`;

/** Whether `ip` lies within `block`. */
export function inBlock(block: Block, ip: string): boolean {
  if (familyOf(ip) !== block.family) return false;
  const hostBits = BigInt(widthOf(block.family) - block.prefix);
  return toNumber(ip) >> hostBits === block.first >> hostBits;
}

/** The blocks that lie in no other, each once: the kernel's interval sets refuse overlaps. */
export function withoutNested(blocks: readonly Block[]): Block[] {
  const wideFirst = blocks.toSorted((a, b) => a.prefix - b.prefix);
  const kept: Block[] = [];
  for (const block of wideFirst)
    if (!kept.some((outer) => inBlock(outer, toText(block.family, block.first)))) kept.push(block);
  return kept;
}
