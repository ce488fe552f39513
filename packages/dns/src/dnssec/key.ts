import { createECDH, createHash, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { writeName } from '../wire/name.ts';
import { dnskeyData, dsData, readDnskey } from '../wire/rdata.ts';
import type { SigningKey } from '../zone/zones.ts';

/** `csk`: one key for everything, the default; `ksk` signs the keys alone, `zsk` all the rest (RFC 6781 section 3.1). */
export type KeyRole = 'csk' | 'ksk' | 'zsk';

/**
 * When a key does what, milliseconds since the epoch: BIND's timing metadata, which travels in its private-key files.
 * Undefined: never. These times ARE the key's state, so every replica sees the same one and none has to be told.
 */
export interface KeyTimes {
  readonly created?: number | undefined;
  /** In the DNSKEY set from here on. */
  readonly publish?: number | undefined;
  /** Signs from here on. */
  readonly activate?: number | undefined;
  /** Signs no more. */
  readonly inactive?: number | undefined;
  /** Not in the DNSKEY set any more. */
  readonly delete?: number | undefined;
  /** In CDS and CDNSKEY from here on: its DS belongs at the parent (RFC 7344). */
  readonly syncPublish?: number | undefined;
  readonly syncDelete?: number | undefined;
}

/** A key as it is kept. The private part never appears in a log or an error. */
export interface StoredKey extends Omit<SigningKey, 'isActive' | 'isInParent'> {
  /** Lower case. */
  readonly origin: string;
  readonly times: KeyTimes;
}

/** A key cannot be used; `message` names it and the remedy, never the secret. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/** ECDSA P-256 with SHA-256 (RFC 6605). */
export const algorithmEcdsaP256 = 13;

const secureEntryPoint = 1;
/** The only value that there is (RFC 4034 section 2.1.2). */
const dnssecProtocol = 3;

/** RFC 4034 appendix B; for every algorithm but the historic 1. */
export function keyTagOf(dnskey: Buffer): number {
  let sum = 0;
  for (let i = 0; i < dnskey.length; i++)
    sum += (i & 1) === 0 ? (dnskey[i] as number) << 8 : (dnskey[i] as number);
  return (sum + ((sum >>> 16) & 0xffff)) & 0xffff;
}

/** Digest types of DS records (RFC 4509, RFC 6605). */
export const digestType = { sha256: 2, sha384: 4 } as const;

/** RDATA of the DS, and of the CDS, for a key (RFC 4034 section 5.1.4). */
export function dsOf(origin: string, dnskey: Buffer, digest: 2 | 4 = digestType.sha256): Buffer {
  const hash = createHash(digest === digestType.sha256 ? 'sha256' : 'sha384');
  return dsData({
    keyTag: keyTagOf(dnskey),
    algorithm: readDnskey(dnskey).algorithm,
    digestType: digest,
    digest: hash.update(writeName(origin)).update(dnskey).digest(),
  });
}

/**
 * A new key. It is published and signs at once unless `times` says otherwise. `taken` are key tags of the zone's other
 * keys: two with one tag would make validators try both (RFC 6840 section 5.8 tells them to, and not all do).
 */
export function generateKey(options: {
  origin: string;
  role?: KeyRole;
  nowMs: number;
  times?: KeyTimes;
  taken?: ReadonlySet<number>;
}): StoredKey {
  const flags = options.role === 'zsk' ? 256 : 257;
  const nowMs = Math.floor(options.nowMs / 1000) * 1000;
  const times = options.times ?? {
    publish: nowMs,
    activate: nowMs,
    ...(flags === 257 ? { syncPublish: nowMs } : {}),
  };
  for (;;) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { d = '' } = privateKey.export({ format: 'jwk' });
    const fields = {
      origin: options.origin.toLowerCase(),
      flags,
      times: { created: nowMs, ...times },
    } as const;
    const key = keyOfScalar(fields, Buffer.from(d, 'base64url'), 'a new key');
    if (!options.taken?.has(key.keyTag)) return key;
  }
}

