import { Address4, Address6 } from 'ip-address';

/** An address as a number, beside its canonical text. */
export interface IpAddress {
  readonly text: string;
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** Parses an IPv4 or IPv6 address without prefix or zone; undefined when it is none. */
export function addressOf(text: string): IpAddress | undefined {
  if (text.includes('/') || text.includes('%')) return undefined;
  if (Address4.isValid(text)) return { text, family: 4, value: new Address4(text).bigInt() };
  if (!Address6.isValid(text)) return undefined;
  const address = new Address6(text);
  return { text: address.correctForm(), family: 6, value: address.bigInt() };
}
