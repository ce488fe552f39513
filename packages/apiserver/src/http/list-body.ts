// JSON of lists from the bytes of cached objects.
import { apiVersionOf, type Resource } from '@cloudless/kube/object';
import { Entry } from '../cache/entry.ts';
import { listKindOf, type Served } from '../registry/catalogue.ts';
import { itemJsonIn } from '../registry/view.ts';
import { takeChunk } from './chunk-pool.ts';
import type { Chunks, LazyChunks } from './encode.ts';

/** Bytes gathered into one chunk of a list; few large writes cost less than many small ones. */
export const listChunkBytes = 256 * 1024;

/** Bodies of lists asked for again and again (every node of a cluster does, after a restart), and their budget. */
const bodies = new Map<readonly Entry[], { version: string; chunks: Chunks; bytes: number }>();
const bodiesMaxBytes = 16 * 1024 * 1024;
/** What was listed before and has not changed since. */
const asked = new WeakSet<readonly Entry[]>();
/** Longer lists are made while they are written. */
const wholeMaxBytes = 1024 * 1024;
/** They are for bursts: nothing is kept for long after one. */
const bodiesKeptMs = 3_000;
let bodiesBytes = 0;
let forgetting: NodeJS.Timeout | undefined;

function forgetBodies(): void {
  bodies.clear();
  bodiesBytes = 0;
  forgetting = undefined;
}

function listBody(entries: readonly Entry[], resource: Resource): Chunks {
  const version = apiVersionOf(resource);
  const known = bodies.get(entries);
  if (known?.version === version) return known.chunks;
  const chunks = [...itemChunks(entries, resource, ownMemory)];
  const made = { chunks, bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) };
  if (known) forgetBody(entries, known);
  bodies.set(entries, { version, ...made });
  bodiesBytes += made.bytes;
  forgetting ??= setTimeout(forgetBodies, bodiesKeptMs).unref();
  for (const [oldest, body] of bodies) {
    if (bodiesBytes <= bodiesMaxBytes) break;
    forgetBody(oldest, body);
  }
  return made.chunks;
}

function forgetBody(entries: readonly Entry[], body: { bytes: number }): void {
  bodies.delete(entries);
  bodiesBytes -= body.bytes;
}

const ownMemory = (bytes: number): Buffer => Buffer.allocUnsafe(bytes);

function* itemChunks(
  entries: readonly Entry[],
  resource: Resource,
  memory: (bytes: number) => Buffer,
): Generator<Uint8Array> {
  let items: Array<Buffer | Entry> = [];
  let size = 0;
  let comma = '{';
  for (const entry of entries) {
    const item = itemJsonIn(entry, resource);
    items.push(item);
    size += 2 + (item instanceof Entry ? item.itemBytes : item.length);
    if (size < listChunkBytes) continue;
    yield itemChunk(items, memory(size), comma);
    items = [];
    size = 0;
    comma = ',{';
  }
  if (items.length > 0) yield itemChunk(items, memory(size), comma);
}

/** Items of a list, each behind `,{`, the first behind `before`, in `chunk`, which has room for them. */
function itemChunk(items: ReadonlyArray<Buffer | Entry>, chunk: Buffer, before: string): Buffer {
  let at = 0;
  let separator = before;
  for (const item of items) {
    at += chunk.write(separator, at, 'latin1');
    separator = ',{';
    if (item instanceof Entry) at = item.writeItem(chunk, at);
    else {
      chunk.set(item, at);
      at += item.length;
    }
  }
  return chunk.subarray(0, at);
}

/** A list as chunks of cached bytes, never as one string. Chunks that are made lazily may be given back to the pool. */
export function listChunks(entries: readonly Entry[], served: Served, metadata: object): Chunks | LazyChunks {
  const { resource } = served;
  const types = JSON.stringify({
    kind: listKindOf(served),
    apiVersion: apiVersionOf(resource),
    metadata,
  });
  const open = Buffer.from(`${types.slice(0, -1)},"items":[`);
  const close = Buffer.from(']}\n');
  const bytes = storedBytes(entries);
  // Most lists are asked for once. A body that is kept outlives its young days, and is memory until all memory is looked
  // through: two lists of 500 pods a second had the whole heap collected every six seconds.
  if (bytes <= bodiesMaxBytes / 2 && asked.has(entries)) return [open, ...listBody(entries, resource), close];
  asked.add(entries);
  if (bytes > wholeMaxBytes) return longList(open, entries, resource, close);
  return [open, ...itemChunks(entries, resource, ownMemory), close];
}

/** Made while it is written, so that nobody else waits for all of it. */
function* longList(
  open: Uint8Array,
  entries: readonly Entry[],
  resource: Resource,
  close: Uint8Array,
): Generator<Uint8Array> {
  yield open;
  yield* itemChunks(entries, resource, takeChunk);
  yield close;
}

/** About as long as the list's body, without encoding anything. */
function storedBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.size;
  return bytes;
}
