import type { Container, EphemeralContainer } from '@cloudless/kube/types/core-v1';

/** 32-bit FNV-1a, in hexadecimal. */
export function fnv32a(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text, 'utf8')) {
    hash ^= byte;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

/**
 * What must not change under a running container: its name and image (upstream since 1.31: pickFieldsToHash).
 * Kept as an annotation, so that a restarted kubelet knows whether to keep the container.
 */
export function containerHash(spec: Container | EphemeralContainer): string {
  return fnv32a(JSON.stringify({ image: spec.image ?? '', name: spec.name }));
}
