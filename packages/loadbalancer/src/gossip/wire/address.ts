import { isIPv4, isIPv6 } from 'node:net';
import { Address6 } from 'ip-address';

/** Where a packet goes to or comes from. */
export interface Endpoint {
  /** IPv4 or IPv6 in its canonical text; an IPv6 address may have a zone where it came from a socket. */
  readonly address: string;
  readonly port: number;
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/** The text of 4 or 16 bytes; IPv4 in IPv6 (as Go's net.IP often is) becomes IPv4. Undefined for other lengths. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const buffer = Buffer.from(bytes);
  if (buffer.subarray(0, 12).equals(mappedPrefix)) return buffer.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => buffer.readUInt16BE(2 * index).toString(16));
  return new Address6(groups.join(':')).correctForm();
}

/** The bytes of an IPv4 (4) or IPv6 (16) address without zone; undefined when it is none. */
export function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const bytes = Buffer.from(new Address6(text).canonicalForm().replaceAll(':', ''), 'hex');
  return bytes.subarray(0, 12).equals(mappedPrefix) ? bytes.subarray(12) : bytes;
}

/** `192.0.2.1:7946`, `[2001:db8::1]:7946`. */
export function endpointText(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`;
}

/** Reads `ip`, `ip:port` or `[ip]:port`; undefined when it is none of them. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = bracketed ?? /^([^:]+)(?::(\d+))?$/.exec(text) ?? [text, text, undefined];
  const bytes = addressBytes(plain[1] ?? '');
  const address = bytes && addressText(bytes);
  const port = plain[2] === undefined ? defaultPort : Number(plain[2]);
  return address === undefined || port < 1 || port > 65_535 ? undefined : { address, port };
}
