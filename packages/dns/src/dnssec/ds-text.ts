import { printData } from '../wire/rdata.ts';
import { rrType, typeName } from '../wire/types.ts';
import type { SigningKey } from '../zone/zones.ts';
import { apexTtlSeconds } from './apex.ts';
import { digestType, dsOf } from './key.ts';

/**
 * What the parent of a zone has to be told, as lines of a master file: for each key that the parent should know the DS
 * with both digests (registrars ask for one or the other) and the same as CDS and DNSKEY, for those who take these.
 */
export function dsText(origin: string, keys: readonly SigningKey[]): string[] {
  const line = (type: number, data: Buffer): string =>
    `${origin}. ${apexTtlSeconds} IN ${typeName(type)} ${printData(type, data)}`;
  const known = keys.filter(({ isInParent }) => isInParent);
  return [
    ...known.flatMap(({ dnskey }) => [
      line(rrType.DS, dsOf(origin, dnskey, digestType.sha256)),
      line(rrType.DS, dsOf(origin, dnskey, digestType.sha384)),
    ]),
    ...known.map(({ dnskey }) => line(rrType.CDS, dsOf(origin, dnskey))),
    ...keys.map(({ dnskey }) => line(rrType.DNSKEY, dnskey)),
  ];
}
