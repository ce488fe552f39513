import { createHash } from 'node:crypto';

const keyBytes = 32;

/**
 * The gossip key that MetalLB makes of the secret `memberlist` (field `secretkey`): the first 32 bytes of the secret
 * followed by the SHA-256 of nothing. No hash of the secret (its code appends where it means to digest), so a longer
 * secret adds nothing, but speakers of both kinds have to agree. An empty secret means no encryption: undefined.
 *
 * Source: MetalLB, internal/speakerlist/speakerlist.go.
 */
export function metallbKey(secret: string | Uint8Array): Uint8Array | undefined {
  if (secret.length === 0) return undefined;
  return Buffer.concat([Buffer.from(secret), createHash('sha256').digest()]).subarray(0, keyBytes);
}
