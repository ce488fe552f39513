import { printName } from '../../wire/name.ts';
import { readSoa } from '../../wire/rdata/typed.ts';
import type { Draft, DraftRecord } from './draft.ts';

const daySeconds = 86_400;

/** Odd numbers and names in a SOA record (RFC 1912 section 2.2, RFC 2308 section 5). All are warnings. */
export function checkSoa(draft: Draft, record: DraftRecord): void {
  const soa = readSoa(record.data);
  const odd = (message: string): void =>
    draft.warning(record, `the SOA record of ${printName(draft.origin)} ${message}`);
  if (soa.mailbox.includes('\\@'))
    odd(`names its mailbox with an @: write ${printName(soa.mailbox.replace('\\@', '.'))} instead`);
  if (soa.expireSeconds < soa.refreshSeconds + soa.retrySeconds)
    odd(
      `lets secondaries expire after ${soa.expireSeconds} s, before they have tried twice (refresh ${soa.refreshSeconds} s, retry ${soa.retrySeconds} s)`,
    );
  if (soa.retrySeconds > soa.refreshSeconds && soa.refreshSeconds > 0)
    odd(`has a retry of ${soa.retrySeconds} s, longer than its refresh of ${soa.refreshSeconds} s`);
  if (soa.minimumSeconds > daySeconds)
    odd(
      `lets missing names be remembered for ${soa.minimumSeconds} s: its last number is that time since RFC 2308`,
    );
}
