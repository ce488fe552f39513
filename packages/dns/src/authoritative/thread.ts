/**
 * What one serving thread answers questions with: ready answers where there are any, else the answer algorithm over the
 * zones' snapshots, within the limits on who may ask and how often. Synchronous, and without garbage for ready answers.
 */
import type { Clock } from '@cloudless/kube/clock';
import { SignatureMemory } from '../dnssec/signer.ts';
import { SigningBusyError } from '../dnssec/signing-budget.ts';
import type { Client } from '../server/client.ts';
import { Access } from '../server/limits/access.ts';
import { clientCookieBytes, type CookieSecrets, Cookies } from '../server/limits/cookies.ts';
import { RateLimiter } from '../server/limits/rate-limiter.ts';
import type { Counters } from '../server/metrics/counters.ts';
import type { AccessRules, RateLimit } from '../server/request.ts';
import { type Edns, ednsUdpSize, extendedErrorOption, readCookie } from '../wire/edns.ts';
import { emptyMessage, writeMessage } from '../wire/message.ts';
import { WireError } from '../wire/name.ts';
import { formErrFor, parseQuery, type Query } from '../wire/query.ts';
import { ednsOption, extendedError, opcode, rcode, rrClass, rrType } from '../wire/types.ts';
import type { ZoneSnapshot } from '../zone/registry.ts';
import { AnswerCache, type ReadyAnswer } from './answer-cache.ts';
import { adopt, copy, copyTruncated } from './answer-copy.ts';
import { Builder, type Built } from './builder.ts';
import { HeldZones } from './held-zones.ts';
import { Inquiry } from './inquiry.ts';
import { queryOf } from './plain-query.ts';
import { OptionWriter } from './option-writer.ts';
import { QuickDenials } from './quick-denial.ts';

/** {@link AuthoritativeThread.respond} says so: the main thread is to be asked. */
export const handOver = -1;

export interface ThreadSettings {
  readonly access: AccessRules;
  readonly rateLimit: RateLimit;
  readonly cookies: CookieSecrets;
  readonly version: string | undefined;
  readonly id: string | undefined;
  /** Of all threads of the server; see `rateBuckets`. */
  readonly rateBuckets: SharedArrayBuffer;
  readonly rateSeed: number;
}

/** Ready answers to questions about names that exist: room for some hundred thousand. Memory is taken as it is used. */
const cacheBytes = 32 * 1024 * 1024;
const cacheSlots = 262_144;
/** Those about names that don't, of which there is no end. */
const smallCacheBytes = 512 * 1024;
const smallCacheSlots = 4096;
/** Signatures in a ready answer are not given out for longer. */
const readySeconds = 300;
/** A clock that is put right by less is left alone. */
const clockStepSeconds = 60;
/** How long an idle connection is kept, for clients that ask (RFC 7828). */
export const keepaliveMs = 10_000;

export class AuthoritativeThread {
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #zones: HeldZones;
  readonly #inquiry = new Inquiry();
  readonly #cache = new AnswerCache(cacheBytes, cacheSlots);
  readonly #small = new AnswerCache(smallCacheBytes, smallCacheSlots);
  readonly #builder: Builder;
  readonly #denials: QuickDenials;
  readonly #options = new OptionWriter();
  readonly #isReady: () => boolean;
  #access: Access;
  #limiter: RateLimiter;
  #cookies: Cookies;
  #settings: ThreadSettings;
  readonly #startMs: number;
  #nowMs = 0;
  #steadySeconds = 0;
  #wallSeconds = 0;
  readonly #built: ReadyAnswer = { bytes: Buffer.alloc(0), at: 0, length: 0, kind: 0, rcode: 0 };
  /** Response code of the last answer, for the query log. */
  lastRcode = 0;

  constructor(options: {
    settings: ThreadSettings;
    counters: Counters;
    clock: Clock;
    isReady(this: void): boolean;
  }) {
    this.#counters = options.counters;
    this.#clock = options.clock;
    this.#isReady = options.isReady;
    this.#startMs = options.clock.monotonicMs();
    let memory: SignatureMemory | undefined;
    this.#zones = new HeldZones(() => (memory ??= new SignatureMemory(options.clock)));
    this.#builder = new Builder(this.#zones);
    this.#denials = new QuickDenials(this.#zones);
    this.#settings = options.settings;
    this.#access = new Access(options.settings.access);
    this.#cookies = new Cookies(options.settings.cookies);
    this.#limiter = this.#newLimiter(options.settings);
    this.tick();
  }

