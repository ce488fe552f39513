import type { Peer } from './request.ts';

/** Where the message at hand came from, its address in network order: one object is used for message after message. */
export class Client {
  /** The address begins at {@link start}. */
  bytes: Uint8Array = new Uint8Array(16);
  start = 0;
  /** 4 or 16; IPv4-mapped addresses are IPv4. */
  length = 4;
  port = 0;
  /** Index in `transports`: 0 by UDP, 1 by TCP, 2 over TLS. */
  transport = 0;
}

/** The client in words, for those who are asked seldom. */
export function peerOf(client: Client): Peer {
  return {
    address: addressText(client.bytes, client.start, client.length),
    port: client.port,
    transport: client.transport === 0 ? 'udp' : client.transport === 1 ? 'tcp' : 'tls',
  };
}

/** An address in network order as text (RFC 5952). */
export function addressText(bytes: Uint8Array, start: number, length: number): string {
  if (length === 4) return [0, 1, 2, 3].map((i) => bytes[start + i]).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[start + i * 2] as number) << 8) | (bytes[start + i * 2 + 1] as number)).toString(16),
  );
  return shortened(groups);
}

/** The longest run of zero groups as `::` (RFC 5952 section 4.2). */
function shortened(groups: readonly string[]): string {
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === '0') length += 1;
    if (length > best.length) best = { at, length };
  }
  if (best.at < 0) return groups.join(':');
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`;
}
