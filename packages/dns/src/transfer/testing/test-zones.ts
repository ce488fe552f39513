import type { RecordKeeper, RRsetChange } from '../../update/change.ts';
import type { ResourceRecord } from '../../wire/message.ts';
import { zoneOf } from '../../zone/build.ts';
import { recordsOf } from '../../zone/rrset.ts';
import { parseZone } from '../../zone/text/parse.ts';
import type { Zone } from '../../zone/zone.ts';
import type { Zones } from '../../zone/zones.ts';

/** A zone of its text; throws for one with problems. */
export function zoneFromText(origin: string, text: string): Zone {
  const { records, problems } = parseZone({ origin, text, place: { source: 'test', line: 1 } });
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('; '));
  return zoneOf(
    origin,
    records.map(({ name, type, ttlSeconds, data }) => ({ name, type, ttlSeconds, data })),
  );
}

/** SOA and NS for a zone, and `records` below them; refresh and retry are short. */
export function testZone(origin: string, serial: number, records = ''): Zone {
  return zoneFromText(
    origin,
    `$TTL 60\n@ SOA ns1 hostmaster ${serial} 3600 2 604800 5\n@ NS ns1\nns1 A 192.0.2.1\n${records}\n`,
  );
}

/** The zone with the changes made, under the next serial. */
export function changedZone(zone: Zone, changes: readonly RRsetChange[]): Zone {
  const isTouched = (name: string, type: number): boolean =>
    changes.some((change) =>
      change.kind === 'replace'
        ? change.rrset.name === name && change.rrset.type === type
        : change.name === name && (change.type === undefined || change.type === type),
    );
  const records: ResourceRecord[] = [];
  for (const rrset of zone.rrsets())
    if (!isTouched(rrset.name, rrset.type)) records.push(...recordsOf(rrset));
  for (const change of changes) if (change.kind === 'replace') records.push(...recordsOf(change.rrset));
  return zoneOf(zone.origin, records).withSerial((zone.serial + 1) >>> 0 || 1);
}

/** Keeps records in the zones themselves. */
export class MemoryKeeper implements RecordKeeper {
  readonly #zones: Zones;
  /** Who changed what. */
  readonly calls: Array<{ origin: string; by: string; changes: readonly RRsetChange[] }> = [];

  constructor(zones: Zones) {
    this.#zones = zones;
  }

  async apply(
    origin: string,
    changes: readonly RRsetChange[] | ((zone: Zone) => readonly RRsetChange[]),
    by: string,
  ): Promise<{ serial: number }> {
    const zone = this.#zones.all.get(origin)?.zone;
    if (!zone) throw new Error(`no zone ${origin}`);
    const list = typeof changes === 'function' ? changes(zone) : changes;
    this.calls.push({ origin, by, changes: list });
    if (list.length === 0) return { serial: zone.serial };
    const next = changedZone(zone, list);
    this.#zones.publish(next);
    return { serial: next.serial };
  }
}