  setZone(origin: string, snapshot: ZoneSnapshot | undefined): void {
    if (this.#zones.set(origin, snapshot)) this.#forget();
  }

  #forget(): void {
    this.#cache.clear();
    this.#small.clear();
  }

  configure(changes: Partial<Pick<ThreadSettings, 'access' | 'rateLimit' | 'cookies'>>): void {
    this.#settings = { ...this.#settings, ...changes };
    if (changes.access) this.#access = new Access(changes.access);
    if (changes.cookies) this.#cookies = new Cookies(changes.cookies);
    if (changes.rateLimit) this.#limiter = this.#newLimiter(this.#settings);
  }

  #newLimiter({ rateLimit, rateBuckets, rateSeed }: ThreadSettings): RateLimiter {
    return new RateLimiter(rateLimit, rateBuckets, rateSeed);
  }

  /** Looks at the clock: once for each batch of messages. */
  tick(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#nowMs = nowMs;
    const seconds = Math.floor((nowMs - this.#startMs) / 1000);
    if (seconds !== this.#steadySeconds || this.#wallSeconds === 0) {
      const wallSeconds = Math.floor(this.#clock.nowMs() / 1000);
      const step = wallSeconds - this.#wallSeconds - (seconds - this.#steadySeconds);
      this.#wallSeconds = wallSeconds;
      this.#steadySeconds = seconds;
      // The clock was set: signatures in ready answers may be none of this time.
      if (Math.abs(step) > clockStepSeconds) this.#forget();
    }
    return nowMs;
  }

  /**
   * Answers the message in `bytes` from `start` to `end` into `out` at `outStart`, where there is room for the longest answer
   * that the transport allows (1,232 octets by UDP). The answer's length; 0: say nothing; {@link handOver}.
   */
  respond(bytes: Buffer, start: number, end: number, client: Client, out: Buffer, outStart: number): number {
    const inquiry = this.#inquiry;
    const isUdp = client.transport === 0;
    const counters = this.#counters;
    const sight = inquiry.look(bytes, start, end, isUdp);
    // Nobody listens on port 0: what comes from there is forged.
    if (sight === 'silence' || client.port === 0) {
      counters.event('ignored');
      return 0;
    }
    const isAllowed = this.#access.isAllowed(client.bytes, client.start, client.length);
    let answer: ReadyAnswer | undefined;
    if (sight === 'cookie') answer = this.#onlyCookie(bytes, client, isAllowed);
    if (sight === 'plain' && isAllowed && this.#isReady()) {
      const flavour = inquiry.flavour(isUdp);
      const { stamps } = this.#zones;
      answer =
        this.#cache.find(inquiry, flavour, stamps, this.#steadySeconds) ??
        this.#small.find(inquiry, flavour, stamps, this.#steadySeconds);
      counters.event(answer ? 'cacheHits' : 'cacheMisses');
      const mostBytes = inquiry.hasEdns ? ednsUdpSize : 512;
      if (answer === undefined && this.#denials.deny(inquiry, mostBytes, this.#built)) answer = this.#built;
    }
    const sizeLimit = isUdp ? this.#udpLimit() : 65_535;
    if (answer === undefined) {
      // The parser's places are of a message that begins at 0.
      const message = bytes.subarray(start, end);
      const made = this.#make(message, sight === 'plain', isAllowed, client.transport === 0);
      if (made === handOver) return handOver;
      if (made === undefined) return 0;
      answer = made;
    }
    counters.request(client.transport, client.length === 16, inquiry.type, end - start);
    if (inquiry.dnssecOk) counters.event('dnssecOk');
    return this.#send(answer, bytes, start, client, out, outStart, sizeLimit);
  }

  #udpLimit(): number {
    return this.#inquiry.hasEdns ? Math.min(this.#inquiry.udpSize, ednsUdpSize) : 512;
  }

  /** Copies the answer, its client's options with it, unless the client has had enough. */
  #send(
    answer: ReadyAnswer,
    bytes: Buffer,
    start: number,
    client: Client,
    out: Buffer,
    outStart: number,
    sizeLimit: number,
  ): number {
    const inquiry = this.#inquiry;
    const isUdp = client.transport === 0;
    const hasOpt = inquiry.hasEdns && answer.length > 12;
    const hasCookie = inquiry.cookieAt !== 0 && hasOpt && this.#hasValidCookie(bytes, client);
    if (inquiry.cookieAt !== 0 && hasOpt) this.#counters.event(hasCookie ? 'cookiesValid' : 'cookiesNew');
    const code = answer.rcode;
    let isTruncated = false;
    if (isUdp && this.#limiter.isOn && !hasCookie) {
      const verdict = this.#spend(client, answer.kind, code);
      if (verdict === 'drop') {
        this.#counters.event('rateDropped');
        return 0;
      }
      isTruncated = verdict === 'truncate';
      if (isTruncated) this.#counters.event('rateTruncated');
    }
    const options = this.#options;
    options.clear();
    if (hasOpt) this.#addOptions(bytes, client, hasCookie);
    if (answer.length + options.length > sizeLimit) isTruncated = true;
    const length = isTruncated
      ? copyTruncated(answer, hasOpt, out, outStart)
      : copy(answer.bytes, answer.at, answer.length, out, outStart);
    adopt(bytes, start, inquiry.nameLength, out, outStart, isTruncated);
    const total = hasOpt
      ? options.append(
          out,
          outStart,
          length,
          client.transport === 2 && inquiry.wantsPadding,
          Math.min(sizeLimit, 65_535),
        )
      : length;
    this.lastRcode = code;
    this.#counters.response(client.transport, code, total);
    return total;
  }

  #spend(client: Client, kind: number, code: number): 'send' | 'truncate' | 'drop' {
    const { bytes, start, length } = client;
    if (this.#limiter.isExempt(bytes, start, length)) return 'send';
    return this.#limiter.spend(bytes, start, length, kind, code !== rcode.noError, this.#nowMs);
  }

  #hasValidCookie(bytes: Buffer, client: Client): boolean {
    const { cookieAt, cookieLength } = this.#inquiry;
    const { bytes: address, start, length } = client;
    return this.#cookies.isValid(bytes, cookieAt, cookieLength, address, start, length, this.#wallSeconds);
  }

  #addOptions(bytes: Buffer, client: Client, hasCookie: boolean): void {
    const inquiry = this.#inquiry;
    if (inquiry.cookieAt !== 0) this.#addCookie(bytes, client, hasCookie);
    if (inquiry.wantsNsid && this.#settings.id !== undefined)
      this.#options.addText(ednsOption.nsid, this.#settings.id);
    if (inquiry.wantsKeepalive && client.transport !== 0) {
      const at = this.#options.add(ednsOption.keepalive, 2);
      this.#options.bytes[at] = (keepaliveMs / 100) >> 8;
      this.#options.bytes[at + 1] = (keepaliveMs / 100) & 0xff;
    }
  }

  #addCookie(bytes: Buffer, client: Client, hasCookie: boolean): void {
    const { cookieAt } = this.#inquiry;
    const { bytes: options } = this.#options;
    const at = this.#options.add(ednsOption.cookie, 24);
    const now = this.#wallSeconds;
    if (hasCookie && this.#cookies.isYoung(bytes, cookieAt, now)) copy(bytes, cookieAt, 24, options, at);
    else this.#cookies.write(bytes, cookieAt, client.bytes, client.start, client.length, now, options, at);
  }

  /** The answer to what was not ready, kept if it is of use again. Undefined: say nothing. */
  #make(
    message: Buffer,
    isPlain: boolean,
    isAllowed: boolean,
    isUdp: boolean,
  ): ReadyAnswer | typeof handOver | undefined {
    let query = isPlain ? queryOf(this.#inquiry, message) : undefined;
    try {
      query ??= parseQuery(message);
      if (!isPlain) readCookie(query.edns);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.#malformed(message);
    }
    if (!isPlain) {
      this.#inquireOf(query.edns);
      if (isSpecial(query)) return handOver;
    }
    const made = this.#answer(query, isAllowed, isUdp);
    if (isPlain && made.keep) this.#keep(made, isUdp);
    if (made.denial) this.#denials.learn(made.denial.zone, made.denial.soa);
    return this.#ready(made.bytes, made.kind, made.rcode);
  }

  #malformed(message: Buffer): ReadyAnswer | undefined {
    this.#counters.event('malformed');
    this.#inquiry.clear();
    const answer = formErrFor(message);
    return answer && this.#ready(answer, rcode.formErr, rcode.formErr);
  }

  /** Where there is no question our cookie is the answer, and whether theirs is good. */
  #onlyCookie(bytes: Buffer, client: Client, isAllowed: boolean): ReadyAnswer {
    const { cookieLength, dnssecOk } = this.#inquiry;
    const isGood = cookieLength === clientCookieBytes || this.#hasValidCookie(bytes, client);
    if (!isAllowed) this.#counters.event('accessRefused');
    const code = !isAllowed ? rcode.refused : isGood ? rcode.noError : rcode.badCookie;
    const options = isAllowed ? [] : [extendedErrorOption(extendedError.prohibited)];
    const edns = { udpSize: ednsUdpSize, version: 0, dnssecOk, compactOk: false, options };
    const answer = writeMessage({ ...emptyMessage, isResponse: true, rcode: code, edns });
    return this.#ready(answer, code, code);
  }

  #ready(bytes: Buffer, kind: number, code: number): ReadyAnswer {
    this.#built.bytes = bytes;
    this.#built.length = bytes.length;
    this.#built.kind = kind;
    this.#built.rcode = code;
    return this.#built;
  }

  /** What {@link Inquiry.look} would have found out, of a query that it left to the parser. */
  #inquireOf(edns: Edns | undefined): void {
    const inquiry = this.#inquiry;
    inquiry.clear();
    if (!edns) return;
    inquiry.hasEdns = true;
    inquiry.udpSize = edns.udpSize;
    inquiry.dnssecOk = edns.dnssecOk;
    inquiry.compactOk = edns.compactOk;
  }

  #answer(query: Query, isAllowed: boolean, isUdp: boolean): Built {
    const { question, edns } = query;
    this.#inquiry.type = question.type;
    // Whoever may not ask learns nothing but that (RFC 8914 section 4.19).
    if (!isAllowed) {
      this.#counters.event('accessRefused');
      return this.#builder.refuse(query, rcode.refused, extendedError.prohibited);
    }
    if (query.opcode !== opcode.query) return this.#builder.refuse(query, rcode.notImp);
    if (edns && edns.version !== 0) return this.#builder.refuse(query, rcode.badVers);
    if (question.class === rrClass.CH) return this.#builder.identity(query, this.#settings);
    if (question.class !== rrClass.IN) return this.#builder.refuse(query, rcode.refused);
    if (!this.#isReady()) return this.#builder.refuse(query, rcode.servFail, extendedError.notReady);
    // Ready answers are as long as the transport ever allows; `#send` looks at what this client takes.
    const mostBytes = isUdp ? (edns ? ednsUdpSize : 512) : 65_535;
    try {
      return this.#builder.answer(query, mostBytes);
    } catch (error) {
      if (!(error instanceof SigningBusyError)) throw error;
      return isUdp ? this.#builder.truncated(query) : this.#builder.refuse(query, rcode.servFail);
    }
  }

  #keep(made: Built, isUdp: boolean): void {
    const { keep } = made;
    if (!keep) return;
    const cache = keep.isLasting ? this.#cache : this.#small;
    const { zone } = keep;
    cache.add(
      this.#inquiry,
      this.#inquiry.flavour(isUdp),
      zone.index,
      this.#zones.stamps[zone.index] as number,
      zone.signer ? this.#steadySeconds + readySeconds : 0x7fffffff,
      made.kind,
      made.bytes,
    );
  }
}

/** For whoever has keys, zones' contents and the API: signed, NOTIFY, UPDATE, transfers. */
function isSpecial(query: Query): boolean {
  if (query.isSigned || query.opcode === opcode.notify || query.opcode === opcode.update) return true;
  const { type, class: class_ } = query.question;
  return (
    query.opcode === opcode.query && class_ === rrClass.IN && (type === rrType.AXFR || type === rrType.IXFR)
  );
}
