import {
  bucketFlag,
  bucketHeaderBytes,
  elementBytes,
  maxElements,
  maxInlineBytes,
  type Meta,
  metaPage,
  pageBytes,
  pageFlag,
  pageHeaderBytes,
  writePageHeader,
} from './bbolt-format.ts';

/** One key and its value. When a file is only measured, `value` is absent and its length alone counts. */
export interface Entry {
  readonly key: Uint8Array;
  readonly valueBytes: number;
  readonly value?: Uint8Array | undefined;
}

/** Pages as they are finished, in order of their numbers. When a file is only measured, nothing is emitted. */
export type EmitPage = (page: Buffer) => void;

/** Pages 0 and 1 are the metas, 2 the empty list of free pages. */
const freelistPage = 2;
const firstPage = 3;

/**
 * Lays out the buckets of a bbolt file one after another: entries come in order of their keys, pages go out in order
 * of their numbers, and only the pages being filled are in memory. Full pages, no free ones.
 *
 * The metas come first in a file and say how it ends. So whoever streams lays it out twice: once with lengths alone,
 * then with the values; whoever writes to a file puts the metas in place at the end.
 */
export class BboltWriter {
  readonly #emit: EmitPage | undefined;
  #nextPage = firstPage;
  readonly #buckets: Array<{ name: Uint8Array; value: Buffer }> = [];
  #open: { name: Uint8Array; tree: Tree } | undefined;

  /** @param emit absent: the file is only measured */
  constructor(emit?: EmitPage) {
    this.#emit = emit;
  }

  /** Begins the next bucket, after the last is ended. */
  begin(name: string): void {
    this.#end();
    this.#open = {
      name: Buffer.from(name),
      tree: new Tree((page) => this.#place(page), this.#emit !== undefined),
    };
  }

