import type { ServedRecords, ShownRecords } from '@cloudless/dns/external/external-dns';
import type { ObjectReference } from '@cloudless/dns/external/records';

/** `Service default/web`. */
export function sourceText({ kind, namespace, name }: ObjectReference): string {
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`;
}

/** The lines of a record set, as a master file has them. */
export function recordLines({ name, type, ttlSeconds, data }: ShownRecords): string[] {
  return data.map((one) => `${name}. ${ttlSeconds} IN ${type} ${one}`);
}

/** The same, each with what it is from behind it, as a comment. */
export function servedLines(records: ServedRecords): string[] {
  const { from } = records;
  const source = from.length === 0 ? "the zone's text" : from.map(sourceText).join(', ');
  return recordLines(records).map((line) => `${line} ; ${source}`);
}
