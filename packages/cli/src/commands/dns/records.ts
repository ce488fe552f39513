import type { ServedRecords } from '@cloudless/dns/external/external-dns';
import { askPage, isJson, type LocalFlags } from './local-dns.ts';
import { servedLines } from './record-text.ts';

/** `cloudless dns records [ZONE]`. */
export async function records(zone: string | undefined, flags: LocalFlags): Promise<void> {
  const json = isJson(flags);
  const query = zone === undefined ? '' : `?zone=${encodeURIComponent(zone)}`;
  const all = await askPage<ServedRecords[]>(flags, `/records${query}`);
  if (json) process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  else if (all.length > 0) process.stdout.write(`${all.flatMap(servedLines).join('\n')}\n`);
  else {
    process.stderr.write(`${zone === undefined ? 'no zone is' : `zone ${zone} is not`} served here\n`);
    process.exitCode = 2;
  }
}
