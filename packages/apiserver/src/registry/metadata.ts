import { randomBytes, randomUUID } from 'node:crypto';
import type { Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';

/** RFC 3339 with seconds, as metav1.Time is written. */
export const timestamp = (nowMs: number): string => `${new Date(nowMs).toISOString().slice(0, 19)}Z`;

/** Letters and digits that spell no words (apimachinery/pkg/util/rand). */
const safeCharacters = 'bcdfghjklmnpqrstvwxz2456789';
const suffixLength = 5;
const maxNameLength = 63;

/** `generateName` cut to fit, and five random safe characters (apiserver/pkg/storage/names/generate.go). */
export function generatedName(base: string): string {
  let suffix = '';
  while (suffix.length < suffixLength) {
    for (const byte of randomBytes(suffixLength * 2)) {
      // Bytes past the last whole multiple would favour the first characters.
      if (byte < 243 && suffix.length < suffixLength) suffix += safeCharacters[byte % safeCharacters.length];
    }
  }
  return base.slice(0, maxNameLength - suffixLength) + suffix;
}

/** Puts the request's namespace into the object, or refuses one that differs. */
export function matchNamespace(metadata: ObjectMeta, resource: Resource, namespace: string): void {
  if (!resource.namespaced) {
    delete metadata.namespace;
    return;
  }
  if ((metadata.namespace ?? '') !== '' && metadata.namespace !== namespace) {
    throw errors.badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  metadata.namespace = namespace;
}

/** Empties what only the server sets, in what a client sent (rest.WipeObjectMetaSystemFields). */
export function wipeSystemFields(metadata: ObjectMeta): void {
  delete metadata.uid;
  delete metadata.creationTimestamp;
  wipeLife(metadata);
}

/** What an object that is only being made cannot have yet. */
function wipeLife(metadata: ObjectMeta): void {
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
}

/** Sets what only the server sets: uid and creation time (rest.FillObjectMetaSystemFields). */
export function fillSystemFields(metadata: ObjectMeta, nowMs: number): void {
  wipeLife(metadata);
  metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(nowMs);
}
