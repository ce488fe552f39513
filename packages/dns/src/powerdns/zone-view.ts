import { dsText } from '../dnssec/ds-text.ts';
import { printName } from '../wire/name.ts';
import { printData } from '../wire/rdata/data.ts';
import { typeName } from '../wire/types.ts';
import type { RRset } from '../zone/zone.ts';
import type { ServedZone } from '../zone/zones.ts';
import { zoneId } from './names.ts';

/** A zone as lists have it (PowerDNS: ws-auth.cc, getZoneInfo). `isDnssecAsked` false leaves DNSSEC out, as there. */
export function zoneInfo(served: ServedZone, isDnssecAsked: boolean): Record<string, unknown> {
  const { zone, role, signing } = served;
  const id = zoneId(zone.origin);
  return {
    account: '',
    catalog: '',
    ...(isDnssecAsked ? { dnssec: signing !== undefined, edited_serial: zone.serial } : {}),
    id,
    kind: role === 'primary' ? 'Master' : 'Slave',
    last_check: 0,
    masters: [],
    name: printName(zone.origin),
    notified_serial: zone.serial,
    serial: zone.serial,
    url: `/api/v1/servers/localhost/zones/${id}`,
  };
}

/** A whole zone, with its record sets unless they are not wanted. */
export function zoneDetail(
  served: ServedZone,
  filter: { rrsets: boolean; name: string | undefined; type: number | undefined },
): Record<string, unknown> {
  const { name, type } = filter;
  const sets = (): RRset[] => {
    const all = name === undefined ? [...served.zone.rrsets()] : setsOf(served, name);
    return type === undefined ? all : all.filter((one) => one.type === type);
  };
  return {
    ...zoneInfo(served, true),
    api_rectify: false,
    master_tsig_key_ids: [],
    nsec3narrow: served.signing?.denial === 'nsec3',
    nsec3param: served.signing?.denial === 'nsec3' ? '1 0 0 -' : '',
    ...(filter.rrsets ? { rrsets: sets().map(rrsetView) } : {}),
    slave_tsig_key_ids: [],
    soa_edit: '',
    soa_edit_api: 'DEFAULT',
  };
}

function setsOf({ zone }: ServedZone, name: string): RRset[] {
  const node = zone.node(name);
  return (node?.types() ?? []).flatMap((type) => node?.rrset(type) ?? []);
}

function rrsetView({ name, type, ttlSeconds, data }: RRset): Record<string, unknown> {
  return {
    comments: [],
    name: printName(name),
    records: data.map((one) => ({ content: printData(type, one), disabled: false })),
    ttl: ttlSeconds,
    type: typeName(type),
  };
}

/** The zone's signing keys, without what is secret. */
export function cryptokeys({ zone, signing }: ServedZone): Array<Record<string, unknown>> {
  return (signing?.keys ?? []).map((key, i) => ({
    type: 'Cryptokey',
    id: i + 1,
    keytype: key.flags === 257 ? 'csk' : 'zsk',
    active: key.isActive,
    published: true,
    flags: key.flags,
    algorithm: 'ECDSAP256SHA256',
    bits: 256,
    dnskey: printData(48, key.dnskey),
    ds: dsText(zone.origin, [key])
      .map((line) => line.split(' '))
      .filter(([, , , type]) => type === 'DS')
      .map((words) => words.slice(4).join(' ')),
  }));
}
