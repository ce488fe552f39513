import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@cloudless/kube/clock';
import { WireError, writeName } from '../wire/name.ts';
import type { TsigKey } from './keys.ts';
import { joinTsig, splitTsig, tsigBytes, type TsigRecord } from './tsig-record.ts';

/** Codes of the TSIG record's error field (RFC 8945 section 4.2; IANA DNS RCODEs). */
export const tsigError = { badSig: 16, badKey: 17, badTime: 18, badTrunc: 22 } as const;

const errorNames: Record<number, string> = { 16: 'BADSIG', 17: 'BADKEY', 18: 'BADTIME', 22: 'BADTRUNC' };

/** How far the clocks of two servers may be apart (RFC 8945 section 10 recommends 300 s). */
export const fudgeSeconds = 300;

/** Messages of a stream that may come unsigned between two that are signed (RFC 8945 section 5.3.1). */
const unsignedInStream = 99;

/** Names of algorithms on the wire, their hash, and the octets of a whole MAC. */
const algorithms: Record<TsigKey['algorithm'], { wireName: string; hash: string; macBytes: number }> = {
  'hmac-md5': { wireName: 'hmac-md5.sig-alg.reg.int', hash: 'md5', macBytes: 16 },
  'hmac-sha1': { wireName: 'hmac-sha1', hash: 'sha1', macBytes: 20 },
  'hmac-sha224': { wireName: 'hmac-sha224', hash: 'sha224', macBytes: 28 },
  'hmac-sha256': { wireName: 'hmac-sha256', hash: 'sha256', macBytes: 32 },
  'hmac-sha384': { wireName: 'hmac-sha384', hash: 'sha384', macBytes: 48 },
  'hmac-sha512': { wireName: 'hmac-sha512', hash: 'sha512', macBytes: 64 },
};

/** A response is not signed as it must be; `message` says what is wrong with it, and never a secret. */
export class TsigError extends Error {
  override readonly name = 'TsigError';
}

/** What the TSIG record of a request says. */
export type RequestSignature =
  | { readonly kind: 'none' }
  | { readonly kind: 'valid'; readonly key: TsigKey; readonly mac: Buffer }
  /** To be answered with NOTAUTH. `key` is undefined where the answer must not be signed (RFC 8945 section 5.3.2). */
  | {
      readonly kind: 'bad';
      readonly error: number;
      readonly record: TsigRecord;
      readonly key: TsigKey | undefined;
    };

/**
 * Verifies a request, in the order of RFC 8945 section 5.2: key, MAC, time, truncation. `unsigned` is the message
 * without its TSIG record. A MAC that is truncated is BADTRUNC: no key here allows that. Throws WireError where the
 * answer is FORMERR.
 */
export function verifyRequest(
  message: Buffer,
  keys: readonly TsigKey[],
  nowMs: number,
): { unsigned: Buffer; signature: RequestSignature } {
  const { unsigned, tsig } = splitTsig(message);
  if (!tsig) return { unsigned, signature: { kind: 'none' } };
  const key = keys.find((key) => key.name === tsig.keyName && wireAlgorithm(key) === tsig.algorithm);
  const bad = (error: number, key?: TsigKey): RequestSignature => ({ kind: 'bad', error, record: tsig, key });
  if (!key) return { unsigned, signature: bad(tsigError.badKey) };
  const expected = macOf(key, [withId(unsigned, tsig.originalId), variables(tsig)]);
  const length = checkMac(expected, tsig.mac);
  if (length === 'malformed') throw new WireError(`a TSIG record has a MAC of ${tsig.mac.length} octets`);
  if (length === 'wrong') return { unsigned, signature: bad(tsigError.badSig) };
  if (Math.abs(Math.floor(nowMs / 1000) - tsig.timeSignedSeconds) > tsig.fudgeSeconds)
    return { unsigned, signature: bad(tsigError.badTime, key) };
  if (length === 'truncated') return { unsigned, signature: bad(tsigError.badTrunc, key) };
  return { unsigned, signature: { kind: 'valid', key, mac: tsig.mac } };
}

