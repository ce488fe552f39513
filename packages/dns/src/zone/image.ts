/**
 * A zone in shared memory, for threads that answer from it: opening it costs nothing per name, and a name is found
 * through a hash table in the image itself. It holds words (32 bits, the machine's byte order: it never leaves the
 * process) and behind them octets:
 *
 * ```
 * header   magic, nodes, slot mask, serial, first word of the table, origin's offset and length
 * table    slots of two words: hash of the name, first word of its node (0: free); open addressing
 * node     name's offset and length, flags, number of sets, then per set: type, TTL, number of data, offset of the first
 * octets   names in presentation form; data, each behind its length in two octets
 * ```
 */
import { rrType } from '../wire/types.ts';
import { nodesOf } from './build.ts';
import { StoredRRset } from './rrset.ts';
import { runAtOnce, runInSlices } from './slices.ts';
import type { RRset, Zone, ZoneNode, ZoneReader } from './zone.ts';

const magic = 0x5a4f4e31;
const headerWords = 8;
const wordsOfNode = 4;
const wordsOfSet = 4;
const flagDelegation = 1;

/** Nodes between two looks at the clock. */
const nodesPerLook = 64;

/** The hash of a name (FNV-1a over its characters). */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  // The low bits choose the slot: let the high ones have a say.
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** The zone as an image, at once: about 1 µs a record. */
export function zoneImage(zone: Zone): SharedArrayBuffer {
  return runAtOnce(imageSteps(zone));
}

/** As {@link zoneImage}, holding the thread for a few milliseconds at a time. Undefined: aborted. */
export function zoneImageInSlices(zone: Zone, signal: AbortSignal): Promise<SharedArrayBuffer | undefined> {
  return runInSlices(imageSteps(zone), signal);
}

/** Makes the image; yields now and then, where it may be left for a while. */
function* imageSteps(zone: Zone): Generator<void, SharedArrayBuffer> {
  let [nodes, sets, octets] = [0, 0, 0];
  for (const node of nodesOf(zone)) {
    nodes += 1;
    sets += node.sets.length;
    octets += node.name.length;
    for (const set of node.sets) for (const data of set.data) octets += 2 + data.length;
    if (nodes % nodesPerLook === 0) yield;
  }
  const slots = 2 ** Math.ceil(Math.log2(nodes * 1.5 + 1));
  const nodeStart = headerWords + slots * 2;
  const words = nodeStart + nodes * wordsOfNode + sets * wordsOfSet;
  const writer = new ImageWriter(new SharedArrayBuffer(words * 4 + octets), words, slots - 1, nodeStart);
  let written = 0;
  for (const node of nodesOf(zone)) {
    writer.addNode(node);
    if (++written % nodesPerLook === 0) yield;
  }
  return writer.finish(zone, nodes);
}

class ImageWriter {
  readonly #buffer: SharedArrayBuffer;
  readonly #words: Uint32Array;
  readonly #octets: Uint8Array;
  readonly #mask: number;
  /** Next free word, next free octet. */
  #word: number;
  #octet: number;

  constructor(buffer: SharedArrayBuffer, words: number, mask: number, nodeStart: number) {
    this.#buffer = buffer;
    this.#words = new Uint32Array(buffer, 0, words);
    this.#octets = new Uint8Array(buffer);
    this.#mask = mask;
    this.#word = nodeStart;
    this.#octet = words * 4;
  }

  addNode(node: { name: string; isDelegation: boolean; sets: readonly RRset[] }): void {
    this.#enter(hashName(node.name), this.#word);
    this.#push(this.#writeName(node.name));
    this.#push(node.name.length);
    this.#push(node.isDelegation ? flagDelegation : 0);
    this.#push(node.sets.length);
    for (const set of node.sets) {
      this.#push(set.type);
      this.#push(set.ttlSeconds);
      this.#push(set.data.length);
      this.#push(this.#octet);
      for (const data of set.data) this.#writeData(data);
    }
  }

  finish(zone: Zone, nodes: number): SharedArrayBuffer {
    // The apex is the first node: its name is the first octets.
    const originStart = this.#words.length * 4;
    this.#words.set([magic, nodes, this.#mask, zone.serial, headerWords, originStart, zone.origin.length]);
    return this.#buffer;
  }

  #push(value: number): void {
    this.#words[this.#word++] = value;
  }

  #enter(hash: number, node: number): void {
    let slot = hash & this.#mask;
    while (this.#words[headerWords + slot * 2 + 1] !== 0) slot = (slot + 1) & this.#mask;
    this.#words[headerWords + slot * 2] = hash;
    this.#words[headerWords + slot * 2 + 1] = node;
  }

  #writeName(name: string): number {
    const start = this.#octet;
    for (let i = 0; i < name.length; i++) this.#octets[start + i] = name.charCodeAt(i);
    this.#octet += name.length;
    return start;
  }

  #writeData(data: Buffer): void {
    this.#octets[this.#octet] = data.length >> 8;
    this.#octets[this.#octet + 1] = data.length & 0xff;
    this.#octets.set(data, this.#octet + 2);
    this.#octet += 2 + data.length;
  }
}

