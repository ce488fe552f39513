import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Entry } from '../cache/entry.ts';
import { convert } from '../registry/conversion.ts';
import { cloneJson, deepFreeze } from '../storage/codec.ts';

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
    const object = deepFreeze(convert(cloneJson(entry.object), entry.codec.resource, resource));
    byVersion.set(key, (view = { object }));
  }
  return view;
}

/** The object in the version of `resource`; frozen and shared. */
export const objectIn = (entry: Entry, resource: Resource): KubeObject =>
  isStored(entry, resource) ? entry.object : viewOf(entry, resource).object;

/** Its JSON in the version of `resource`, without a newline; shared. */
export function jsonIn(entry: Entry, resource: Resource): Buffer {
  if (isStored(entry, resource)) return entry.json;
  const view = viewOf(entry, resource);
  return (view.json ??= Buffer.from(stringifyJson(view.object)));
}

const brace = 0x7b;

/** The JSON as a list's item without its opening brace: built-in kinds carry no apiVersion and kind there. */
export function itemJsonIn(entry: Entry, resource: Resource): Buffer {
  if (isStored(entry, resource)) return entry.itemJson;
  const { apiVersion: _version, kind: _kind, ...rest } = viewOf(entry, resource).object;
  const json = Buffer.from(stringifyJson(rest));
  if (json[0] !== brace) throw new Error('an object must encode as a JSON object');
  return json.subarray(1);
}
