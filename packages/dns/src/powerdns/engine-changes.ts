import { lowerName, parseName, printName, WireError } from '../wire/name.ts';
import { canonicalData, parseData, printData } from '../wire/rdata/data.ts';
import { tokensOf } from '../wire/rdata/token.ts';
import { rrType, typeName, typeNumber } from '../wire/types.ts';
import type { RRset, Zone } from '../zone/zone.ts';
import type { ApiRRset } from './client.ts';

type ChangedSet = Record<string, unknown>;

/** All record sets, as a new zone has them. */
export function wholeSets(zone: Zone): ChangedSet[] {
  return [...zone.rrsets()].map(replacing);
}

/** What has to be changed to get to `zone`: the SOA last, so that its serial rises when the rest is there. */
export function setsToChange(
  zone: Zone,
  from: { readonly zone: Zone } | { readonly sets: readonly ApiRRset[] },
): ChangedSet[] {
  const before = 'zone' in from ? keysOf(from.zone.rrsets()) : keysOfApi(from.sets);
  const changes: ChangedSet[] = [];
  const replaced: ChangedSet[] = [];
  const soa: ChangedSet[] = [];
  for (const rrset of zone.rrsets()) {
    const key = keyOf(rrset.name, rrset.type);
    const isSame = before.get(key) === contentOf(rrset);
    before.delete(key);
    if (!isSame) (rrset.type === rrType.SOA ? soa : replaced).push(replacing(rrset));
  }
  // Deletions first: a name may change from a CNAME to an address.
  for (const key of before.keys()) {
    const [name = '', type = ''] = key.split(' ');
    changes.push({ name: printName(name), type: typeName(Number(type)), changetype: 'DELETE' });
  }
  return [...changes, ...replaced, ...soa];
}

function replacing({ name, type, ttlSeconds, data }: RRset): ChangedSet {
  return {
    name: printName(name),
    type: typeName(type),
    ttl: ttlSeconds,
    changetype: 'REPLACE',
    records: data.map((one) => ({ content: printData(type, one), disabled: false })),
  };
}

const keyOf = (name: string, type: number): string => `${name} ${type}`;

function contentOf({ type, ttlSeconds, data }: Pick<RRset, 'type' | 'ttlSeconds' | 'data'>): string {
  const all = data.map((one) => canonicalData(type, one).toString('base64'));
  return `${ttlSeconds} ${all.sort().join(' ')}`;
}

function keysOf(sets: Iterable<RRset>): Map<string, string> {
  return new Map(Array.from(sets, (rrset) => [keyOf(rrset.name, rrset.type), contentOf(rrset)]));
}

function keysOfApi(sets: readonly ApiRRset[]): Map<string, string> {
  const keys = new Map<string, string>();
  for (const { name, type: typeText, ttl, records } of sets) {
    const type = typeNumber(typeText);
    if (type === undefined) continue;
    keys.set(keyOf(lowerName(parseName(name)), type), contentOfApi(type, ttl, records));
  }
  return keys;
}

/** What cannot be read is other than all that is wanted. */
function contentOfApi(type: number, ttlSeconds: number, records: ApiRRset['records']): string {
  try {
    if (records.some(({ disabled }) => disabled)) return '';
    const data = records.map(({ content }) => parseData(type, tokensOf(content)));
    return contentOf({ type, ttlSeconds, data });
  } catch (error) {
    if (error instanceof WireError) return '';
    throw error;
  }
}
