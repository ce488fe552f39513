import { createCipheriv, createDecipheriv, hash, hkdfSync } from 'node:crypto';
import { addressBytes, addressText } from '../socket/address.ts';

/**
 * Heartbeats on the wire. A datagram is
 *
 *     'CLHB' | version 1 | 1 sealed, 0 plain | epoch u64 | sequence u64 | body | tag of 16 bytes if sealed
 *
 * big-endian. With a gossip key the body is sealed by AES-256-GCM under a key of the sender's epoch (HKDF-SHA256 of the
 * gossip key, salted with the epoch); the sequence, which never repeats within an epoch, is the nonce, the header is
 * authenticated with it. Without a key nothing is secret and nobody is kept out, as in memberlist without one.
 */
export interface HeartbeatFrame {
  /** Drawn anew when the sender's thread starts and when it was frozen. */
  readonly epoch: bigint;
  /** Counts every datagram of an epoch, whoever it goes to. */
  readonly sequence: number;
  readonly from: string;
  readonly to: string;
  /** `checking`: was cut off or late, answers nothing until it knows whether it was missed. */
  readonly state: 'joining' | 'checking' | 'live' | 'leaving';
  /** The sender wants an answer at once. */
  readonly asks: boolean;
  /** The sender thinks that it shares candidacy of an address with the receiver: heartbeats are due both ways. */
  readonly shares: boolean;
  /** What the receiver is to the sender. */
  readonly seesYou: 'unheard' | 'joining' | 'live' | 'silent';
  /** The last frame of the receiver that the sender took: proof that this one is not an old one played again. */
  readonly echo: { readonly epoch: bigint; readonly sequence: number };
  /** The sender's own settings: when its silence begins. */
  readonly intervalMs: number;
  readonly multiplier: number;
  /** Of all addresses that the sender answers for ({@link digestOf}). */
  readonly digest: bigint;
  /** The digest of the receiver's addresses that the sender knows. */
  readonly knows: bigint;
  /** A part of those addresses; absent when the receiver knows them. */
  readonly answers?: { readonly part: number; readonly parts: number; readonly addresses: readonly string[] };
  /** Nodes whose heartbeats the sender has heard and that are silent now, by {@link nameHash}. */
  readonly silent: readonly bigint[];
}

/** Why a datagram was not taken; a metric's label. */
export type Refusal = 'no-heartbeat' | 'version' | 'not-sealed' | 'sealed' | 'wrong-key' | 'malformed';

const magic = Buffer.from('CLHB');
const version = 1;
const headerBytes = 22;
const tagBytes = 16;
const maxNameBytes = 253;
const maxSilent = 32;
const states = ['joining', 'checking', 'live', 'leaving'] as const;
const sights = ['unheard', 'joining', 'live', 'silent'] as const;

const bytesPerPart = 700;

/** The digest of no address. */
export const noAddresses = 0n;

/** Of a list of addresses, whatever its order. */
export function digestOf(addresses: Iterable<string>): bigint {
  const sorted = [...addresses].sort();
  return sorted.length === 0 ? noAddresses : nameHash(sorted.join(' '));
}

/** A node's name in 64 bits: enough to tell the nodes of one cluster apart. */
export function nameHash(name: string): bigint {
  return hash('sha256', name, 'buffer').readBigUInt64BE();
}

/** Addresses in lists that fit one datagram each, within an Ethernet MTU unless names are near their longest. */
export function partsOf(addresses: Iterable<string>): string[][] {
  const parts: string[][] = [];
  let room = 0;
  for (const address of addresses) {
    const bytes = address.includes(':') ? 17 : 5;
    if (room < bytes) {
      parts.push([]);
      room = bytesPerPart;
    }
    (parts.at(-1) as string[]).push(address);
    room -= bytes;
  }
  return parts;
}

/** Seals and opens frames with one gossip key, or with none. */
export class HeartbeatCodec {
  readonly #gossipKey: Uint8Array | undefined;
  readonly #keys = new Map<bigint, Buffer>();

