import { stringifyJson } from '@cloudless/kube/codec/json';
import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import type { Entry } from '../cache/entry.ts';
import { listKindOf, type Served } from '../registry/catalogue.ts';
import type { ListResult } from '../registry/list.ts';
import type { StoredResource } from '../registry/registry.ts';
import type { TableDefinition } from '../registry/strategy.ts';
import type { Delivery } from '../registry/watch.ts';
import { itemIn, jsonIn, objectIn } from '../registry/view.ts';
import { listChunkBytes, listChunks } from './list-body.ts';
import type { Negotiated } from './negotiate.ts';
import { isSliced, jsonInSlices, shownInSlices } from './slices.ts';
import { cellsOf, type IncludeObject, type Row, tableFor, tableHead, tableOf } from './table.ts';

/** Encoders that load only when a client asks for them. */
export interface LazyCodecs {
  /** YAML of plain JSON. */
  yaml(object: unknown): string;
  /** `k8s\0` and runtime.Unknown around the message of a built-in kind. */
  protobuf(object: object): Uint8Array;
  /** A list of built-in objects in protobuf, in chunks, of which those before the first slice's end may be empty. */
  protobufList(
    list: { apiVersion: string; kind: string; metadata: object },
    slices: Iterable<readonly unknown[]>,
  ): Iterable<Uint8Array>;
  /** One frame of a protobuf watch: length, WatchEvent. */
  protobufWatchEvent(type: string, object: object): Uint8Array;
}

/** A response body: chunks written one after the other. */
export type Chunks = Uint8Array[];
/** One whose chunks are made as they are written: too large to be made in one go. */
export type LazyChunks = Iterable<Uint8Array>;

export class Encoder {
  readonly #codecs: () => LazyCodecs;
  readonly #nowMs: () => number;

  constructor(codecs: () => LazyCodecs, nowMs: () => number) {
    this.#codecs = codecs;
    this.#nowMs = nowMs;
  }