/**
 * Nodes that are asked for again and again are kept as objects, at most so many of a zone (a power of two); the others are
 * read anew each time, as objects that live briefly cost the collector little.
 */
const keptNodes = 4096;

/** Reads an image made by {@link zoneImage}; throws when the buffer is none. */
export function openImage(image: SharedArrayBuffer): ZoneReader {
  return new ImageReader(image);
}

class ImageReader implements ZoneReader {
  readonly origin: string;
  readonly serial: number;
  readonly soa: RRset;
  readonly #words: Uint32Array;
  readonly #octets: Buffer;
  readonly #mask: number;
  readonly #kept: (ImageNode | undefined)[];
  /** By the same slots, the node that was asked for last. */
  readonly #last: Uint32Array;
  readonly #keptMask: number;

  constructor(image: SharedArrayBuffer) {
    const header = new Uint32Array(image, 0, headerWords);
    if (header[0] !== magic) throw new TypeError('not the image of a zone');
    const [, nodes, mask, serial, , originStart, originLength] = header as unknown as number[] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.#words = new Uint32Array(image, 0, originStart >> 2);
    this.#octets = Buffer.from(image);
    this.#mask = mask;
    this.#keptMask = Math.min(keptNodes, 2 ** Math.ceil(Math.log2(nodes + 1) + 1)) - 1;
    this.#kept = Array.from({ length: this.#keptMask + 1 });
    this.#last = new Uint32Array(this.#keptMask + 1);
    this.serial = serial;
    this.origin = this.#text(originStart, originLength);
    this.soa = this.node(this.origin)?.rrset(rrType.SOA) as RRset;
  }

  node(name: string): ZoneNode | undefined {
    const hash = hashName(name);
    const words = this.#words;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = headerWords + slot * 2;
      const node = words[at + 1] as number;
      if (node === 0) return undefined;
      if (words[at] !== hash) continue;
      const kept = this.#kept[hash & this.#keptMask];
      if (kept?.position === node && kept.name === name) return kept;
      if (this.#isNamed(node, name)) return this.#open(node, name, hash);
    }
  }

  #isNamed(node: number, name: string): boolean {
    if (this.#words[node + 1] !== name.length) return false;
    const start = this.#words[node] as number;
    for (let i = 0; i < name.length; i++) if (this.#octets[start + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  #open(node: number, name: string, hash: number): ImageNode {
    const opened = new ImageNode(
      this,
      node,
      name,
      ((this.#words[node + 2] as number) & flagDelegation) !== 0,
    );
    const slot = hash & this.#keptMask;
    if (this.#last[slot] === node) this.#kept[slot] = opened;
    else this.#last[slot] = node;
    return opened;
  }

  /** The set of a type; undefined: the node has none. */
  readSet(node: number, name: string, type: number): StoredRRset | undefined {
    const words = this.#words;
    const end = node + wordsOfNode + (words[node + 3] as number) * wordsOfSet;
    for (let at = node + wordsOfNode; at < end; at += wordsOfSet) {
      if (words[at] !== type) continue;
      const count = words[at + 2] as number;
      const data: Buffer[] = [];
      let position = words[at + 3] as number;
      for (let i = 0; i < count; i++) {
        const length = ((this.#octets[position] as number) << 8) | (this.#octets[position + 1] as number);
        data.push(this.#octets.subarray(position + 2, position + 2 + length));
        position += 2 + length;
      }
      return new StoredRRset(name, type, words[at + 1] as number, data);
    }
    return undefined;
  }

  readTypes(node: number): number[] {
    const count = this.#words[node + 3] as number;
    return Array.from(
      { length: count },
      (_, i) => this.#words[node + wordsOfNode + i * wordsOfSet] as number,
    );
  }

  #text(start: number, length: number): string {
    return String.fromCharCode(...this.#octets.subarray(start, start + length));
  }
}

class ImageNode implements ZoneNode {
  /** First word of the node in its image. */
  readonly position: number;
  readonly name: string;
  readonly isDelegation: boolean;
  readonly #image: ImageReader;
  #sets: StoredRRset[] | undefined;

  constructor(image: ImageReader, position: number, name: string, isDelegation: boolean) {
    this.#image = image;
    this.position = position;
    this.name = name;
    this.isDelegation = isDelegation;
  }

  rrset(type: number): RRset | undefined {
    if (this.#sets) for (const set of this.#sets) if (set.type === type) return set;
    const set = this.#image.readSet(this.position, this.name, type);
    if (set) (this.#sets ??= []).push(set);
    return set;
  }

  types(): readonly number[] {
    return this.#image.readTypes(this.position);
  }
}
