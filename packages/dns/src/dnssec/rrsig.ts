import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { labelsOf, writeName } from '../wire/name.ts';
import { canonicalData, readDnskey, readRrsig, rrsigData } from '../wire/rdata.ts';
import { classIn } from '../wire/types.ts';
import type { RRset } from '../zone/zone.ts';
import type { SigningKey } from '../zone/zones.ts';
import { algorithmEcdsaP256, keyTagOf } from './key.ts';
import { signatureLabels } from './name-order.ts';

/** A key ready to sign. */
export interface ActiveKey {
  readonly keyTag: number;
  readonly privateKey: KeyObject;
}

/** Parses the private key, which takes longer than a signature: once per key and thread. */
export function activeKey(key: SigningKey): ActiveKey {
  return { keyTag: key.keyTag, privateKey: createPrivateKey(key.privateKey) };
}

/** What of an RRSIG is chosen when it is made; the rest follows from the set and the key. */
export interface SignatureFields {
  /** The zone's origin. */
  readonly signer: string;
  readonly inceptionSeconds: number;
  readonly expirationSeconds: number;
}

/**
 * RDATA of the RRSIG by `key` over `rrset` (RFC 4034 section 3.1). A set whose owner is a wildcard gives the signature
 * that every name expanded from it carries.
 */
export function signRRset(rrset: RRset, key: ActiveKey, fields: SignatureFields): Buffer {
  const head = rrsigData({
    typeCovered: rrset.type,
    algorithm: algorithmEcdsaP256,
    labels: signatureLabels(rrset.name),
    originalTtlSeconds: rrset.ttlSeconds,
    // Serial number arithmetic (RFC 1982): the fields go round in 2106.
    expiration: fields.expirationSeconds >>> 0,
    inception: fields.inceptionSeconds >>> 0,
    keyTag: key.keyTag,
    signer: fields.signer,
    signature: noSignature,
  });
  const signed = Buffer.concat([head, canonicalRRset(rrset, rrset.name, rrset.ttlSeconds)]);
  const signature = sign('sha256', signed, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return Buffer.concat([head, signature]);
}

const noSignature = Buffer.alloc(0);

/** The set as it is signed (RFC 4034 sections 3.1.8.1 and 6.2): owner lower case, names in the data too, in order. */
function canonicalRRset({ type, data }: RRset, owner: string, ttlSeconds: number): Buffer {
  const name = writeName(owner.toLowerCase());
  const parts: Buffer[] = [];
  for (const one of inOrder(data.map((one) => canonicalData(type, one)))) {
    const fixed = Buffer.allocUnsafe(10);
    fixed.writeUInt16BE(type, 0);
    fixed.writeUInt16BE(classIn, 2);
    fixed.writeUInt32BE(ttlSeconds, 4);
    fixed.writeUInt16BE(one.length, 8);
    parts.push(name, fixed, one);
  }
  return Buffer.concat(parts);
}

function inOrder(data: Buffer[]): Buffer[] {
  if (data.length < 2) return data;
  return data.sort((a, b) => a.compare(b)).filter((one, i) => i === 0 || !one.equals(data[i - 1] as Buffer));
}

/**
 * Whether an RRSIG's data is a signature over `rrset` by the key of `dnskey`, whatever its times (RFC 4035 section 5.3).
 * With fewer labels than the owner has, the set was expanded from a wildcard.
 */
export function verifyRRset(rrset: RRset, rrsig: Buffer, dnskey: Buffer): boolean {
  const { signature, labels, typeCovered, originalTtlSeconds, keyTag, algorithm } = readRrsig(rrsig);
  const owner = ownerBeforeExpansion(rrset.name, labels);
  if (typeCovered !== rrset.type || keyTag !== keyTagOf(dnskey) || owner === undefined) return false;
  if (algorithm !== algorithmEcdsaP256 || readDnskey(dnskey).algorithm !== algorithmEcdsaP256) return false;
  const head = rrsig.subarray(0, rrsig.length - signature.length);
  const signed = Buffer.concat([head, canonicalRRset(rrset, owner, originalTtlSeconds)]);
  const { publicKey } = readDnskey(dnskey);
  const key = createPublicKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: publicKey.subarray(0, 32).toString('base64url'),
      y: publicKey.subarray(32).toString('base64url'),
    },
  });
  return verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

function ownerBeforeExpansion(owner: string, labels: number): string | undefined {
  const present = signatureLabels(owner);
  if (labels > present) return undefined;
  if (labels === present) return owner;
  const all = labelsOf(owner);
  return ['*', ...all.slice(all.length - labels)].join('.');
}