  /** Any object that has apiVersion and kind. */
  object(object: object, negotiated: Negotiated): Chunks {
    switch (negotiated.format) {
      case 'yaml':
        return [Buffer.from(this.#codecs().yaml(object))];
      case 'protobuf':
        return [this.#codecs().protobuf(object)];
      default:
        return [Buffer.from(`${stringifyJson(object, negotiated.pretty ? 2 : undefined)}\n`)];
    }
  }

  /** One stored object, as itself, as a Table, or as its metadata. */
  entry(
    entry: Entry,
    served: Served,
    stored: StoredResource,
    negotiated: Negotiated,
    include: IncludeObject,
  ): Chunks {
    if (negotiated.as === '') {
      if (negotiated.format === 'json' && !negotiated.pretty)
        return [jsonIn(entry, served.resource, '', '\n')];
      return this.object(objectIn(entry, served.resource), negotiated);
    }
    const metadata = { resourceVersion: String(entry.revision) };
    return this.object(
      this.#shaped([entry], served, stored, negotiated, include, metadata, false),
      negotiated,
    );
  }

  /** An object that is made for the answer, such as a Scale; as itself, as a Table of one row, or as its metadata. */
  computed(
    object: KubeObject,
    definition: TableDefinition<KubeObject>,
    negotiated: Negotiated,
    include: IncludeObject,
  ): Chunks {
    if (negotiated.as === '') return this.object(object, negotiated);
    const apiVersion = `meta.k8s.io/${negotiated.version}`;
    const { resourceVersion } = object.metadata;
    const shaped =
      negotiated.as === 'Table'
        ? tableFor([{ object }], { apiVersion, include, definition }, { resourceVersion }, this.#nowMs())
        : { kind: 'PartialObjectMetadata', apiVersion, metadata: object.metadata };
    return this.object(shaped, negotiated);
  }

  list(
    list: ListResult,
    served: Served,
    stored: StoredResource,
    negotiated: Negotiated,
    include: IncludeObject,
  ): Chunks | LazyChunks {
    const metadata = {
      resourceVersion: String(list.revision),
      // Lists of custom resources always say whether they go on.
      ...(list.continue === undefined && !(served.custom && negotiated.as === '')
        ? {}
        : { continue: list.continue ?? '' }),
      ...(list.remaining === undefined ? {} : { remainingItemCount: list.remaining }),
    };
    const sliced =
      isSliced(list.entries, served.resource) &&
      this.#inSlices(list.entries, served, stored, negotiated, include, metadata);
    if (sliced) return sliced;
    if (negotiated.as !== '') {
      return this.object(
        this.#shaped(list.entries, served, stored, negotiated, include, metadata, true),
        negotiated,
      );
    }
    const { resource } = served;
    if (negotiated.format === 'json' && !negotiated.pretty) return listChunks(list.entries, served, metadata);
    const items = list.entries.map((entry) => itemIn(entry, resource));
    const whole = { kind: listKindOf(served), apiVersion: apiVersionOf(resource), metadata, items };
    return this.object(whole, negotiated);
  }

  /** A list whose objects are shown while it is sent; undefined for forms that are made in one go. */
  #inSlices(
    entries: readonly Entry[],
    served: Served,
    stored: StoredResource,
    { as, format, pretty, version }: Negotiated,
    include: IncludeObject,
    metadata: object,
  ): LazyChunks | undefined {
    const { resource } = served;
    const isJson = format === 'json' && !pretty;
    const apiVersion = as === '' ? apiVersionOf(resource) : `meta.k8s.io/${version}`;
    if (as === 'Table') {
      // Rows in an order of their own are known only together.
      if (!isJson || tableOf(stored, served).compare) return undefined;
      const view = { apiVersion, include, definition: tableOf(stored, served) };
      const nowMs = this.#nowMs();
      const rows = shownInSlices(entries, (entry) => cellsOf(rowOf(entry, served), view, nowMs));
      return jsonInSlices(tableHead(view, metadata, true), 'rows', rows);
    }
    const kind = as === '' ? listKindOf(served) : 'PartialObjectMetadataList';
    const show =
      as === ''
        ? (entry: Entry): object => itemIn(entry, resource)
        : (entry: Entry): object => partialOf(entry, apiVersion);
    const items = shownInSlices(entries, show);
    if (format === 'protobuf') return this.#codecs().protobufList({ kind, apiVersion, metadata }, items);
    return isJson && as !== '' ? jsonInSlices({ kind, apiVersion, metadata }, 'items', items) : undefined;
  }

  #shaped(
    entries: readonly Entry[],
    served: Served,
    stored: StoredResource,
    negotiated: Negotiated,
    include: IncludeObject,
    metadata: object,
    isList: boolean,
  ): object {
    const apiVersion = `meta.k8s.io/${negotiated.version}`;
    if (negotiated.as === 'Table') {
      return tableFor(
        entries.map((entry) => rowOf(entry, served)),
        { apiVersion, include, definition: tableOf(stored, served) },
        metadata,
        this.#nowMs(),
      );
    }
    const partial = (entry: Entry): object => partialOf(entry, apiVersion);
    if (!isList) return partial(entries[0] as Entry);
    return { kind: 'PartialObjectMetadataList', apiVersion, metadata, items: entries.map(partial) };
  }

  /** One frame of a watch. Frames of plain JSON are made once per event and shared by all watchers. */
  event(
    type: string,
    entry: Entry,
    served: Served,
    stored: StoredResource,
    negotiated: Negotiated,
    options: { include: IncludeObject; columns: boolean },
  ): Uint8Array {
    const { resource } = served;
    if (negotiated.as === '') {
      if (negotiated.format === 'json') return jsonFrame(type, entry, resource);
      return this.eventOf(type, objectIn(entry, resource), negotiated);
    }
    const apiVersion = `meta.k8s.io/${negotiated.version}`;
    const metadata = { resourceVersion: String(entry.revision) };
    const object =
      negotiated.as === 'Table'
        ? tableFor(
            [rowOf(entry, served)],
            { apiVersion, include: options.include, definition: tableOf(stored, served) },
            metadata,
            this.#nowMs(),
            options.columns,
          )
        : { kind: 'PartialObjectMetadata', apiVersion, metadata: entry.object.metadata };
    return this.eventOf(type, object, negotiated);
  }

  /** A frame around any object: bookmarks, errors. */
  eventOf(type: string, object: object, negotiated: Negotiated): Uint8Array {
    if (negotiated.format === 'protobuf') return this.#codecs().protobufWatchEvent(type, object);
    const json = `{"type":"${type}","object":${stringifyJson(object)}}\n`;
    return Buffer.from(negotiated.format === 'yaml' ? `${this.#codecs().yaml(JSON.parse(json))}---\n` : json);
  }

  /** The object of a bookmark: kind and resourceVersion, nothing else. */
  bookmark(revision: number, initial: boolean, served: Served, negotiated: Negotiated): Uint8Array {
    const { resource } = served;
    const annotations = initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...annotations };
    const apiVersion = `meta.k8s.io/${negotiated.version}`;
    if (negotiated.as === 'Table') {
      const rows = [{ cells: [], object: { kind: 'PartialObjectMetadata', apiVersion, metadata } }];
      const table = {
        kind: 'Table',
        apiVersion,
        metadata: { resourceVersion: String(revision) },
        columnDefinitions: null,
        rows,
      };
      return this.eventOf('BOOKMARK', table, negotiated);
    }
    const types =
      negotiated.as === ''
        ? { kind: resource.kind, apiVersion: apiVersionOf(resource) }
        : { kind: 'PartialObjectMetadata', apiVersion };
    return this.eventOf('BOOKMARK', { ...types, metadata }, negotiated);
  }
}

const rowOf = (entry: Entry, { resource }: Served): Row => ({
  object: entry.object,
  inVersion: () => objectIn(entry, resource),
});

const partialOf = (entry: Entry, apiVersion: string): object => ({
  kind: 'PartialObjectMetadata',
  apiVersion,
  // Upstream takes it from the object before it is converted, without what a conversion notes in annotations.
  metadata: entry.object.metadata,
});

/** JSON frames of the events being delivered: every watcher of a resource is told in the same turn. */
const frames = new Map<Entry, Map<string, Buffer>>();
const frameEnd = '}\n';
const frameStart = (type: string): string => `{"type":"${type}","object":`;
const forgetFrames = (): void => frames.clear();

function jsonFrame(type: string, entry: Entry, resource: Resource): Buffer {
  let byKey = frames.get(entry);
  if (!byKey) {
    if (frames.size === 0) queueMicrotask(forgetFrames);
    frames.set(entry, (byKey = new Map()));
  }
  const key = `${type} ${resource.group}/${resource.version}`;
  let frame = byKey.get(key);
  if (!frame) {
    frame = jsonIn(entry, resource, frameStart(type), frameEnd);
    byKey.set(key, frame);
  }
  return frame;
}

/** Frames of many objects at once (a part of those a watch begins with), for one watcher, in large chunks. */
export function jsonFrames(events: readonly Delivery[], resource: Resource): Chunks {
  const chunks: Chunks = [];
  let parts: Buffer[] = [];
  let size = 0;
  for (const { type, entry } of events) {
    const frame = jsonIn(entry, resource, frameStart(type), frameEnd);
    parts.push(frame);
    size += frame.length;
    if (size < listChunkBytes) continue;
    chunks.push(Buffer.concat(parts));
    parts = [];
    size = 0;
  }
  if (parts.length > 0) chunks.push(Buffer.concat(parts));
  return chunks;
}
