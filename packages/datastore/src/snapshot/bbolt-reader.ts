import { type FileHandle, open } from 'node:fs/promises';
import {
  bucketFlag,
  bucketHeaderBytes,
  elementBytes,
  type Meta,
  pageFlag,
  type PageHeader,
  pageHeaderBytes,
  readMeta,
  readPageHeader,
} from './bbolt-format.ts';
import { SnapshotFileError } from './errors.ts';

/** Where a meta is looked for when page 0 is damaged: behind one page of each size that bbolt may have used. */
const possiblePageBytes = [4096, 8192, 16_384, 32_768, 65_536];
/** A page with its overflow is no longer than a value may be (bbolt: MaxValueSize is larger, etcd's limit far lower). */
const maxPageRunBytes = 512 * 1024 * 1024;

export interface ReadEntry {
  /** Views of the page that was read, which is not used again. */
  readonly key: Buffer;
  readonly value: Buffer;
}

interface Leaf extends ReadEntry {
  readonly flags: number;
}

/** The keys that a page may hold: from `low` on, below `high`. */
interface Bounds {
  readonly low: Buffer | undefined;
  readonly high: Buffer | undefined;
}

const unbounded: Bounds = { low: undefined, high: undefined };

/**
 * A bbolt file, read page by page. Every page is checked for being the one that its parent means, with entries
 * inside it and in order, so that damage is found where it is instead of giving wrong data.
 */
export class BboltFile {
  readonly path: string;
  readonly meta: Meta;
  readonly #file: FileHandle;
  readonly #fileBytes: number;
  private constructor(path: string, file: FileHandle, fileBytes: number, meta: Meta) {
    this.path = path;
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.meta = meta;
  }

  /** @throws SnapshotFileError when it is no bbolt file, or shorter than it says */
  static async open(path: string): Promise<BboltFile> {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const meta = await findMeta(path, file, size);
      const needed = meta.pageCount * meta.pageBytes;
      if (needed > size) {
        throw damaged(path, `it is cut off: it has ${size} bytes of ${needed}`);
      }
      return new BboltFile(path, file, size, meta);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Names of the buckets, and where each begins. */
  async buckets(): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for await (const leaves of this.#tree(this.meta.root, 'the root bucket')) {
      for (const { flags, key, value } of leaves) {
        if ((flags & bucketFlag) === 0) continue;
        if (value.length < bucketHeaderBytes) throw this.#damaged(`bucket ${name(key)} has no header`);
        found.set(key.toString('latin1'), value);
      }
    }
    return found;
  }

  /** The entries of a bucket in order of their keys, a page at a time. `value`: of {@link buckets}. */
  async *entries(bucket: string, value: Buffer): AsyncGenerator<readonly ReadEntry[]> {
    const what = `bucket ${JSON.stringify(bucket)}`;
    const root = Number(value.readBigUInt64LE(0));
    if (root !== 0) {
      yield* this.#tree(root, what);
    } else {
      const page = Buffer.from(value.subarray(bucketHeaderBytes));
      if (page.length < pageHeaderBytes) throw this.#damaged(`${what} has no page`);
      const header = readPageHeader(page);
      if (header.flags !== pageFlag.leaf) throw this.#damaged(`the page inside ${what} is no leaf`);
      const leaves = this.#leaves(page, header, unbounded, `the page inside ${what}`);
      if (leaves.length > 0) yield leaves;
    }
  }

