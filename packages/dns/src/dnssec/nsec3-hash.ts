import { hash } from 'node:crypto';
import { writeName } from '../wire/name.ts';

/**
 * The hashed owner name of RFC 5155 section 5: SHA-1, without salt and further iterations unless they are given, as RFC
 * 9276 section 3.1 wants it. `name` is lower case.
 */
export function nsec3Hash(name: string, iterations = 0, salt: Buffer = Buffer.alloc(0)): Buffer {
  const wire = writeName(name);
  let digest = hash('sha1', salt.length === 0 ? wire : Buffer.concat([wire, salt]), 'buffer');
  for (let i = 0; i < iterations; i++) digest = hash('sha1', Buffer.concat([digest, salt]), 'buffer');
  return digest;
}

/** The hash before (-1) or after (+1); they go round (RFC 5155 section 3.1.7). */
export function neighbour(digest: Buffer, step: 1 | -1): Buffer {
  const next = Buffer.from(digest);
  const edge = step === 1 ? 0xff : 0;
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] as number;
    next[i] = byte + step;
    if (byte !== edge) break;
  }
  return next;
}
