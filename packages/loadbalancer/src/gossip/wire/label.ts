import { messageType } from './messages.ts';

export const labelMaxBytes = 255;

/** A label header that is none. */
export class LabelError extends Error {
  override readonly name = 'LabelError';
}

/** What goes in front of a labelled packet or stream; nothing for the empty label. */
export function labelHeader(label: string): Buffer {
  const bytes = Buffer.from(label);
  if (bytes.length > labelMaxBytes)
    throw new LabelError(`the gossip label has ${bytes.length} bytes: ${labelMaxBytes} at most`);
  return bytes.length === 0 ? bytes : Buffer.concat([Buffer.of(messageType.label, bytes.length), bytes]);
}

/**
 * The label in front of `bytes` and where the rest begins. Undefined: more bytes are needed to tell. Throws
 * {@link LabelError} for a header with an empty label.
 */
export function readLabel(bytes: Buffer): { label: string; end: number } | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes[0] !== messageType.label) return { label: '', end: 0 };
  const length = bytes[1];
  if (length === undefined) return undefined;
  if (length === 0) throw new LabelError('a label header with an empty label');
  const end = 2 + length;
  return bytes.length < end ? undefined : { label: bytes.toString('utf8', 2, end), end };
}
