import { compress, decompress } from './compression.ts';
import { EncryptionError, decrypt, encrypt, encryptedBytes } from './encryption.ts';
import { labelHeader, readLabel } from './label.ts';
import { limits } from './limits.ts';
import {
  compressShape,
  decodeMessage,
  messageType,
  nodeStateShape,
  pushPullHeaderShape,
  userHeaderShape,
} from './messages.ts';
import type { Message, NodeState } from './messages.ts';
import { MsgpackError, TruncatedError, decodeStruct, encodeStruct } from './msgpack.ts';
import { otherLabel } from './packet.ts';
import type { WireOptions } from './packet.ts';

/** The whole state of a member, as one side of a push/pull tells it. */
export interface PushPull {
  readonly name: 'pushPull';
  readonly join: boolean;
  readonly nodes: readonly NodeState[];
}

/** What a stream can carry. A `user` message is passed over. */
export type StreamMessage = Message | PushPull | { readonly name: 'user' };

const encryptedHeadBytes = 5;

/** The bytes of a push/pull, unwrapped. No user state: nothing of ours rides on memberlist. */
export function encodePushPull(nodes: readonly NodeState[], join: boolean): Buffer {
  const header = encodeStruct(pushPullHeaderShape, { Join: join, Nodes: nodes.length, UserStateLen: 0 });
  return Buffer.concat([
    Buffer.of(messageType.pushPull),
    header,
    ...nodes.map((node) => encodeStruct(nodeStateShape, node)),
  ]);
}

/** Wraps one message of a stream: compression, encryption with its length in front; `labelled`: the label first. */
export function sealStream(message: Buffer, labelled: boolean, options: WireOptions): Buffer {
  let bytes = options.compression ? compress(message) : message;
  if (options.keys && options.verifyOutgoing) {
    const head = Buffer.alloc(encryptedHeadBytes);
    head[0] = messageType.encrypt;
    head.writeUInt32BE(encryptedBytes(options.encryptionVersion, bytes.length), 1);
    const authenticated = Buffer.concat([head, Buffer.from(options.label)]);
    bytes = Buffer.concat([head, encrypt(options.encryptionVersion, options.keys, bytes, authenticated)]);
  }
  return labelled ? Buffer.concat([labelHeader(options.label), bytes]) : bytes;
}

/**
 * Reads the one message of a stream from its pieces. Holds at most `limits.streamBytes`, looks again only when enough has
 * come for it to matter, and keeps what it has decoded.
 */
export class StreamReader {
  readonly #options: WireOptions;
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;
  #wantedBytes = 1;
  /** Where the message begins; undefined until the label is read. */
  #start: number | undefined;
  #pushPull: PushPullReader | undefined;

  /** `labelled`: the stream begins with a label. The answering side of a stream has none. */
  constructor(options: WireOptions, labelled: boolean) {
    this.#options = options;
    if (!labelled) this.#start = 0;
  }

  /** Bytes that this reader keeps. */
  get heldBytes(): number {
    return this.#length;
  }

