import type { ResourceRecord } from '../wire/message.ts';
import { rrClass } from '../wire/types.ts';

/** The prerequisites or the update itself cannot be: `rcode` is what RFC 2136 answers, `message` names the record. */
export class UpdateError extends Error {
  override readonly name = 'UpdateError';
  readonly rcode: number;
  constructor(rcode: number, message: string) {
    super(message);
    this.rcode = rcode;
  }
}

/** A record's class, which in an UPDATE says what the record means (RFC 2136 sections 2.4 and 2.5). */
export function classOf(record: ResourceRecord): number {
  return record.class ?? rrClass.IN;
}
