import type { ResourceRecord } from '../wire/message.ts';
import { WireError } from '../wire/name.ts';
import { checkData } from '../wire/rdata/data.ts';
import { isMetaType, rcode, rrClass, rrType, typeName } from '../wire/types.ts';
import { classOf, UpdateError } from './update-error.ts';

/** Throws {@link UpdateError} (FORMERR) for a record with data that is none of its type: none is looked at then. */
export function checkForm(records: readonly ResourceRecord[]): void {
  for (const record of records) {
    const kind = classOf(record);
    if (kind !== rrClass.IN && (kind !== rrClass.NONE || record.data.length === 0)) continue;
    const what = `${record.name}. ${typeName(record.type)}`;
    if (isNoDataType(record.type)) throw new UpdateError(rcode.formErr, `${what}: no record has this type`);
    try {
      checkData(record.type, record.data);
    } catch (error) {
      throw error instanceof WireError ? new UpdateError(rcode.formErr, `${what}: ${error.message}`) : error;
    }
  }
}

/** Types that only questions and messages have. */
export function isNoDataType(type: number): boolean {
  return type === 0 || type === rrType.ANY || isMetaType(type);
}