  /** @throws RangeError for a key that does not follow the last one: the tree could not find it again */
  add(entry: Entry): void {
    if (this.#open === undefined) throw new Error('a bbolt entry belongs to a bucket: begin one first');
    this.#open.tree.add(entry);
  }

  #end(): void {
    if (this.#open === undefined) return;
    const { name, tree } = this.#open;
    this.#open = undefined;
    this.#buckets.push({ name, value: tree.finish() });
  }

  /** Ends the last bucket and writes the root. What it returns goes to the metas. */
  finish(): Meta {
    this.#end();
    this.#buckets.sort((a, b) => Buffer.compare(a.name, b.name));
    const root = new Tree((page) => this.#place(page), true);
    for (const { name, value } of this.#buckets)
      root.add({ key: name, valueBytes: value.length, value }, bucketFlag);
    const rootPage = root.finishOnPages();
    return {
      pageBytes,
      root: rootPage,
      freelist: freelistPage,
      pageCount: this.#nextPage,
      transaction: 1n,
    };
  }

  /** Gives a page its number, and the bytes of it to whoever takes them. */
  #place(page: PlannedPage): number {
    const id = this.#nextPage;
    this.#nextPage += Math.ceil(page.bytes / pageBytes);
    this.#emit?.(encodePage(page, id, Math.ceil(page.bytes / pageBytes) * pageBytes));
    return id;
  }
}

/** The first three pages of a file: both metas agree, and no page is free. */
export function headPages(meta: Meta): Buffer {
  const freelist = Buffer.alloc(pageBytes);
  writePageHeader(freelist, { id: freelistPage, flags: pageFlag.freelist, count: 0, overflow: 0 });
  // A meta's page is its transaction's parity.
  return Buffer.concat([
    metaPage(0, { ...meta, transaction: 2n }),
    metaPage(1, { ...meta, transaction: 1n }),
    freelist,
  ]);
}

export const headBytes = firstPage * pageBytes;

interface LeafElement extends Entry {
  readonly flags: number;
}

interface BranchElement {
  readonly key: Uint8Array;
  readonly page: number;
}

type PlannedPage = { bytes: number } & (
  | { leaf: readonly LeafElement[] }
  | { branch: readonly BranchElement[] }
);

/** One B+tree, built from the left: full leaves, and above them full branches. */
class Tree {
  readonly #place: (page: PlannedPage) => number;
  readonly #hasValues: boolean;
  #leaf: LeafElement[] = [];
  #leafBytes = pageHeaderBytes;
  #lastKey: Uint8Array | undefined;
  /** The branches being filled, from the lowest. */
  readonly #levels: BranchLevel[] = [];

  constructor(place: (page: PlannedPage) => number, hasValues: boolean) {
    this.#place = place;
    this.#hasValues = hasValues;
  }

  add(entry: Entry, flags = 0): void {
    const { key, valueBytes } = entry;
    if (key.byteLength === 0 || (this.#lastKey !== undefined && Buffer.compare(key, this.#lastKey) <= 0))
      throw new RangeError(`bbolt key ${Buffer.from(key).toString('hex')} does not follow the last one`);
    this.#lastKey = key;
    const bytes = elementBytes + key.byteLength + valueBytes;
    if (this.#leaf.length > 0 && (this.#leafBytes + bytes > pageBytes || this.#leaf.length === maxElements))
      this.#endLeaf();
    this.#leaf.push({ ...entry, flags });
    this.#leafBytes += bytes;
  }

  #endLeaf(): void {
    const key = this.#leaf[0]?.key ?? new Uint8Array(0);
    const page = this.#place({ leaf: this.#leaf, bytes: this.#leafBytes });
    this.#leaf = [];
    this.#leafBytes = pageHeaderBytes;
    this.#addChild(0, { key, page });
  }

  #addChild(depth: number, child: BranchElement): void {
    const level = (this.#levels[depth] ??= new BranchLevel());
    const full = level.add(child);
    if (full !== undefined) this.#endBranch(depth, full);
  }

  #endBranch(depth: number, branch: readonly BranchElement[]): void {
    const bytes = pageHeaderBytes + branch.reduce((sum, one) => sum + bytesOf(one), 0);
    const page = this.#place({ branch, bytes });
    this.#addChild(depth + 1, { key: (branch[0] as BranchElement).key, page });
  }

  /** Ends the tree. Returns the bucket's value in its parent: a header, and the whole of it when it is small. */
  finish(): Buffer {
    const isInline = this.#levels.length === 0 && this.#leafBytes <= maxInlineBytes;
    const header = Buffer.alloc(bucketHeaderBytes);
    if (!isInline) {
      header.writeBigUInt64LE(BigInt(this.finishOnPages()), 0);
      return header;
    }
    const bytes = this.#leafBytes;
    const page = this.#hasValues ? encodePage({ leaf: this.#leaf, bytes }, 0, bytes) : Buffer.alloc(bytes);
    return Buffer.concat([header, page]);
  }

  /** Ends the tree. Returns its root's page. */
  finishOnPages(): number {
    if (this.#leaf.length > 0 || this.#levels.length === 0) this.#endLeaf();
    for (let depth = 0; ; depth++) {
      const branches = (this.#levels[depth] as BranchLevel).rest();
      const [only] = branches[0] ?? [];
      // The one child of the highest level is the root.
      if (branches[0]?.length === 1 && depth === this.#levels.length - 1) return (only as BranchElement).page;
      for (const branch of branches) this.#endBranch(depth, branch);
    }
  }
}

/** bbolt keeps no branch with fewer children (node.go: minKeys). */
const heldBack = 2;

const bytesOf = ({ key }: BranchElement): number => elementBytes + key.byteLength;

/** Children of the branch being filled. Two are held back, so that the last branch of a level has no fewer. */
class BranchLevel {
  #children: BranchElement[] = [];
  #bytes = pageHeaderBytes;

  /** Returns a branch's children when there are more than fit on a page. */
  add(child: BranchElement): BranchElement[] | undefined {
    this.#children.push(child);
    this.#bytes += bytesOf(child);
    const before = this.#children.length - heldBack;
    if (before < heldBack + 1) return undefined;
    const heldBackBytes = this.#children.slice(-heldBack).reduce((sum, one) => sum + bytesOf(one), 0);
    if (this.#bytes - heldBackBytes <= pageBytes) return undefined;
    return this.#take(before - 1);
  }

  #take(count: number): BranchElement[] {
    const taken = this.#children.splice(0, count);
    this.#bytes = this.#children.reduce((sum, one) => sum + bytesOf(one), pageHeaderBytes);
    return taken;
  }

  /** What is left: one branch, or two where the children held back would not fit. */
  rest(): BranchElement[][] {
    const { length } = this.#children;
    if (this.#bytes <= pageBytes || length < 4) return [this.#take(length)];
    return [this.#take(length >> 1), this.#take(length - (length >> 1))];
  }
}

function encodePage(planned: PlannedPage, id: number, bytes: number): Buffer {
  const page = Buffer.alloc(bytes);
  const isLeaf = 'leaf' in planned;
  const elements = isLeaf ? planned.leaf : planned.branch;
  writePageHeader(page, {
    id,
    flags: isLeaf ? pageFlag.leaf : pageFlag.branch,
    count: elements.length,
    overflow: Math.max(0, Math.ceil(bytes / pageBytes) - 1),
  });
  let data = pageHeaderBytes + elements.length * elementBytes;
  for (let i = 0; i < elements.length; i++) {
    const at = pageHeaderBytes + i * elementBytes;
    const { key } = elements[i] as LeafElement | BranchElement;
    page.set(key, data);
    if (isLeaf) {
      const { flags, value } = planned.leaf[i] as LeafElement;
      if (value === undefined) throw new Error('a bbolt page needs the values that it was measured with');
      page.writeUInt32LE(flags, at);
      page.writeUInt32LE(data - at, at + 4);
      page.writeUInt32LE(key.byteLength, at + 8);
      page.writeUInt32LE(value.byteLength, at + 12);
      page.set(value, data + key.byteLength);
      data += key.byteLength + value.byteLength;
    } else {
      page.writeUInt32LE(data - at, at);
      page.writeUInt32LE(key.byteLength, at + 4);
      page.writeBigUInt64LE(BigInt((planned.branch[i] as BranchElement).page), at + 8);
      data += key.byteLength;
    }
  }
  return page;
}