  #tree(root: number, what: string): AsyncGenerator<readonly Leaf[]> {
    return this.#walk(root, unbounded, what, new Uint8Array(Math.ceil(this.meta.pageCount / 8)));
  }

  /** @param seen a bit for each page: one way leads to it */
  async *#walk(id: number, bounds: Bounds, what: string, seen: Uint8Array): AsyncGenerator<readonly Leaf[]> {
    const where = `page ${id} of ${what}`;
    const { page, header } = await this.#read(id, where, seen);
    if (header.flags === pageFlag.leaf) {
      const leaves = this.#leaves(page, header, bounds, where);
      if (leaves.length > 0) yield leaves;
      return;
    }
    if (header.flags !== pageFlag.branch)
      throw this.#damaged(`${where} is neither branch nor leaf (flags ${header.flags})`);
    const children = this.#children(page, header, bounds, where);
    for (const [i, child] of children.entries()) {
      const high = children[i + 1]?.key ?? bounds.high;
      yield* this.#walk(child.page, { low: child.key, high }, what, seen);
    }
  }

  async #read(id: number, where: string, seen: Uint8Array): Promise<{ page: Buffer; header: PageHeader }> {
    const { pageBytes, pageCount } = this.meta;
    if (id < 2 || id >= pageCount) throw this.#damaged(`${where} is outside the file's ${pageCount} pages`);
    const head = await this.#bytes(id * pageBytes, pageBytes, where);
    const header = readPageHeader(head);
    if (header.id !== id) throw this.#damaged(`${where} says that it is page ${header.id}`);
    const pages = header.overflow + 1;
    if (id + pages > pageCount || pages * pageBytes > maxPageRunBytes)
      throw this.#damaged(`${where} goes on for ${pages} pages, beyond the file's end`);
    for (let at = id; at < id + pages; at++) this.#see(seen, at, where);
    const page = pages === 1 ? head : await this.#bytes(id * pageBytes, pages * pageBytes, where);
    return { page, header };
  }

  #see(seen: Uint8Array, id: number, where: string): void {
    const bit = 1 << (id & 7);
    const byte = seen[id >> 3] ?? 0;
    if ((byte & bit) !== 0) throw this.#damaged(`page ${id} is used twice, the second time by ${where}`);
    seen[id >> 3] = byte | bit;
  }

  async #bytes(position: number, length: number, where: string): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#file.read(buffer, done, length - done, position + done);
      if (bytesRead === 0) throw this.#damaged(`${where} ends with the file, at byte ${this.#fileBytes}`);
      done += bytesRead;
    }
    return buffer;
  }

  #leaves(page: Buffer, { count }: PageHeader, bounds: Bounds, where: string): Leaf[] {
    const leaves: Leaf[] = [];
    let last: Buffer | undefined;
    for (let i = 0; i < count; i++) {
      const at = this.#elementAt(page, i, where);
      const [position, keyBytes, valueBytes] = [4, 8, 12].map((offset) => page.readUInt32LE(at + offset)) as [
        number,
        number,
        number,
      ];
      const key = this.#slice(page, at + position, keyBytes, `entry ${i} of ${where}`);
      const value = this.#slice(page, at + position + keyBytes, valueBytes, `entry ${i} of ${where}`);
      this.#checkOrder(key, last, bounds, `entry ${i} of ${where}`);
      last = key;
      leaves.push({ flags: page.readUInt32LE(at), key, value });
    }
    return leaves;
  }

  #children(page: Buffer, { count }: PageHeader, bounds: Bounds, where: string) {
    if (count === 0) throw this.#damaged(`${where} is a branch without children`);
    const children: Array<{ key: Buffer; page: number }> = [];
    for (let i = 0; i < count; i++) {
      const at = this.#elementAt(page, i, where);
      const key = this.#slice(
        page,
        at + page.readUInt32LE(at),
        page.readUInt32LE(at + 4),
        `child ${i} of ${where}`,
      );
      this.#checkOrder(key, children.at(-1)?.key, bounds, `child ${i} of ${where}`);
      children.push({ key, page: Number(page.readBigUInt64LE(at + 8)) });
    }
    return children;
  }

  #elementAt(page: Buffer, i: number, where: string): number {
    const at = pageHeaderBytes + i * elementBytes;
    if (at + elementBytes > page.length) throw this.#damaged(`${where} has more entries than room`);
    return at;
  }

  #slice(page: Buffer, start: number, length: number, where: string): Buffer {
    if (start + length > page.length) throw this.#damaged(`${where} reaches beyond its page`);
    return page.subarray(start, start + length);
  }

  #checkOrder(key: Buffer, last: Buffer | undefined, { low, high }: Bounds, where: string): void {
    const isWrong =
      key.length === 0 ||
      (last !== undefined && Buffer.compare(last, key) >= 0) ||
      (low !== undefined && Buffer.compare(key, low) < 0) ||
      (high !== undefined && Buffer.compare(key, high) >= 0);
    if (isWrong) throw this.#damaged(`the key ${name(key)} of ${where} is out of order`);
  }

  #damaged(what: string): SnapshotFileError {
    return damaged(this.path, what);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

const name = (key: Buffer): string =>
  /^[\x20-\x7e]+$/.test(key.toString('latin1'))
    ? JSON.stringify(key.toString('latin1'))
    : `0x${key.toString('hex')}`;

const damaged = (path: string, what: string): SnapshotFileError =>
  new SnapshotFileError(
    path,
    'damaged',
    `the snapshot ${path} is damaged: ${what}. Take it again, or use an older one`,
  );

/** The valid meta with the higher transaction. */
async function findMeta(path: string, file: FileHandle, size: number): Promise<Meta> {
  const metas: Meta[] = [];
  const reasons = new Set<string>();
  for (const position of [0, ...possiblePageBytes]) {
    if (position + 128 > size) break;
    const page = Buffer.alloc(128);
    await file.read(page, 0, page.length, position);
    const meta = readMeta(page);
    // A page of another size may hold anything at this place.
    if (typeof meta === 'string') reasons.add(meta);
    else if (position === 0 || meta.pageBytes === position) metas.push(meta);
  }
  const [best] = metas.sort((a, b) => (a.transaction > b.transaction ? -1 : 1));
  if (best === undefined) {
    const why = size < 128 ? 'it is too short' : [...reasons].join(', ');
    throw new SnapshotFileError(
      path,
      'foreign',
      `${path} is no etcd snapshot (${why}): give a file that \`etcdctl snapshot save\` or ` +
        '`cloudless datastore snapshot` wrote',
    );
  }
  const { pageBytes } = best;
  if (pageBytes < 512 || pageBytes > 1 << 20 || (pageBytes & (pageBytes - 1)) !== 0)
    throw damaged(path, `its pages would have ${pageBytes} bytes`);
  return best;
}
