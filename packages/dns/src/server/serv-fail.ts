import { parseQuery } from '../wire/query.ts';
import { WireError } from '../wire/name.ts';
import { rcode } from '../wire/types.ts';

/** SERVFAIL to a message of any opcode: with its question, where it has one. */
export function servFailFor(message: Buffer): Buffer {
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 2);
  header[2] = 0x80 | ((message[2] ?? 0) & 0x79);
  header[3] = rcode.servFail;
  try {
    const { questionBytes } = parseQuery(message);
    header[5] = 1;
    return Buffer.concat([header, questionBytes]);
  } catch (error) {
    if (error instanceof WireError) return header;
    throw error;
  }
}