  /** Takes more of the stream. Resolves to its message once whole; throws what is wrong with it. */
  push(chunk: Uint8Array): StreamMessage | undefined {
    this.#append(chunk);
    if (this.#length < this.#wantedBytes) return undefined;
    try {
      return this.#read();
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error;
      if (error.neededBytes > limits.streamBytes)
        throw new MsgpackError(
          `message of at least ${error.neededBytes} bytes: more than ${limits.streamBytes}`,
        );
      this.#wantedBytes = Math.max(error.neededBytes, this.#length + 1);
      return undefined;
    }
  }

  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > limits.streamBytes + encryptedHeadBytes + 300)
      throw new MsgpackError(`more than ${limits.streamBytes} bytes`);
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  #read(): StreamMessage {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#start ??= this.#labelEnd(bytes);
    const start = this.#start;
    const type = bytes[start];
    if (type === undefined) throw new TruncatedError(start + 1);
    if (type === messageType.encrypt) return wholeMessage(this.#decrypted(bytes, start));
    if (this.#options.keys && this.#options.verifyIncoming)
      throw new EncryptionError('not encrypted, though this member has a key');
    if (type === messageType.pushPull) return (this.#pushPull ??= new PushPullReader(start + 1)).read(bytes);
    if (type !== messageType.compress) return plainMessage(bytes, start);
    decodeStruct(compressShape, bytes, start + 1);
    return wholeMessage(bytes.subarray(start));
  }

  #labelEnd(bytes: Buffer): number {
    const label = readLabel(bytes);
    if (!label) throw new TruncatedError(bytes.length + 1);
    if (label.label !== this.#options.label) throw otherLabel(label.label, this.#options.label);
    return label.end;
  }

  #decrypted(bytes: Buffer, start: number): Buffer {
    if (!this.#options.keys) throw new EncryptionError('encrypted, and this member has no key');
    const bodyStart = start + encryptedHeadBytes;
    if (bytes.length < bodyStart) throw new TruncatedError(bodyStart);
    const length = bytes.readUInt32BE(start + 1);
    if (length > limits.streamBytes)
      throw new MsgpackError(`${length} encrypted bytes: more than ${limits.streamBytes}`);
    if (bytes.length < bodyStart + length) throw new TruncatedError(bodyStart + length);
    const authenticated = Buffer.concat([bytes.subarray(start, bodyStart), Buffer.from(this.#options.label)]);
    return decrypt(this.#options.keys, bytes.subarray(bodyStart, bodyStart + length), authenticated);
  }
}

/** A message of which all bytes are there. */
function wholeMessage(bytes: Buffer): StreamMessage {
  try {
    const plain = bytes[0] === messageType.compress ? decompress(bytes, limits.streamBytes) : bytes;
    return plain[0] === messageType.pushPull ? new PushPullReader(1).read(plain) : plainMessage(plain, 0);
  } catch (error) {
    throw error instanceof TruncatedError ? new MsgpackError('a message that ends early') : error;
  }
}

function plainMessage(bytes: Buffer, start: number): StreamMessage {
  if (bytes[start] !== messageType.user) return decodeMessage(bytes.subarray(start));
  const { value, end } = decodeStruct(userHeaderShape, bytes, start + 1);
  if (bytes.length < end + value.UserMsgLen) throw new TruncatedError(end + value.UserMsgLen);
  return { name: 'user' };
}

/** Reads a push/pull, member by member, from bytes of which more come each time. */
class PushPullReader {
  #offset: number;
  #header: { join: boolean; nodes: number; userBytes: number } | undefined;
  readonly #nodes: NodeState[] = [];

  constructor(offset: number) {
    this.#offset = offset;
  }

  read(bytes: Buffer): PushPull {
    this.#header ??= this.#readHeader(bytes);
    while (this.#nodes.length < this.#header.nodes) {
      const { value, end } = decodeStruct(nodeStateShape, bytes, this.#offset);
      // The views must outlive the stream's buffer, which moves as it grows.
      this.#nodes.push({
        ...value,
        Addr: Buffer.from(value.Addr),
        Meta: Buffer.from(value.Meta),
        Vsn: Buffer.from(value.Vsn),
      });
      this.#offset = end;
    }
    const end = this.#offset + this.#header.userBytes;
    if (bytes.length < end) throw new TruncatedError(end);
    return { name: 'pushPull', join: this.#header.join, nodes: this.#nodes };
  }

  #readHeader(bytes: Buffer): { join: boolean; nodes: number; userBytes: number } {
    const { value, end } = decodeStruct(pushPullHeaderShape, bytes, this.#offset);
    if (value.Nodes > limits.members * 2)
      throw new MsgpackError(`a state of ${value.Nodes} members: more than ${limits.members * 2}`);
    if (value.UserStateLen > limits.streamBytes)
      throw new MsgpackError(`a user state of ${value.UserStateLen} bytes: more than ${limits.streamBytes}`);
    this.#offset = end;
    return { join: value.Join, nodes: value.Nodes, userBytes: value.UserStateLen };
  }
}