  /** `gossipKey`: the members' common secret, any length; undefined: frames are plain. */
  constructor(gossipKey?: Uint8Array) {
    this.#gossipKey = gossipKey;
  }

  encode(frame: HeartbeatFrame): Uint8Array {
    const header = Buffer.alloc(headerBytes);
    magic.copy(header);
    header[4] = version;
    header[5] = this.#gossipKey ? 1 : 0;
    header.writeBigUInt64BE(frame.epoch, 6);
    header.writeBigUInt64BE(BigInt(frame.sequence), 14);
    const body = encodeBody(frame);
    if (!this.#gossipKey) return Buffer.concat([header, body]);
    const cipher = createCipheriv('aes-256-gcm', this.#keyOf(frame.epoch), nonceOf(header));
    cipher.setAAD(header);
    return Buffer.concat([header, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
  }

  /** Total over any bytes: a frame, or why it is none. Who sent it and whether it is fresh is for the caller. */
  decode(datagram: Uint8Array): HeartbeatFrame | Refusal {
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    if (bytes.length < headerBytes || !bytes.subarray(0, 4).equals(magic)) return 'no-heartbeat';
    if (bytes[4] !== version) return 'version';
    const sealed = bytes[5] === 1;
    if (sealed !== (this.#gossipKey !== undefined)) return sealed ? 'sealed' : 'not-sealed';
    const body = sealed ? this.#open(bytes) : bytes.subarray(headerBytes);
    if (body === undefined) return 'wrong-key';
    const sequence = bytes.readBigUInt64BE(14);
    if (sequence > BigInt(Number.MAX_SAFE_INTEGER)) return 'malformed';
    return decodeBody(body, bytes.readBigUInt64BE(6), Number(sequence)) ?? 'malformed';
  }

  #open(bytes: Buffer): Buffer | undefined {
    if (bytes.length < headerBytes + tagBytes) return undefined;
    const header = bytes.subarray(0, headerBytes);
    const epoch = bytes.readBigUInt64BE(6);
    const known = this.#keys.has(epoch);
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#keyOf(epoch), nonceOf(header));
      decipher.setAAD(header);
      decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
      const body = decipher.update(bytes.subarray(headerBytes, bytes.length - tagBytes));
      decipher.final();
      return body;
    } catch {
      // An epoch that never proved itself is not worth its place.
      if (!known) this.#keys.delete(epoch);
      return undefined;
    }
  }

  #keyOf(epoch: bigint): Buffer {
    let key = this.#keys.get(epoch);
    if (key) return key;
    const salt = Buffer.alloc(8);
    salt.writeBigUInt64BE(epoch);
    key = Buffer.from(hkdfSync('sha256', this.#gossipKey as Uint8Array, salt, 'cloudless heartbeat 1', 32));
    // Members come and go; the oldest keys can be derived again.
    if (this.#keys.size >= 1024) this.#keys.delete(this.#keys.keys().next().value as bigint);
    this.#keys.set(epoch, key);
    return key;
  }
}

function nonceOf(header: Buffer): Buffer {
  const nonce = Buffer.alloc(12);
  header.copy(nonce, 4, 14, 22);
  return nonce;
}

function encodeBody(frame: HeartbeatFrame): Buffer {
  const fixed = Buffer.alloc(3 + 16 + 3 + 16);
  fixed[0] = states.indexOf(frame.state);
  fixed[1] = (frame.asks ? 1 : 0) | (frame.shares ? 2 : 0);
  fixed[2] = sights.indexOf(frame.seesYou);
  fixed.writeBigUInt64BE(frame.echo.epoch, 3);
  fixed.writeBigUInt64BE(BigInt(frame.echo.sequence), 11);
  fixed.writeUInt16BE(frame.intervalMs, 19);
  fixed[21] = frame.multiplier;
  fixed.writeBigUInt64BE(frame.digest, 22);
  fixed.writeBigUInt64BE(frame.knows, 30);
  const silent = frame.silent.slice(0, maxSilent);
  const hashes = Buffer.alloc(1 + 8 * silent.length);
  hashes[0] = silent.length;
  silent.forEach((hash, i) => hashes.writeBigUInt64BE(hash, 1 + 8 * i));
  return Buffer.concat([fixed, text(frame.from), text(frame.to), hashes, encodeAnswers(frame.answers)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > maxNameBytes)
    throw new Error(`node name ${value} is longer than ${maxNameBytes} bytes (RFC 1123)`);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function encodeAnswers(answers: HeartbeatFrame['answers']): Buffer {
  const head = Buffer.alloc(5);
  if (!answers) return head;
  head.writeUInt16BE(answers.parts, 0);
  head.writeUInt16BE(answers.part, 2);
  head[4] = answers.addresses.length;
  const list = answers.addresses.map((address) => {
    const bytes = addressBytes(address);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  return Buffer.concat([head, ...list]);
}

/** Reads on and on; `undefined` from any reader: the datagram is too short or says nonsense. */
function decodeBody(body: Buffer, epoch: bigint, sequence: number): HeartbeatFrame | undefined {
  if (body.length < 38) return undefined;
  const state = states[body[0] as number];
  const flags = body[1] as number;
  const seesYou = sights[body[2] as number];
  const echoSequence = body.readBigUInt64BE(11);
  const intervalMs = body.readUInt16BE(19);
  const multiplier = body[21] as number;
  if (!state || !seesYou || intervalMs === 0 || multiplier === 0) return undefined;
  if (echoSequence > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const cursor = { at: 38 };
  const from = readText(body, cursor);
  const to = readText(body, cursor);
  const silent = readHashes(body, cursor);
  if (!from || !to || !silent || body.length < cursor.at + 5) return undefined;
  const answers = readAnswers(body, cursor);
  if (answers === 'malformed' || cursor.at !== body.length) return undefined;
  return {
    epoch,
    sequence,
    from,
    to,
    state,
    asks: (flags & 1) !== 0,
    shares: (flags & 2) !== 0,
    seesYou,
    echo: { epoch: body.readBigUInt64BE(3), sequence: Number(echoSequence) },
    intervalMs,
    multiplier,
    digest: body.readBigUInt64BE(22),
    knows: body.readBigUInt64BE(30),
    silent,
    ...(answers && { answers }),
  };
}

function readText(body: Buffer, cursor: { at: number }): string | undefined {
  const length = body[cursor.at];
  if (length === undefined || length > maxNameBytes || cursor.at + 1 + length > body.length) return undefined;
  const value = body.toString('utf8', cursor.at + 1, cursor.at + 1 + length);
  cursor.at += 1 + length;
  return value;
}

function readHashes(body: Buffer, cursor: { at: number }): bigint[] | undefined {
  const count = body[cursor.at];
  if (count === undefined || count > maxSilent || cursor.at + 1 + 8 * count > body.length) return undefined;
  const start = cursor.at + 1;
  cursor.at = start + 8 * count;
  return Array.from({ length: count }, (_, i) => body.readBigUInt64BE(start + 8 * i));
}

function readAnswers(body: Buffer, cursor: { at: number }): HeartbeatFrame['answers'] | 'malformed' {
  const parts = body.readUInt16BE(cursor.at);
  const part = body.readUInt16BE(cursor.at + 2);
  const count = body[cursor.at + 4] as number;
  cursor.at += 5;
  if (parts === 0) return part === 0 && count === 0 ? undefined : 'malformed';
  if (part >= parts) return 'malformed';
  const addresses: string[] = [];
  for (let i = 0; i < count; i++) {
    const length = body[cursor.at];
    if ((length !== 4 && length !== 16) || cursor.at + 1 + length > body.length) return 'malformed';
    addresses.push(addressText(body.subarray(cursor.at + 1, cursor.at + 1 + length)));
    cursor.at += 1 + length;
  }
  return { part, parts, addresses };
}
