import { printName } from '../../wire/name.ts';
import { printData } from '../../wire/rdata/data.ts';
import { typeName } from '../../wire/types.ts';
import type { Zone } from '../zone.ts';

/**
 * The zone as a master file (RFC 1035 section 5) that any name server reads: absolute names, a TTL in every record, in
 * canonical order with the SOA first. Text of the same records is the same text.
 */
export function printZone(zone: Zone): string {
  const lines: string[] = [];
  for (const { name, type, ttlSeconds, data } of zone.rrsets())
    for (const one of data)
      lines.push(`${printName(name)}\t${ttlSeconds}\tIN\t${typeName(type)}\t${printData(type, one)}\n`);
  return lines.join('');
}
