import { randomBytes, randomUUID } from 'node:crypto';
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { ObjectMeta, OwnerReference } from '@cloudless/kube/types/meta-v1';
import { nameRuleOf } from './rules.ts';
import { isDns1123Label, isLabelValue, isQualifiedName } from './validation/names.ts';

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

/** Empties what only the server sets, then sets it: uid and creation time (rest.FillObjectMetaSystemFields). */
export function fillSystemFields(metadata: ObjectMeta, nowMs: number): void {
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
  delete metadata.managedFields;
  delete metadata.generation;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(nowMs);
}

const root = FieldPath.of('metadata');
const maxAnnotationBytes = 256 * 1024;

function validateLabels(labels: Record<string, string> | undefined, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  for (const name in labels) {
    for (const text of isQualifiedName(name)) found.push(fieldErrors.invalid(path, name, text));
    for (const text of isLabelValue(labels[name] as string)) {
      found.push(fieldErrors.invalid(path, labels[name], text));
    }
  }
  return found;
}

function validateAnnotations(annotations: Record<string, string> | undefined, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  let bytes = 0;
  for (const name in annotations) {
    for (const text of isQualifiedName(name.toLowerCase())) found.push(fieldErrors.invalid(path, name, text));
    bytes += Buffer.byteLength(name) + Buffer.byteLength(String(annotations[name]));
  }
  if (bytes > maxAnnotationBytes) found.push(fieldErrors.tooLong(path, maxAnnotationBytes));
  return found;
}

function validateOwner(owner: OwnerReference, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  if (!owner.apiVersion) found.push(fieldErrors.required(path.child('apiVersion'), 'must not be empty'));
  else if (owner.apiVersion.split('/').length > 2) {
    found.push(
      fieldErrors.invalid(path.child('apiVersion'), owner.apiVersion, 'must be <group>/<version> or <version>'),
    );
  }
  for (const name of ['kind', 'name', 'uid'] as const) {
    if (!owner[name]) found.push(fieldErrors.required(path.child(name), 'must not be empty'));
  }
  if (owner.apiVersion === 'v1' && owner.kind === 'Event') {
    found.push(fieldErrors.invalid(path, owner, '/v1, Kind=Event is disallowed from being an owner'));
  }
  return found;
}

function validateOwners(owners: readonly OwnerReference[] | undefined, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  let controller = '';
  for (const [i, owner] of (owners ?? []).entries()) {
    found.push(...validateOwner(owner, path.index(i)));
    if (owner.controller !== true) continue;
    const name = `${owner.kind}/${owner.name}`;
    if (controller === '') controller = name;
    else {
      const text = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`;
      found.push(fieldErrors.invalid(path, owners, text));
    }
  }
  return found;
}

function validateFinalizers(finalizers: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  for (const name of finalizers ?? []) {
    for (const text of isQualifiedName(name)) found.push(fieldErrors.invalid(path, name, text));
  }
  if (finalizers?.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    const text = 'finalizer orphan and foregroundDeletion cannot be both set';
    found.push(fieldErrors.invalid(path, finalizers, text));
  }
  return found;
}

/**
 * Metadata of an object that is created, in upstream's words (apimachinery/pkg/api/validation/objectmeta.go).
 * The name must have been generated by now.
 */
export function validateMetadata(object: KubeObject, resource: Resource): FieldError[] {
  const { metadata } = object;
  const found: FieldError[] = [];
  const rule = nameRuleOf(resource);
  if (metadata.generateName) {
    for (const text of rule(metadata.generateName, true)) {
      found.push(fieldErrors.invalid(root.child('generateName'), metadata.generateName, text));
    }
  }
  if (!metadata.name) found.push(fieldErrors.required(root.child('name'), 'name or generateName is required'));
  else {
    for (const text of rule(metadata.name)) found.push(fieldErrors.invalid(root.child('name'), metadata.name, text));
  }
  if (resource.namespaced) {
    if (!metadata.namespace) found.push(fieldErrors.required(root.child('namespace')));
    else {
      for (const text of isDns1123Label(metadata.namespace)) {
        found.push(fieldErrors.invalid(root.child('namespace'), metadata.namespace, text));
      }
    }
  }
  found.push(...validateLabels(metadata.labels, root.child('labels')));
  found.push(...validateAnnotations(metadata.annotations, root.child('annotations')));
  found.push(...validateOwners(metadata.ownerReferences, root.child('ownerReferences')));
  found.push(...validateFinalizers(metadata.finalizers, root.child('finalizers')));
  return found;
}

const immutable = ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const;

/** Metadata of an update; system fields have been carried over from `old` where the client left them out. */
export function validateMetadataUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const { metadata } = object;
  const found: FieldError[] = [];
  if (old.metadata.deletionTimestamp) {
    const known = new Set(old.metadata.finalizers ?? []);
    const added = (metadata.finalizers ?? []).filter((name) => !known.has(name)).sort();
    if (added.length > 0) {
      const shown = added.map((name) => JSON.stringify(name)).join(', ');
      const text = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${shown}}`;
      found.push(fieldErrors.forbidden(root.child('finalizers'), text));
    }
  }
  for (const name of immutable) {
    if ((metadata[name] ?? '') !== (old.metadata[name] ?? '')) {
      found.push(fieldErrors.invalid(root.child(name), metadata[name] ?? '', 'field is immutable'));
    }
  }
  found.push(...validateLabels(metadata.labels, root.child('labels')));
  found.push(...validateAnnotations(metadata.annotations, root.child('annotations')));
  found.push(...validateOwners(metadata.ownerReferences, root.child('ownerReferences')));
  found.push(...validateFinalizers(metadata.finalizers, root.child('finalizers')));
  return found;
}
