import { nameAt, readName, WireError, writeName } from '../name.ts';
import { addressBytes } from './address.ts';
import { DataWriter } from './data-writer.ts';

const writer = new DataWriter();

/** RFC 1035 section 3.3.13. */
export interface Soa {
  primary: string;
  /** The mailbox as a name: `hostmaster.example`. */
  mailbox: string;
  serial: number;
  refreshSeconds: number;
  retrySeconds: number;
  expireSeconds: number;
  /** TTL of negative answers, with the SOA's own (RFC 2308). */
  minimumSeconds: number;
}

export function soaData(soa: Soa): Buffer {
  writer.clear();
  writer.name(soa.primary);
  writer.name(soa.mailbox);
  for (const value of [
    soa.serial,
    soa.refreshSeconds,
    soa.retrySeconds,
    soa.expireSeconds,
    soa.minimumSeconds,
  ])
    writer.u32(value);
  return writer.take();
}

/** Of data that `checkData` accepts, as all readers here; others throw {@link WireError} or RangeError. */
export function readSoa(data: Buffer): Soa {
  const primary = readName(data, 0);
  const mailbox = readName(data, primary.end);
  const number = (index: number): number => data.readUInt32BE(mailbox.end + index * 4);
  return {
    primary: primary.name,
    mailbox: mailbox.name,
    serial: number(0),
    refreshSeconds: number(1),
    retrySeconds: number(2),
    expireSeconds: number(3),
    minimumSeconds: number(4),
  };
}

/** The name in data that is one name: NS, CNAME, PTR, DNAME. Made by `writeName`. */
export function readTarget(data: Buffer): string {
  return nameAt(data, 0);
}

export function mxData(preference: number, exchange: string): Buffer {
  writer.clear();
  writer.u16(preference);
  writer.name(exchange);
  return writer.take();
}

export function readMx(data: Buffer): { preference: number; exchange: string } {
  return { preference: data.readUInt16BE(0), exchange: nameAt(data, 2) };
}

/** RFC 2782. */
export function srvData(priority: number, weight: number, port: number, target: string): Buffer {
  writer.clear();
  writer.u16(priority);
  writer.u16(weight);
  writer.u16(port);
  writer.name(target);
  return writer.take();
}

export function readSrv(data: Buffer): { priority: number; weight: number; port: number; target: string } {
  return {
    priority: data.readUInt16BE(0),
    weight: data.readUInt16BE(2),
    port: data.readUInt16BE(4),
    target: nameAt(data, 6),
  };
}

/** Text of any length in UTF-8, cut into strings of at most 255 octets (RFC 1035 section 3.3.14). */
export function txtData(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  writer.clear();
  for (let start = 0; start === 0 || start < bytes.length; start += 255) {
    const part = bytes.subarray(start, start + 255);
    writer.u8(part.length);
    writer.bytes(part);
  }
  return writer.take();
}

/** The strings of a TXT or SPF record. */
export function readTxt(data: Buffer): Buffer[] {
  const strings: Buffer[] = [];
  for (let position = 0; position < data.length;) {
    const end = position + 1 + (data[position] as number);
    if (end > data.length) throw new WireError('a string of TXT is cut off');
    strings.push(data.subarray(position + 1, end));
    position = end;
  }
  return strings;
}

/** RFC 8659. `flags` 128: critical. */
export function caaData(flags: number, tag: string, value: string): Buffer {
  const tagBytes = Buffer.from(tag, 'latin1');
  return Buffer.concat([Buffer.of(flags, tagBytes.length), tagBytes, Buffer.from(value)]);
}

export function readCaa(data: Buffer): { flags: number; tag: string; value: string } {
  const end = 2 + data.readUInt8(1);
  return {
    flags: data.readUInt8(0),
    tag: data.toString('latin1', 2, end),
    value: data.toString('utf8', end),
  };
}

/** `10.96.0.10` → `10.0.96.10.in-addr.arpa`; IPv6 by nibbles under ip6.arpa (RFC 3596). Throws {@link WireError}. */
export function reverseName(ip: string): string {
  const bytes = addressBytes(ip);
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  return `${bytes.toString('hex').split('').reverse().join('.')}.ip6.arpa`;
}

/** Data that is one name. */
export const targetData = writeName;
