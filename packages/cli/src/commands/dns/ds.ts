import { dsText } from '@cloudless/dns/dnssec/ds-text';
import { keyTagOf } from '@cloudless/dns/dnssec/key';
import { lowerName, parseName } from '@cloudless/dns/wire/name';
import { printData, readDnskey } from '@cloudless/dns/wire/rdata';
import { rrType } from '@cloudless/dns/wire/types';
import { askServer } from './ask-server.ts';
import { NoDnsError } from './local-dns.ts';

export interface DsFlags {
  root: string;
  server?: string;
}

/**
 * `cloudless dns ds ZONE`: from the keys that the zone publishes, so that nobody needs the Secret. CDS says which of them the
 * parent should know (RFC 7344).
 */
export async function ds(zone: string, flags: DsFlags): Promise<void> {
  const { answers, server } = await askServer(flags, zone, rrType.DNSKEY);
  const keys = answers.filter(({ type }) => type === rrType.DNSKEY).map(({ data }) => data);
  if (keys.length === 0)
    throw new NoDnsError(
      `${server} has no keys of ${zone}: is it signed? Put it under dnssec in the values, and see cloudless dns status`,
    );
  const wanted = (await askServer(flags, zone, rrType.CDS)).answers
    .filter(({ type }) => type === rrType.CDS)
    .map(({ data }) => data.readUInt16BE(0));
  const origin = lowerName(parseName(zone));
  const shown = keys.map((dnskey) => {
    const { flags: bits } = readDnskey(dnskey);
    const tag = keyTagOf(dnskey);
    const isInParent = wanted.length > 0 ? wanted.includes(tag) : (bits & 1) === 1;
    return {
      flags: bits === 257 ? (257 as const) : (256 as const),
      algorithm: 13 as const,
      keyTag: tag,
      dnskey,
      privateKey: '',
      isActive: true,
      isInParent,
    };
  });
  process.stdout.write(`${dsText(origin, shown).join('\n')}\n`);
  const others = keys.filter((dnskey) => readDnskey(dnskey).algorithm !== 13);
  for (const dnskey of others)
    process.stderr.write(`${origin}. has a key of another algorithm: ${printData(rrType.DNSKEY, dnskey)}\n`);
}
