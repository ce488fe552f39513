import type { PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import { canonicalJson } from '../runtime/compare.ts';

export const hashLabel = 'pod-template-hash';

/** Letters in which no word can form (upstream: util/rand.SafeEncodeString). */
const safeAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** FNV-1a, 32 bits. */
export function fnv1a32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** Each character mapped into the safe alphabet by its code. */
export function safeEncode(text: string): string {
  let encoded = '';
  for (const char of text) encoded += safeAlphabet[(char.codePointAt(0) ?? 0) % safeAlphabet.length];
  return encoded;
}

/**
 * The label that tells ReplicaSets of one Deployment apart: a hash of the template and of how often its name was
 * taken already. Upstream hashes Go's print of the structure, which changes with its versions and can be copied
 * by nobody; controllers compare templates, never hashes, so that either side takes over from the other.
 */
export function podTemplateHash(
  template: PodTemplateSpec | undefined,
  collisionCount: number | undefined,
): string {
  const text = canonicalJson(template ?? {}) + (collisionCount === undefined ? '' : `#${collisionCount}`);
  return safeEncode(String(fnv1a32(Buffer.from(text))));
}

/** A template without the label that a ReplicaSet adds: what counts when templates are compared. */
export function templateIdentity(template: PodTemplateSpec | undefined): string {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  return canonicalJson({ ...template, metadata: { ...template?.metadata, labels } });
}
