import { messageType } from './messages.ts';
import { MsgpackError } from './msgpack.ts';

/** Bytes of a compound message besides its messages, and for each of them. */
export const compoundBytes = 2;
export const compoundEntryBytes = 2;
const maxMessages = 255;

/** Packs messages of at most 65535 bytes into as few as possible: one as it is, up to 255 as a compound. */
export function packCompounds(messages: readonly Buffer[]): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < messages.length; at += maxMessages)
    packets.push(packCompound(messages.slice(at, at + maxMessages)));
  return packets;
}

function packCompound(messages: readonly Buffer[]): Buffer {
  const [first] = messages;
  if (messages.length === 1 && first) return first;
  const head = Buffer.alloc(compoundBytes + compoundEntryBytes * messages.length);
  head[0] = messageType.compound;
  head[1] = messages.length;
  messages.forEach((message, index) => head.writeUInt16BE(message.length, compoundBytes + 2 * index));
  return Buffer.concat([head, ...messages]);
}

/** The messages of a compound; `truncated` of them are missing at its end. Throws {@link MsgpackError} for none. */
export function unpackCompound(packet: Buffer): { parts: Buffer[]; truncated: number } {
  const count = packet[1];
  if (count === undefined) throw new MsgpackError('a compound message without its count');
  let offset = compoundBytes + compoundEntryBytes * count;
  if (packet.length < offset) throw new MsgpackError('a compound message without its lengths');
  const parts: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const length = packet.readUInt16BE(compoundBytes + 2 * index);
    if (packet.length < offset + length) return { parts, truncated: count - index };
    parts.push(packet.subarray(offset, offset + length));
    offset += length;
  }
  return { parts, truncated: 0 };
}
