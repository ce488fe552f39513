import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { CipherGCMTypes } from 'node:crypto';

/** 0 pads to blocks of 16 bytes (protocol version 1), 1 does not (all later ones). */
export type EncryptionVersion = 0 | 1;

const nonceBytes = 12;
const tagBytes = 16;
const blockBytes = 16;

/** A key that AES has no use for, or a packet that no key opens. */
export class EncryptionError extends Error {
  override readonly name = 'EncryptionError';
}

/** Keys of a cluster: the first encrypts, every one may decrypt, so that keys can be changed while all run. */
export class KeyRing {
  readonly keys: readonly Buffer[];

  /** Throws {@link EncryptionError} when a key has not 16, 24 or 32 bytes, or none is given. */
  constructor(keys: readonly Uint8Array[]) {
    if (keys.length === 0) throw new EncryptionError('a key ring needs at least one key');
    for (const key of keys)
      if (![16, 24, 32].includes(key.length))
        throw new EncryptionError(`a gossip key has ${key.length} bytes: AES takes 16, 24 or 32`);
    this.keys = keys.map((key) => Buffer.from(key));
  }

  get primary(): Buffer {
    return this.keys[0] ?? Buffer.alloc(0);
  }
}

/** Bytes that encryption adds at most. */
export function encryptionOverhead(version: EncryptionVersion): number {
  return 1 + nonceBytes + tagBytes + (version === 0 ? blockBytes : 0);
}

/** Bytes of the encrypted form of `plainBytes`. */
export function encryptedBytes(version: EncryptionVersion, plainBytes: number): number {
  const padding = version === 0 ? blockBytes - (plainBytes % blockBytes) : 0;
  return 1 + nonceBytes + plainBytes + padding + tagBytes;
}

/** AES-GCM: version, nonce, ciphertext, tag. `authenticated` is covered by the tag and not sent. */
export function encrypt(
  version: EncryptionVersion,
  ring: KeyRing,
  plain: Uint8Array,
  authenticated: Uint8Array,
): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(cipherOf(ring.primary), ring.primary, nonce);
  cipher.setAAD(authenticated);
  const padding = version === 0 ? blockBytes - (plain.length % blockBytes) : 0;
  return Buffer.concat([
    Buffer.of(version),
    nonce,
    cipher.update(plain),
    cipher.update(Buffer.alloc(padding, padding)),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

/** Tries each key. Throws {@link EncryptionError} when the bytes are not encrypted, or with another key. */
export function decrypt(ring: KeyRing, sealed: Buffer, authenticated: Uint8Array): Buffer {
  const version = sealed[0];
  if (version !== 0 && version !== 1)
    throw new EncryptionError('not encrypted, though this member has a key');
  if (sealed.length < encryptedBytes(version, 0))
    throw new EncryptionError(`not encrypted, though this member has a key: only ${sealed.length} bytes`);
  for (const key of ring.keys) {
    const plain = open(key, sealed, authenticated);
    if (plain) return version === 0 ? unpad(plain) : plain;
  }
  throw new EncryptionError('encrypted with a key that this member has not');
}

function open(key: Buffer, sealed: Buffer, authenticated: Uint8Array): Buffer | undefined {
  const decipher = createDecipheriv(cipherOf(key), key, sealed.subarray(1, 1 + nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(authenticated);
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const plain = decipher.update(sealed.subarray(1 + nonceBytes, sealed.length - tagBytes));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return undefined;
  }
}

function unpad(plain: Buffer): Buffer {
  const padding = plain.at(-1) ?? 0;
  if (padding < 1 || padding > blockBytes || padding > plain.length)
    throw new EncryptionError('decrypted, but padded as no member does');
  return plain.subarray(0, plain.length - padding);
}

function cipherOf(key: Buffer): CipherGCMTypes {
  return `aes-${key.length * 8}-gcm` as CipherGCMTypes;
}
