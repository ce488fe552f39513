import { crc32 } from 'node:zlib';
import { unpackCompound } from './compound.ts';
import { compress, decompress } from './compression.ts';
import { EncryptionError, decrypt, encrypt, encryptionOverhead } from './encryption.ts';
import type { EncryptionVersion, KeyRing } from './encryption.ts';
import { LabelError, labelHeader, readLabel } from './label.ts';
import { limits } from './limits.ts';
import { decodeMessage, messageType } from './messages.ts';
import type { Message } from './messages.ts';
import { MsgpackError } from './msgpack.ts';

/** What the members of a cluster must have in common, and how this one sends. */
export interface WireOptions {
  readonly label: string;
  readonly keys: KeyRing | undefined;
  readonly encryptionVersion: EncryptionVersion;
  readonly compression: boolean;
  /** See `GossipSettings`. */
  readonly verifyIncoming: boolean;
  readonly verifyOutgoing: boolean;
}

/** What was in a packet: the messages that could be read, and what could not. */
export interface OpenedPacket {
  readonly messages: readonly Message[];
  readonly problems: readonly Error[];
}

const crcBytes = 5;

/** Bytes that the wrapping of a packet takes at most, compression aside. */
export function packetOverhead(options: WireOptions): number {
  const encryption =
    options.keys && options.verifyOutgoing ? encryptionOverhead(options.encryptionVersion) : 0;
  return encryption + labelHeader(options.label).length + crcBytes;
}

/** Wraps a message as memberlist does: compressed if that is shorter, checksum, encryption, label. */
export function sealPacket(message: Buffer, checksum: boolean, options: WireOptions): Buffer {
  let packet = message;
  if (options.compression) {
    const compressed = compress(packet);
    if (compressed.length < packet.length) packet = compressed;
  }
  if (checksum) packet = withChecksum(packet);
  if (options.keys && options.verifyOutgoing)
    packet = encrypt(options.encryptionVersion, options.keys, packet, Buffer.from(options.label));
  return options.label === '' ? packet : Buffer.concat([labelHeader(options.label), packet]);
}

function withChecksum(packet: Buffer): Buffer {
  const head = Buffer.alloc(crcBytes);
  head[0] = messageType.crc;
  head.writeUInt32BE(crc32(packet), 1);
  return Buffer.concat([head, packet]);
}

/**
 * Unwraps a packet. Throws {@link LabelError} for another label and `EncryptionError` for another key; whatever else is
 * wrong with it is among the problems, and leaves what else could be read.
 */
export function openPacket(packet: Buffer, options: WireOptions): OpenedPacket {
  const label = readLabel(packet);
  if (!label) throw new LabelError('an empty packet, or one cut off within its label');
  if (label.label !== options.label) throw otherLabel(label.label, options.label);
  const opened = { messages: new Array<Message>(), problems: new Array<Error>() };
  const plain = decryptPacket(packet.subarray(label.end), options);
  attempt(opened.problems, () => readCommand(checked(plain), 0, { leftBytes: limits.packetBytes }, opened));
  return opened;
}

/** The error for a packet or stream with a label that is not this cluster's. */
export function otherLabel(theirs: string, ours: string): LabelError {
  const text = (label: string): string => (label === '' ? 'no label' : `the label ${JSON.stringify(label)}`);
  return new LabelError(`comes with ${text(theirs)}, this member has ${text(ours)}`);
}

function decryptPacket(packet: Buffer, options: WireOptions): Buffer {
  if (!options.keys) {
    if (looksEncrypted(packet)) throw new EncryptionError('encrypted, and this member has no key');
    return packet;
  }
  try {
    return decrypt(options.keys, packet, Buffer.from(options.label));
  } catch (error) {
    if (options.verifyIncoming) throw error;
    return packet;
  }
}

/** An encryption's version, then what no ping or indirect ping (types 0 and 1) begins with: their map. */
function looksEncrypted(packet: Buffer): boolean {
  return packet.length > encryptionOverhead(0) && (packet[0] ?? 2) < 2 && ((packet[1] ?? 0) & 0xf0) !== 0x80;
}

function checked(packet: Buffer): Buffer {
  if (packet[0] !== messageType.crc || packet.length < crcBytes) return packet;
  const rest = packet.subarray(crcBytes);
  if (crc32(rest) !== packet.readUInt32BE(1)) throw new MsgpackError('the checksum is wrong');
  return rest;
}

interface Sink {
  messages: Message[];
  problems: Error[];
}

/** `budget`: bytes that everything compressed in this packet may still unfold to. */
function readCommand(bytes: Buffer, depth: number, budget: { leftBytes: number }, into: Sink): void {
  if (depth > limits.packetDepth) throw new MsgpackError(`messages nested deeper than ${limits.packetDepth}`);
  switch (bytes[0]) {
    case messageType.compound: {
      const { parts, truncated } = unpackCompound(bytes);
      for (const part of parts) attempt(into.problems, () => readCommand(part, depth + 1, budget, into));
      if (truncated > 0) throw new MsgpackError(`${truncated} messages of a compound are missing`);
      return;
    }
    case messageType.compress: {
      const plain = decompress(bytes, budget.leftBytes);
      budget.leftBytes -= plain.length;
      readCommand(plain, depth + 1, budget, into);
      return;
    }
    // Messages of what rides on memberlist (serf, Consul) are none of ours.
    case messageType.user:
      return;
    default:
      into.messages.push(decodeMessage(bytes));
  }
}

function attempt(problems: Error[], action: () => void): void {
  try {
    action();
  } catch (error) {
    problems.push(error as Error);
  }
}