/** A key from its private scalar, 32 octets; the public part follows from it. `source` is for errors. Throws {@link KeyError}. */
export function keyOfScalar(
  { origin, flags, times }: Pick<StoredKey, 'origin' | 'flags' | 'times'>,
  scalar: Buffer,
  source: string,
): StoredKey {
  const curve = createECDH('prime256v1');
  try {
    curve.setPrivateKey(scalar);
  } catch {
    throw new KeyError(`${source}: PrivateKey is not one of P-256, 32 octets in base64; copy the whole line`);
  }
  // 0x04 and then x and y.
  const publicKey = curve.getPublicKey().subarray(1);
  const privateKey = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: scalar.toString('base64url'),
      x: publicKey.subarray(0, 32).toString('base64url'),
      y: publicKey.subarray(32).toString('base64url'),
    },
  });
  const dnskey = dnskeyData({ flags, protocol: dnssecProtocol, algorithm: algorithmEcdsaP256, publicKey });
  return {
    origin,
    flags,
    algorithm: algorithmEcdsaP256,
    keyTag: keyTagOf(dnskey),
    dnskey,
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    times,
  };
}

/** The private scalar of a stored key, 32 octets. */
export function scalarOf(key: StoredKey): Buffer {
  const { d = '' } = createPrivateKey(key.privateKey).export({ format: 'jwk' });
  return Buffer.from(d, 'base64url');
}

export type KeyState = 'waiting' | 'published' | 'active' | 'retired' | 'removed';

/** What a key does at a time: waiting → published → active → retired (still published) → removed. */
export function keyState(times: KeyTimes, nowMs: number): KeyState {
  const reached = (time: number | undefined): boolean => time !== undefined && time <= nowMs;
  if (reached(times.delete)) return 'removed';
  if (reached(times.inactive)) return 'retired';
  if (reached(times.activate)) return 'active';
  return reached(times.publish) ? 'published' : 'waiting';
}

/**
 * The keys of a signing policy at a time, in order of their tags so that replicas agree, and when they are different
 * next (undefined: never). Without times at all (a key of another program) a key signs, and is in CDS if it may be.
 */
export function signingKeysAt(
  keys: readonly StoredKey[],
  nowMs: number,
): { keys: SigningKey[]; changesAtMs: number | undefined } {
  const served = keys
    .map((key) => ({ key, times: withDefaults(key) }))
    .filter(({ times }) => !['waiting', 'removed'].includes(keyState(times, nowMs)))
    .map(({ key, times }) => ({
      flags: key.flags,
      algorithm: key.algorithm,
      keyTag: key.keyTag,
      dnskey: key.dnskey,
      privateKey: key.privateKey,
      isActive: keyState(times, nowMs) === 'active',
      isInParent:
        (key.flags & secureEntryPoint) !== 0 &&
        keyState(times, nowMs) !== 'retired' &&
        (times.syncPublish ?? Infinity) <= nowMs &&
        nowMs < (times.syncDelete ?? Infinity),
    }))
    .sort((a, b) => a.keyTag - b.keyTag || a.dnskey.compare(b.dnskey));
  const ahead = keys.flatMap(({ times }) => Object.values(times) as (number | undefined)[]);
  const next = Math.min(...ahead.filter((time) => time !== undefined && time > nowMs).map(Number));
  return { keys: served, changesAtMs: Number.isFinite(next) ? next : undefined };
}

function withDefaults({ times }: StoredKey): KeyTimes {
  const { publish, activate, inactive, delete: deleted, syncPublish, syncDelete } = times;
  const isBare = [publish, activate, inactive, deleted].every((time) => time === undefined);
  const isUnsynced = syncPublish === undefined && syncDelete === undefined;
  return {
    ...times,
    ...(isBare ? { publish: 0, activate: 0 } : {}),
    // BIND's dnssec-keygen leaves SyncPublish out: what signs is what the parent should know.
    ...(isUnsynced ? { syncPublish: activate ?? (isBare ? 0 : undefined), syncDelete: inactive } : {}),
  };
}
