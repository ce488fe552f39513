/**
 * The bytes of a bbolt database file (go.etcd.io/bbolt, internal/common: page.go, meta.go, bucket.go), the file
 * that etcd keeps its data in. Numbers are little-endian, as on every machine that etcd is released for.
 *
 * A file is an array of pages. Pages 0 and 1 each hold a **meta**: where the root bucket, the list of free pages and
 * the end of the file are; the valid one with the higher transaction counts. A bucket is a B+tree of **leaf** and
 * **branch** pages; what does not fit on one page goes on in the `overflow` pages behind it. A value with
 * {@link bucketFlag} is a bucket itself: its root's page, or, with root 0, the one leaf page right there (inline).
 */

export const pageHeaderBytes = 16;
/** Both kinds of entry have as many. */
export const elementBytes = 16;
export const bucketHeaderBytes = 16;
/** The meta without its page header; the checksum is its last 8 bytes. */
export const metaBytes = 64;
export const checkedMetaBytes = 56;
export const magic = 0xed0cdaed;
export const formatVersion = 2;
/** What is written. Files of other page sizes are read. */
export const pageBytes = 4096;
/** A bucket whose only page is at most this long is kept inside its parent (bbolt: maxInlineBucketSize). */
export const maxInlineBytes = pageBytes / 4;
/** A page's count has 16 bits; bbolt counts no entry as the highest of them. */
export const maxElements = 0xfffe;
export const noFreelist = 0xffff_ffff_ffff_ffffn;

export const pageFlag = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
/** In a leaf's entry: the value is a bucket. */
export const bucketFlag = 0x01;

export interface PageHeader {
  id: number;
  flags: number;
  count: number;
  /** Pages behind this one that belong to it. */
  overflow: number;
}

export function writePageHeader(page: Buffer, { id, flags, count, overflow }: PageHeader): void {
  page.writeBigUInt64LE(BigInt(id), 0);
  page.writeUInt16LE(flags, 8);
  page.writeUInt16LE(count, 10);
  page.writeUInt32LE(overflow, 12);
}

export function readPageHeader(page: Buffer): PageHeader {
  return {
    id: Number(page.readBigUInt64LE(0)),
    flags: page.readUInt16LE(8),
    count: page.readUInt16LE(10),
    overflow: page.readUInt32LE(12),
  };
}

export interface Meta {
  pageBytes: number;
  /** Page of the root bucket. */
  root: number;
  /** Page of the list of free pages; undefined when the file has none. */
  freelist: number | undefined;
  /** Number of pages. */
  pageCount: number;
  transaction: bigint;
}

/** A whole meta page. */
export function metaPage(id: 0 | 1, meta: Meta): Buffer {
  const page = Buffer.alloc(meta.pageBytes);
  writePageHeader(page, { id, flags: pageFlag.meta, count: 0, overflow: 0 });
  const body = page.subarray(pageHeaderBytes, pageHeaderBytes + metaBytes);
  body.writeUInt32LE(magic, 0);
  body.writeUInt32LE(formatVersion, 4);
  body.writeUInt32LE(meta.pageBytes, 8);
  body.writeUInt32LE(0, 12);
  body.writeBigUInt64LE(BigInt(meta.root), 16);
  body.writeBigUInt64LE(0n, 24);
  body.writeBigUInt64LE(meta.freelist === undefined ? noFreelist : BigInt(meta.freelist), 32);
  body.writeBigUInt64LE(BigInt(meta.pageCount), 40);
  body.writeBigUInt64LE(meta.transaction, 48);
  body.writeBigUInt64LE(fnv1a64(body.subarray(0, checkedMetaBytes)), 56);
  return page;
}

/** What a meta page says, or why it counts for nothing. */
export function readMeta(page: Buffer): Meta | string {
  const body = page.subarray(pageHeaderBytes, pageHeaderBytes + metaBytes);
  if (body.length < metaBytes) return 'it is cut off';
  if (body.readUInt32LE(0) !== magic) return 'it does not begin as a bbolt file does';
  if (body.readUInt32LE(4) !== formatVersion) return `it is of bbolt's format ${body.readUInt32LE(4)}`;
  if (body.readBigUInt64LE(56) !== fnv1a64(body.subarray(0, checkedMetaBytes)))
    return 'its checksum is wrong';
  const freelist = body.readBigUInt64LE(32);
  return {
    pageBytes: body.readUInt32LE(8),
    root: Number(body.readBigUInt64LE(16)),
    freelist: freelist === noFreelist ? undefined : Number(freelist),
    pageCount: Number(body.readBigUInt64LE(40)),
    transaction: body.readBigUInt64LE(48),
  };
}

/** FNV-1a of 64 bits (RFC draft-eastlake-fnv). */
export function fnv1a64(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
