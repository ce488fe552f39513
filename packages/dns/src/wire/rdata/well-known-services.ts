import { WireError } from '../name.ts';
import { type Field, numberText } from './field.ts';

const protocols: Readonly<Record<string, number>> = { ICMP: 1, TCP: 6, UDP: 17 };
/** The names that old zones have; others are written as numbers. */
const services: Readonly<Record<string, number>> = {
  FTP: 21,
  SSH: 22,
  TELNET: 23,
  SMTP: 25,
  TIME: 37,
  DOMAIN: 53,
  FINGER: 79,
  HTTP: 80,
  POP3: 110,
  SUNRPC: 111,
  NNTP: 119,
  NTP: 123,
  IMAP2: 143,
  SNMP: 161,
  HTTPS: 443,
};
const portBytes = 8192;

/** Protocol and ports of WKS (RFC 1035 section 3.4.2), as numbers. */
export const wellKnownServices: Field = {
  label: 'services',
  end(_data, start, limit) {
    if (start >= limit) throw new WireError('protocol is cut off');
    if (limit - start - 1 > portBytes) throw new WireError('the bit map of ports is too long');
    return limit;
  },
  print(data, start, end) {
    const words = [String(data[start])];
    for (let i = 0; i < (end - start - 1) * 8; i++)
      if (((data[start + 1 + (i >> 3)] as number) & (0x80 >> (i & 7))) !== 0) words.push(String(i));
    return words.join(' ');
  },
  parse(words, out) {
    const protocol = words.next('protocol').text;
    out.u8(protocols[protocol.toUpperCase()] ?? numberText(protocol, 'protocol', 255));
    const bits = Buffer.alloc(portBytes);
    let length = 0;
    for (const { text } of words.rest()) {
      const port = services[text.toUpperCase()] ?? numberText(text, 'port', 65_535);
      bits[port >> 3] = (bits[port >> 3] as number) | (0x80 >> (port & 7));
      length = Math.max(length, (port >> 3) + 1);
    }
    out.bytes(bits.subarray(0, length));
  },
};
