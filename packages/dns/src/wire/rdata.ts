import { readName, rrType, WireError, writeName } from './name.ts';

/** RDATA of an A or AAAA record. `ip` is valid text, as the API server has validated it. */
export function addressData(ip: string): Buffer {
  return ip.includes(':') ? ipv6Data(ip) : Buffer.from(ip.split('.').map(Number));
}

function ipv6Data(ip: string): Buffer {
  const [head = '', tail] = ip.split('::');
  const groups = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (!group.includes('.')) return [parseInt(group, 16)];
          const [a, b, c, d] = group.split('.').map(Number) as [number, number, number, number];
          return [a * 256 + b, c * 256 + d];
        });
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  const data = Buffer.alloc(16);
  all.forEach((group, i) => data.writeUInt16BE(group, i * 2));
  return data;
}

/** RFC 2782. */
export function srvData(priority: number, weight: number, port: number, target: string): Buffer {
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(priority, 0);
  fixed.writeUInt16BE(weight, 2);
  fixed.writeUInt16BE(port, 4);
  return Buffer.concat([fixed, writeName(target)]);
}

/** RFC 1035 section 3.3.14: strings of at most 255 octets. */
export function txtData(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** RFC 1035 section 3.3.13. */
export function soaData(soa: {
  primary: string;
  mailbox: string;
  serial: number;
  refreshSeconds: number;
  retrySeconds: number;
  expireSeconds: number;
  minimumSeconds: number;
}): Buffer {
  const numbers = Buffer.alloc(20);
  [soa.serial, soa.refreshSeconds, soa.retrySeconds, soa.expireSeconds, soa.minimumSeconds].forEach(
    (value, i) => numbers.writeUInt32BE(value, i * 4),
  );
  return Buffer.concat([writeName(soa.primary), writeName(soa.mailbox), numbers]);
}

/** `10.96.0.10` → `10.0.96.10.in-addr.arpa`; IPv6 by nibbles under ip6.arpa (RFC 3596). */
export function reverseName(ip: string): string {
  if (!ip.includes(':')) return `${ip.split('.').reverse().join('.')}.in-addr.arpa`;
  return `${ipv6Data(ip).toString('hex').split('').reverse().join('.')}.ip6.arpa`;
}

/** Octets before the first name in RDATA, and how many names there are, of types whose names may be compressed. */
const namesIn: Record<number, { fixedBytes: number; names: number }> = {
  [rrType.NS]: { fixedBytes: 0, names: 1 },
  [rrType.CNAME]: { fixedBytes: 0, names: 1 },
  [rrType.PTR]: { fixedBytes: 0, names: 1 },
  [rrType.MX]: { fixedBytes: 2, names: 1 },
  [rrType.SRV]: { fixedBytes: 6, names: 1 },
  [rrType.SOA]: { fixedBytes: 0, names: 2 },
};

/**
 * RDATA out of a message, with its names written out: pointers mean nothing in another message. Other types than those
 * of RFC 1035 are not compressed (RFC 3597 section 4) and are copied. Throws WireError.
 */
export function uncompressedData(message: Buffer, type: number, start: number, end: number): Buffer {
  const layout = namesIn[type];
  if (!layout) return Buffer.from(message.subarray(start, end));
  const parts: Buffer[] = [Buffer.from(message.subarray(start, start + layout.fixedBytes))];
  let position = start + layout.fixedBytes;
  for (let i = 0; i < layout.names; i++) {
    const { name, end: after } = readName(message, position);
    parts.push(writeName(name));
    position = after;
  }
  if (position > end) throw new WireError('a name runs past the end of its record');
  parts.push(Buffer.from(message.subarray(position, end)));
  return Buffer.concat(parts);
}
