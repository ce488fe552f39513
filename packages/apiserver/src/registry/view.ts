import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Entry } from '../cache/entry.ts';
import { convert } from './conversion.ts';
import type { StoredResource } from './registry.ts';
import { cloneJson } from '../storage/codec.ts';
import { ConversionNeeded } from '../storage/conversion-needed.ts';
import { freezeInterned } from '../storage/intern.ts';

interface View {
  object: KubeObject;
  json?: Buffer;
}
/** Views in versions other than the stored one, by entry and `group/version`. */
const views = new WeakMap<Entry, Map<string, View>>();

const keyOf = ({ group, version }: Resource): string => `${group}/${version}`;

function setView(entry: Entry, resource: Resource, object: KubeObject): View {
  let byVersion = views.get(entry);
  if (!byVersion) views.set(entry, (byVersion = new Map()));
  const view = { object: freezeInterned(object) };
  byVersion.set(keyOf(resource), view);
  return view;
}

function viewOf(entry: Entry, resource: Resource): View {
  const known = views.get(entry)?.get(keyOf(resource));
  if (known) return known;
  const { resource: from, versions } = entry.codec;
  if (versions?.convertAll) throw new ConversionNeeded(async () => await prepareViews([entry], resource));
  const copy = cloneJson(entry.object);
  return setView(
    entry,
    resource,
    versions ? versions.convert(copy, from, resource) : convert(copy, from, resource),
  );
}

/** Conversions under way, by entry and `group/version`. */
const pending = new WeakMap<Entry, Map<string, Promise<void>>>();
/** At most so many objects and bytes go to a webhook at a time. */
const maxBatchObjects = 500;
const maxBatchBytes = 4 * 1024 * 1024;

async function convertBatch(entries: readonly Entry[], resource: Resource): Promise<void> {
  const [{ codec }] = entries as [Entry];
  const converted = await codec.versions?.convertAll?.(
    entries.map(({ object }) => object),
    resource,
  );
  for (const [i, object] of (converted ?? []).entries()) setView(entries[i] as Entry, resource, object);
}

/** Starts to convert entries of one kind together; who else wants one of them meanwhile waits for the same call. */
function startBatch(entries: readonly Entry[], resource: Resource): Promise<void> {
  const key = keyOf(resource);
  const done = convertBatch(entries, resource).finally(() => {
    for (const entry of entries) pending.get(entry)?.delete(key);
  });
  for (const entry of entries) {
    let byVersion = pending.get(entry);
    if (!byVersion) pending.set(entry, (byVersion = new Map()));
    byVersion.set(key, done);
  }
  return done;
}

/**
 * Makes the entries of a kind ready to be shown in the version of `resource`; undefined: they are. Only objects that a
 * webhook converts have to be made ready, once for each. Throws what the webhook's failure is.
 */
export function prepareViews(entries: Iterable<Entry>, resource: Resource): Promise<void> | undefined {
  const missing: Entry[] = [];
  for (const entry of entries) {
    // All are of one kind.
    if (!entry.codec.versions?.convertAll) return undefined;
    if (!entry.isIn(resource) && !views.get(entry)?.has(keyOf(resource))) missing.push(entry);
  }
  return missing.length === 0 ? undefined : prepareMissing(missing, resource);
}

async function prepareMissing(missing: readonly Entry[], resource: Resource): Promise<void> {
  const key = keyOf(resource);
  let batch: Entry[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const full = batch;
    batch = [];
    bytes = 0;
    if (full.length > 0) await startBatch(full, resource);
  };
  for (const entry of missing) {
    if (views.get(entry)?.has(key)) continue;
    const under = pending.get(entry)?.get(key);
    // oxlint-disable-next-line no-await-in-loop -- one call at a time
    if (under) await under;
    else {
      batch.push(entry);
      bytes += entry.size;
      // oxlint-disable-next-line no-await-in-loop -- as above
      if (batch.length >= maxBatchObjects || bytes >= maxBatchBytes) await flush();
    }
  }
  await flush();
}

/** The object in the version of `resource`; frozen and shared. */
export const objectIn = (entry: Entry, resource: Resource): KubeObject =>
  entry.isIn(resource) ? entry.object : viewOf(entry, resource).object;

/** Its JSON in the version of `resource`, between `before` and `after` (ASCII), in one piece of its own. */
export function jsonIn(entry: Entry, resource: Resource, before = '', after = ''): Buffer {
  const stored = entry.isIn(resource);
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
export async function inStorage(
  stored: StoredResource,
  resource: Resource,
  object: KubeObject,
): Promise<KubeObject> {
  const { versions } = stored.codec;
  if (!versions || resource.version === stored.resource.version) return object;
  if (!versions.convertAll) return versions.convert(cloneJson(object), resource, stored.resource);
  const [converted] = await versions.convertAll([object], stored.resource);
  return converted as KubeObject;
}

const brace = 0x7b;

/** The JSON as a list's item without its opening brace: the entry itself when its own bytes are that. */
export function itemJsonIn(entry: Entry, resource: Resource): Buffer | Entry {
  if (entry.isIn(resource)) return entry;
  const json = Buffer.from(stringifyJson(itemIn(entry, resource)));
  if (json[0] !== brace) throw new Error('an object must encode as a JSON object');
  return json.subarray(1);
}
