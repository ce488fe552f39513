import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Entry } from '../cache/entry.ts';
import { convert } from './conversion.ts';
import type { StoredResource } from './registry.ts';
import { cloneJson } from '../storage/codec.ts';
import { freezeInterned } from '../storage/intern.ts';

interface View {
  object: KubeObject;
  json?: Buffer;
}
/** Views in versions other than the stored one, by entry and `group/version`. */
const views = new WeakMap<Entry, Map<string, View>>();

const isStored = (entry: Entry, resource: Resource): boolean =>
  entry.codec.resource.group === resource.group && entry.codec.resource.version === resource.version;

function viewOf(entry: Entry, resource: Resource): View {
  let byVersion = views.get(entry);
  if (!byVersion) views.set(entry, (byVersion = new Map()));
  const key = `${resource.group}/${resource.version}`;
  let view = byVersion.get(key);
  if (!view) {
    const { resource: from, versions } = entry.codec;
    const copy = cloneJson(entry.object);
    const object = freezeInterned(
      versions ? versions.convert(copy, from, resource) : convert(copy, from, resource),
    );
    byVersion.set(key, (view = { object }));
  }
  return view;
}

/** The object in the version of `resource`; frozen and shared. */
export const objectIn = (entry: Entry, resource: Resource): KubeObject =>
  isStored(entry, resource) ? entry.object : viewOf(entry, resource).object;

/** Its JSON in the version of `resource`, between `before` and `after` (ASCII), in one piece of its own. */
export function jsonIn(entry: Entry, resource: Resource, before = '', after = ''): Buffer {
  const stored = isStored(entry, resource);
  const view = stored ? undefined : viewOf(entry, resource);
  const json = view && (view.json ??= Buffer.from(stringifyJson(view.object)));
  const whole = Buffer.allocUnsafe(before.length + (json?.length ?? entry.jsonBytes) + after.length);
  whole.write(before, 0, 'latin1');
  if (json) whole.set(json, before.length);
  else entry.writeJson(whole, before.length);
  whole.write(after, whole.length - after.length, 'latin1');
  return whole;
}

/** The object as a list's item: built-in kinds carry no apiVersion and kind there. */
export function itemIn(entry: Entry, resource: Resource): object {
  const object = objectIn(entry, resource);
  if (entry.codec.versions) return object;
  const { apiVersion: _version, kind: _kind, ...rest } = object;
  return rest;
}

/** An object in the version that requests to `resource` work with, as it is stored. */
export function inStorage(stored: StoredResource, resource: Resource, object: KubeObject): KubeObject {
  const { versions } = stored.codec;
  if (!versions || resource.version === stored.resource.version) return object;
  return versions.convert(cloneJson(object), resource, stored.resource);
}

const brace = 0x7b;

/** The JSON as a list's item without its opening brace: the entry itself when its own bytes are that. */
export function itemJsonIn(entry: Entry, resource: Resource): Buffer | Entry {
  if (isStored(entry, resource)) return entry;
  const json = Buffer.from(stringifyJson(itemIn(entry, resource)));
  if (json[0] !== brace) throw new Error('an object must encode as a JSON object');
  return json.subarray(1);
}
