import { createHash } from 'node:crypto';
import type { LogRecord } from '../log/log.ts';
import type { HistoryHead, MeasuredHistory, RecordSize } from '../history/history.ts';
import type { Meta } from './bbolt-format.ts';
import { BboltWriter, type EmitPage, headPages } from './bbolt-writer.ts';
import { encodeKeyValue, encodeLease, keyValueBytes, leaseKey, revisionKey } from './etcd-values.ts';

/**
 * etcd's buckets (server/storage/schema/bucket.go) in a bbolt file. All that every etcd from 3.4 on creates are
 * there. What belongs to one cluster of servers is not (members, the cluster's version): a restore sets it, and an
 * etcd older than the version named there would refuse to start. No `storageVersion`, but a term: to etcd 3.6 that is
 * a file of 3.5, which it brings up to date itself, and 3.4 looks at neither.
 */
export class EtcdFileWriter {
  readonly #bbolt: BboltWriter;
  readonly #head: HistoryHead;
  #revision = 0;
  #sub = 0;

  /** @param emit absent: the file is only measured */
  constructor(head: HistoryHead, emit?: EmitPage) {
    this.#head = head;
    this.#bbolt = new BboltWriter(emit);
    this.#bbolt.begin('key');
  }

  /** The next record. When the file is only measured, its sizes are enough. */
  add(record: LogRecord | RecordSize): void {
    if (record.revision !== this.#revision) this.#sub = 0;
    this.#revision = record.revision;
    const isTombstone = 'keyBytes' in record ? record.valueBytes < 0 : record.value === undefined;
    const key = revisionKey(record.revision, this.#sub++, isTombstone);
    if ('keyBytes' in record) {
      this.#bbolt.add({ key, valueBytes: keyValueBytes(record) });
    } else {
      const value = encodeKeyValue(record);
      this.#bbolt.add({ key, valueBytes: value.length, value });
    }
  }

  /** Writes everything else. The answer goes to the file's first pages. */
  finish(): Meta {
    for (const name of ['alarm', 'auth', 'authRoles', 'authUsers', 'cluster']) this.#bbolt.begin(name);
    this.#bbolt.begin('lease');
    for (const lease of [...this.#head.leases].sort((a, b) => (a.id < b.id ? -1 : 1)))
      this.#put(leaseKey(lease.id), encodeLease(lease));
    for (const name of ['members', 'members_removed']) this.#bbolt.begin(name);
    this.#bbolt.begin('meta');
    this.#finishMeta();
    return this.#bbolt.finish();
  }

  #finishMeta(): void {
    const { compactRevision } = this.#head;
    const one = Buffer.alloc(8);
    one.writeBigUInt64BE(1n);
    // In order of their names.
    this.#put(Buffer.from('consistent_index'), one);
    const compacted = revisionKey(compactRevision, 0, false);
    if (compactRevision > 0) this.#put(Buffer.from('finishedCompactRev'), compacted);
    if (compactRevision > 0) this.#put(Buffer.from('scheduledCompactRev'), compacted);
    this.#put(Buffer.from('term'), one);
  }

  #put(key: Buffer, value: Buffer): void {
    this.#bbolt.add({ key, valueBytes: value.length, value });
  }
}

/**
 * The history as `etcdctl snapshot save` writes it: a bbolt database and the 32 bytes of its SHA-256. It is laid out
 * twice, with lengths first, since the file begins with where it ends.
 */
export async function* streamSnapshot(history: MeasuredHistory): AsyncGenerator<Uint8Array> {
  const measured = new EtcdFileWriter(history);
  for await (const sizes of history.sizes()) for (const size of sizes) measured.add(size);
  const meta = measured.finish();
  const hash = createHash('sha256');
  const head = headPages(meta);
  hash.update(head);
  yield head;
  let pages: Buffer[] = [];
  const writer = new EtcdFileWriter(history, (page) => pages.push(page));
  const take = (): Buffer => {
    const bytes = pages.length === 1 ? (pages[0] as Buffer) : Buffer.concat(pages);
    pages = [];
    hash.update(bytes);
    return bytes;
  };
  for await (const records of history.records()) {
    for (const record of records) writer.add(record);
    if (pages.length > 0) yield take();
  }
  const written = writer.finish();
  if (written.pageCount !== meta.pageCount || written.root !== meta.root)
    throw new Error(
      `the snapshot of ${history.name} came out as ${written.pageCount} pages, not ${meta.pageCount}`,
    );
  yield take();
  yield hash.digest();
}
