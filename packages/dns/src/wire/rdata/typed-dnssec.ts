import { readName } from '../name.ts';
import { readTypeBitmap, typeBitmap } from './bitmap.ts';
import { DataWriter } from './data-writer.ts';

const writer = new DataWriter();

/** RFC 4034 section 2; CDNSKEY (RFC 7344) has the same data. */
export interface Dnskey {
  flags: number;
  protocol: number;
  algorithm: number;
  publicKey: Buffer;
}

export function dnskeyData(key: Dnskey): Buffer {
  writer.clear();
  writer.u16(key.flags);
  writer.u8(key.protocol);
  writer.u8(key.algorithm);
  writer.bytes(key.publicKey);
  return writer.take();
}

export function readDnskey(data: Buffer): Dnskey {
  return {
    flags: data.readUInt16BE(0),
    protocol: data.readUInt8(2),
    algorithm: data.readUInt8(3),
    publicKey: data.subarray(4),
  };
}

/** RFC 4034 section 5; CDS (RFC 7344) has the same data. */
export interface Ds {
  keyTag: number;
  algorithm: number;
  digestType: number;
  digest: Buffer;
}

export function dsData(ds: Ds): Buffer {
  writer.clear();
  writer.u16(ds.keyTag);
  writer.u8(ds.algorithm);
  writer.u8(ds.digestType);
  writer.bytes(ds.digest);
  return writer.take();
}

export function readDs(data: Buffer): Ds {
  return {
    keyTag: data.readUInt16BE(0),
    algorithm: data.readUInt8(2),
    digestType: data.readUInt8(3),
    digest: data.subarray(4),
  };
}

/** RFC 4034 section 3. Times are seconds since the epoch modulo 2^32. */
export interface Rrsig {
  typeCovered: number;
  algorithm: number;
  labels: number;
  originalTtlSeconds: number;
  expiration: number;
  inception: number;
  keyTag: number;
  signer: string;
  signature: Buffer;
}

/** With an empty signature: what is signed in front of the records (RFC 4034 section 3.1.8.1). */
export function rrsigData(rrsig: Rrsig): Buffer {
  writer.clear();
  writer.u16(rrsig.typeCovered);
  writer.u8(rrsig.algorithm);
  writer.u8(rrsig.labels);
  writer.u32(rrsig.originalTtlSeconds);
  writer.u32(rrsig.expiration);
  writer.u32(rrsig.inception);
  writer.u16(rrsig.keyTag);
  writer.name(rrsig.signer);
  writer.bytes(rrsig.signature);
  return writer.take();
}

export function readRrsig(data: Buffer): Rrsig {
  const signer = readName(data, 18);
  return {
    typeCovered: data.readUInt16BE(0),
    algorithm: data.readUInt8(2),
    labels: data.readUInt8(3),
    originalTtlSeconds: data.readUInt32BE(4),
    expiration: data.readUInt32BE(8),
    inception: data.readUInt32BE(12),
    keyTag: data.readUInt16BE(16),
    signer: signer.name,
    signature: data.subarray(signer.end),
  };
}

/** RFC 4034 section 4. */
export function nsecData(next: string, types: Iterable<number>): Buffer {
  writer.clear();
  writer.name(next);
  writer.bytes(typeBitmap(types));
  return writer.take();
}

export function readNsec(data: Buffer): { next: string; types: number[] } {
  const next = readName(data, 0);
  return { next: next.name, types: readTypeBitmap(data.subarray(next.end)) };
}

/** RFC 5155 section 3; of NSEC3PARAM `flags` is 0 and there is neither next owner nor types. */
export interface Nsec3Parameters {
  hashAlgorithm: number;
  flags: number;
  iterations: number;
  salt: Buffer;
}

export interface Nsec3 extends Nsec3Parameters {
  nextHashedOwner: Buffer;
  types: number[];
}

export function nsec3ParamData(parameters: Nsec3Parameters): Buffer {
  writer.clear();
  writer.u8(parameters.hashAlgorithm);
  writer.u8(parameters.flags);
  writer.u16(parameters.iterations);
  writer.u8(parameters.salt.length);
  writer.bytes(parameters.salt);
  return writer.take();
}

export function nsec3Data(nsec3: Nsec3): Buffer {
  return Buffer.concat([
    nsec3ParamData(nsec3),
    Buffer.of(nsec3.nextHashedOwner.length),
    nsec3.nextHashedOwner,
    typeBitmap(nsec3.types),
  ]);
}

export function readNsec3Param(data: Buffer): Nsec3Parameters {
  return {
    hashAlgorithm: data.readUInt8(0),
    flags: data.readUInt8(1),
    iterations: data.readUInt16BE(2),
    salt: data.subarray(5, 5 + data.readUInt8(4)),
  };
}

export function readNsec3(data: Buffer): Nsec3 {
  const parameters = readNsec3Param(data);
  const start = 5 + parameters.salt.length;
  const end = start + 1 + data.readUInt8(start);
  return {
    ...parameters,
    nextHashedOwner: data.subarray(start + 1, end),
    types: readTypeBitmap(data.subarray(end)),
  };
}

/** RFC 8945 section 4.2. */
export interface Tsig {
  algorithm: string;
  /** Seconds since the epoch; 48 bits. */
  timeSigned: number;
  fudgeSeconds: number;
  mac: Buffer;
  originalId: number;
  error: number;
  other: Buffer;
}

export function tsigData(tsig: Tsig): Buffer {
  writer.clear();
  writer.name(tsig.algorithm);
  writer.u48(tsig.timeSigned);
  writer.u16(tsig.fudgeSeconds);
  writer.u16(tsig.mac.length);
  writer.bytes(tsig.mac);
  writer.u16(tsig.originalId);
  writer.u16(tsig.error);
  writer.u16(tsig.other.length);
  writer.bytes(tsig.other);
  return writer.take();
}

/** Of data that `checkData` accepts. */
export function readTsig(data: Buffer): Tsig {
  const algorithm = readName(data, 0);
  const macStart = algorithm.end + 10;
  const macEnd = macStart + data.readUInt16BE(macStart - 2);
  return {
    algorithm: algorithm.name,
    timeSigned: data.readUIntBE(algorithm.end, 6),
    fudgeSeconds: data.readUInt16BE(algorithm.end + 6),
    mac: data.subarray(macStart, macEnd),
    originalId: data.readUInt16BE(macEnd),
    error: data.readUInt16BE(macEnd + 2),
    other: data.subarray(macEnd + 6, macEnd + 6 + data.readUInt16BE(macEnd + 4)),
  };
}
