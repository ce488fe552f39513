import type { ResourceRecord } from '../wire/message.ts';
import type { RRset } from './zone.ts';

/** A record set of a zone; its records are made once, as answers want them. */
export class StoredRRset implements RRset {
  readonly name: string;
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: readonly Buffer[];
  #records: readonly ResourceRecord[] | undefined;

  constructor(name: string, type: number, ttlSeconds: number, data: readonly Buffer[]) {
    this.name = name;
    this.type = type;
    this.ttlSeconds = ttlSeconds;
    this.data = data;
  }

  get records(): readonly ResourceRecord[] {
    return (this.#records ??= listRecords(this));
  }
}

/** The set's records in its order. They are shared: not to be changed. */
export function recordsOf(rrset: RRset): readonly ResourceRecord[] {
  return rrset instanceof StoredRRset ? rrset.records : listRecords(rrset);
}

function listRecords({ name, type, ttlSeconds, data }: RRset): ResourceRecord[] {
  return data.map((one) => ({ name, type, ttlSeconds, data: one }));
}

/** Whether two sets hold the same data; both are in canonical order. */
export function hasSameData(a: RRset, b: RRset): boolean {
  return (
    a === b || (a.data.length === b.data.length && a.data.every((one, i) => one.equals(b.data[i] as Buffer)))
  );
}

/** Data in canonical order (RFC 4034 section 6.3), none twice; `canonical` gives the form that is compared. */
export function inCanonicalOrder(data: Buffer[], canonical: (data: Buffer) => Buffer): Buffer[] {
  if (data.length < 2) return data;
  const keyed = data.map((one) => ({ one, key: canonical(one) })).sort((a, b) => a.key.compare(b.key));
  return keyed
    .filter(({ key }, i) => i === 0 || !key.equals((keyed[i - 1] as { key: Buffer }).key))
    .map((x) => x.one);
}