/**
 * Signs one message after the other: a request (no `prior`), or the response to a request whose MAC is `prior`, which
 * may be a stream of messages over TCP, each signed (RFC 8945 section 5.3.1).
 */
export class TsigSigner {
  readonly #key: TsigKey;
  readonly #clock: Clock;
  #prior: Buffer | undefined;
  #isFirst = true;

  constructor(key: TsigKey, clock: Clock, prior?: Buffer) {
    this.#key = key;
    this.#clock = clock;
    this.#prior = prior;
  }

  /** Octets that signing adds to a message. */
  get addedBytes(): number {
    const { wireName, macBytes } = algorithms[this.#key.algorithm];
    return tsigBytes(this.#key.name, wireName, macBytes, 0);
  }

  /** MAC of the message signed last. */
  get mac(): Buffer {
    if (this.#isFirst || !this.#prior) throw new Error('nothing was signed yet');
    return this.#prior;
  }

  sign(message: Buffer): Buffer {
    const record = unsignedRecord(this.#key, message, Math.floor(this.#clock.nowMs() / 1000));
    const fields = this.#isFirst ? variables(record) : timers(record);
    const mac = macOf(this.#key, [...sized(this.#prior), message, fields]);
    this.#prior = mac;
    this.#isFirst = false;
    return joinTsig(message, { ...record, mac });
  }
}

/**
 * The response (its code is NOTAUTH) to a request with a bad signature: with the error in its TSIG record, signed where
 * RFC 8945 section 5.3.2 wants it signed.
 */
export function signError(response: Buffer, bad: RequestSignature & { kind: 'bad' }, nowMs: number): Buffer {
  const nowSeconds = Math.floor(nowMs / 1000);
  const isTime = bad.error === tsigError.badTime;
  const otherData = Buffer.alloc(isTime ? 6 : 0);
  if (isTime) otherData.writeUIntBE(nowSeconds, 0, 6);
  const record: TsigRecord = {
    keyName: bad.record.keyName,
    algorithm: bad.record.algorithm,
    // The client's own time: it would not believe another one (RFC 8945 section 5.2.3).
    timeSignedSeconds: isTime ? bad.record.timeSignedSeconds : nowSeconds,
    fudgeSeconds,
    mac: Buffer.alloc(0),
    originalId: response.readUInt16BE(0),
    error: bad.error,
    otherData,
  };
  if (!bad.key) return joinTsig(response, record);
  const mac = macOf(bad.key, [...sized(bad.record.mac), response, variables(record)]);
  return joinTsig(response, { ...record, mac });
}

/** Verifies the messages of a response to a request that was signed with `key` and had the MAC `requestMac`. */
export class TsigVerifier {
  readonly #key: TsigKey;
  readonly #clock: Clock;
  #prior: Buffer;
  #isFirst = true;
  /** Messages since the one that was signed last, as they came. */
  #pending: Buffer[] = [];

  constructor(key: TsigKey, clock: Clock, requestMac: Buffer) {
    this.#key = key;
    this.#clock = clock;
    this.#prior = requestMac;
  }

  /** The message without its TSIG record; throws {@link TsigError}, or WireError for one that is malformed. */
  accept(message: Buffer): Buffer {
    const { unsigned, tsig } = splitTsig(message);
    if (!tsig) return this.#acceptUnsigned(unsigned);
    if (tsig.keyName !== this.#key.name || tsig.algorithm !== wireAlgorithm(this.#key))
      throw new TsigError(`it is signed with key ${tsig.keyName} (${tsig.algorithm}), not ${this.#key.name}`);
    if (tsig.mac.length === 0 && tsig.error !== 0)
      throw new TsigError(`it says ${tsigErrorName(tsig.error)} to key ${tsig.keyName}`);
    const parts = [...sized(this.#prior), ...this.#pending, withId(unsigned, tsig.originalId)];
    const expected = macOf(this.#key, [...parts, this.#isFirst ? variables(tsig) : timers(tsig)]);
    if (checkMac(expected, tsig.mac) !== 'whole')
      throw new TsigError(`its signature with key ${tsig.keyName} is wrong (BADSIG)`);
    if (tsig.error === tsigError.badTime) throw new TsigError(this.#clocksApart(tsig));
    if (tsig.error !== 0) throw new TsigError(`it says ${tsigErrorName(tsig.error)} to key ${tsig.keyName}`);
    if (Math.abs(Math.floor(this.#clock.nowMs() / 1000) - tsig.timeSignedSeconds) > tsig.fudgeSeconds)
      throw new TsigError(`it was signed at another time than now (BADTIME): ${this.#clocksApart(tsig)}`);
    this.#prior = tsig.mac;
    this.#pending = [];
    this.#isFirst = false;
    return unsigned;
  }

  /** Throws when the stream ends with messages that no signature covers. */
  finish(): void {
    if (this.#isFirst || this.#pending.length > 0)
      throw new TsigError(`its last message is not signed with key ${this.#key.name}`);
  }

  #acceptUnsigned(message: Buffer): Buffer {
    if (this.#isFirst) throw new TsigError(`it is not signed with key ${this.#key.name}`);
    this.#pending.push(message);
    if (this.#pending.length > unsignedInStream)
      throw new TsigError(`${this.#pending.length} messages follow each other without a signature`);
    return message;
  }

  #clocksApart(tsig: TsigRecord): string {
    const theirs = tsig.otherData.length === 6 ? tsig.otherData.readUIntBE(0, 6) : tsig.timeSignedSeconds;
    const apart = Math.abs(Math.floor(this.#clock.nowMs() / 1000) - theirs);
    return `the clocks are ${apart} s apart: set them by NTP`;
  }
}

/** Names of {@link tsigError}, for logs. */
export function tsigErrorName(code: number): string {
  return errorNames[code] ?? `TSIG error ${code}`;
}

function wireAlgorithm(key: TsigKey): string {
  return algorithms[key.algorithm].wireName;
}

function unsignedRecord(key: TsigKey, message: Buffer, nowSeconds: number): TsigRecord {
  return {
    keyName: key.name,
    algorithm: wireAlgorithm(key),
    timeSignedSeconds: nowSeconds,
    fudgeSeconds,
    mac: Buffer.alloc(0),
    originalId: message.readUInt16BE(0),
    error: 0,
    otherData: Buffer.alloc(0),
  };
}

function macOf(key: TsigKey, parts: readonly Buffer[]): Buffer {
  const hmac = createHmac(algorithms[key.algorithm].hash, key.secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Compared in constant time over the octets that are there (RFC 8945 section 5.2.2.1). */
function checkMac(expected: Buffer, mac: Buffer): 'whole' | 'truncated' | 'wrong' | 'malformed' {
  if (mac.length > expected.length || mac.length < Math.max(10, expected.length / 2)) return 'malformed';
  if (!timingSafeEqual(expected.subarray(0, mac.length), mac)) return 'wrong';
  return mac.length === expected.length ? 'whole' : 'truncated';
}

/** A MAC as it is digested: its length first. */
function sized(mac: Buffer | undefined): Buffer[] {
  if (!mac) return [];
  const length = Buffer.alloc(2);
  length.writeUInt16BE(mac.length);
  return [length, mac];
}

/** The message was signed under its original id: a forwarder may have given it another. */
function withId(message: Buffer, id: number): Buffer {
  if (message.readUInt16BE(0) === id) return message;
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** TSIG variables (RFC 8945 section 4.3.3). */
function variables(record: TsigRecord): Buffer {
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(255, 0);
  const errorAndLength = Buffer.alloc(4);
  errorAndLength.writeUInt16BE(record.error, 0);
  errorAndLength.writeUInt16BE(record.otherData.length, 2);
  return Buffer.concat([
    writeName(record.keyName),
    fixed,
    writeName(record.algorithm),
    timers(record),
    errorAndLength,
    record.otherData,
  ]);
}

/** What is digested of a TSIG record from the second message of a stream on. */
function timers(record: TsigRecord): Buffer {
  const times = Buffer.alloc(8);
  times.writeUIntBE(record.timeSignedSeconds, 0, 6);
  times.writeUInt16BE(record.fudgeSeconds, 6);
  return times;
}
