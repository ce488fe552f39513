import type { RRsetChange } from '../update/change.ts';
import { isSubdomain, WireError } from '../wire/name.ts';
import { canonicalData, checkData, parseData, printData } from '../wire/rdata/data.ts';
import { tokensOf } from '../wire/rdata/token.ts';
import { isMetaType, rrType, typeName, typeNumber } from '../wire/types.ts';
import type { Zone } from '../zone/zone.ts';
import { unprocessable } from './api-error.ts';
import { canonicalName } from './names.ts';

const changeTypes = ['REPLACE', 'DELETE', 'EXTEND', 'PRUNE'] as const;
type ChangeType = (typeof changeTypes)[number];

/** One member of `rrsets` in a PATCH. */
interface AskedChange {
  readonly kind: ChangeType;
  readonly name: string;
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: readonly Buffer[];
}

const mostChanges = 10_000;

/**
 * The changes of a PATCH (PowerDNS: ws-auth.cc, patchZone), to be made to the zone as it is then. Throws ApiError with
 * PowerDNS's words.
 */
export function readPatch(body: unknown, origin: string): (zone: Zone) => RRsetChange[] {
  const rrsets = (body as { rrsets?: unknown } | null)?.rrsets;
  if (!Array.isArray(rrsets)) throw unprocessable('No rrsets given in update request');
  if (rrsets.length > mostChanges)
    throw unprocessable(`More than ${mostChanges} rrsets in one request: send them in several`);
  const asked = rrsets.map((one) => askedChange(objectOf(one, 'An rrset'), origin));
  const seen = new Set<string>();
  for (const { kind, name, type } of asked) {
    const key = `${name} ${type} ${kind}`;
    if ((kind === 'REPLACE' || kind === 'DELETE') && seen.has(key))
      throw unprocessable(`Duplicate RRset ${name}. IN ${typeName(type)} with changetype: ${kind}`);
    seen.add(key);
  }
  return (zone) => changesOf(asked, zone);
}

function changesOf(asked: readonly AskedChange[], zone: Zone): RRsetChange[] {
  /** What several changes of one set have made of it so far. */
  const current = new Map<string, readonly Buffer[]>();
  return asked.map((change): RRsetChange => {
    const { kind, name, type } = change;
    const key = `${name} ${type}`;
    const there = zone.node(name)?.rrset(type);
    const before = current.get(key) ?? there?.data ?? [];
    const data = dataAfter(change, before);
    current.set(key, data);
    if (data.length === 0) return { kind: 'delete', name, type };
    const ttlSeconds = kind === 'PRUNE' ? (there?.ttlSeconds ?? change.ttlSeconds) : change.ttlSeconds;
    return { kind: 'replace', rrset: { name, type, ttlSeconds, data } };
  });
}

function dataAfter({ kind, type, data }: AskedChange, before: readonly Buffer[]): readonly Buffer[] {
  const same = (a: Buffer, b: Buffer): boolean => canonicalData(type, a).equals(canonicalData(type, b));
  switch (kind) {
    case 'DELETE':
      return [];
    case 'EXTEND':
      return [...before, ...data.filter((one) => !before.some((old) => same(old, one)))];
    case 'PRUNE':
      return before.filter((old) => !data.some((one) => same(old, one)));
    default:
      return data;
  }
}

function askedChange(rrset: Record<string, unknown>, origin: string): AskedChange {
  const changeType = textOf(rrset, 'changetype').toUpperCase();
  const kind = changeTypes.find((one) => one === changeType);
  if (!kind) throw unprocessable(`Changetype '${changeType}' is not a valid value`);
  const name = canonicalName(textOf(rrset, 'name'));
  const typeText = textOf(rrset, 'type');
  const type = typeNumber(typeText);
  if (type === undefined || isMetaType(type))
    throw unprocessable(`RRset ${name}. IN ${typeText}: unknown type given`);
  const what = `RRset ${name}. IN ${typeName(type)}`;
  if (kind === 'DELETE') return { kind, name, type, ttlSeconds: 0, data: [] };
  if (!isSubdomain(name, origin)) throw unprocessable(`${what}: Name is out of zone`);
  if (Array.isArray(rrset['comments']) && rrset['comments'].length > 0)
    throw unprocessable('Hosting backend does not support editing comments.');
  const records = rrset['records'];
  if (!Array.isArray(records)) throw unprocessable(`No change for ${what}`);
  const data = records.map((one: unknown) => recordData(objectOf(one, 'A record'), name, type));
  if (kind === 'EXTEND' || kind === 'PRUNE') {
    if (data.length === 0) throw unprocessable('No record provided for PRUNE or EXTEND operation');
    if (data.length > 1)
      throw unprocessable('Exactly one record should be provided for PRUNE or EXTEND operation');
  }
  refuseDuplicates(data, what, type);
  const ttlSeconds = data.length === 0 || kind === 'PRUNE' ? 0 : ttlOf(rrset);
  return { kind, name, type, ttlSeconds, data };
}

function refuseDuplicates(data: readonly Buffer[], what: string, type: number): void {
  const seen = new Set<string>();
  for (const one of data) {
    const key = canonicalData(type, one).toString('hex');
    if (seen.has(key))
      throw unprocessable(`Duplicate record in ${what} with content "${printData(type, one)}"`);
    seen.add(key);
  }
}

function ttlOf(rrset: Record<string, unknown>): number {
  const ttl =
    typeof rrset['ttl'] === 'string' && /^\d+$/.test(rrset['ttl']) ? Number(rrset['ttl']) : rrset['ttl'];
  if (typeof ttl !== 'number' || !Number.isInteger(ttl))
    throw unprocessable("Key 'ttl' not an Integer or not present");
  if (ttl < 0 || ttl > 0x7fff_ffff) throw unprocessable("Key 'ttl' is not a positive Integer");
  return ttl;
}

function recordData(record: Record<string, unknown>, name: string, type: number): Buffer {
  const content = textOf(record, 'content');
  if (record['disabled'] === true)
    throw unprocessable(
      `Record ${name}./${typeName(type)} '${content}': disabled records are not kept here: leave it out`,
    );
  try {
    const data = parseData(type, tokensOf(content));
    checkData(type, data);
    const printed = printData(type, data);
    if (isOtherwiseMeant(content, printed, type))
      throw unprocessable(
        `Record ${name}./${typeName(type)} '${content}': Not in expected format (parsed as '${printed}')`,
      );
    return data;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw unprocessable(`Record ${name}./${typeName(type)} '${content}': ${error.message}`);
  }
}

/**
 * PowerDNS takes content as it would print it, and nothing else: names with their dots, text in quotes. Here other ways to
 * write the same address or number pass, but what could be meant otherwise does not.
 */
function isOtherwiseMeant(content: string, printed: string, type: number): boolean {
  if (type === rrType.TXT && !content.trimStart().startsWith('"')) return true;
  const plain = (text: string): string => text.toLowerCase().trim().split(/\s+/).join(' ');
  const withoutDots = (text: string): string => plain(text).replace(/\.(?= |$)/g, '');
  return plain(content) !== plain(printed) && withoutDots(content) === withoutDots(printed);
}

/** A member of a body that must be an object. */
function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unprocessable(`${what} is no JSON object`);
  return value as Record<string, unknown>;
}

function textOf(object: Record<string, unknown>, key: string): string {
  const value = object[key];
  if (typeof value !== 'string') throw unprocessable(`Key '${key}' not present or not a String`);
  return value;
}
