import type { Logger } from '@cloudless/kube/logger';
import { writeForwarded } from '../forward/forwarded-answer.ts';
import type { LoopWatch } from '../forward/loop.ts';
import type { DnsMetrics } from '../metrics.ts';
import type { Peer } from '../server/request.ts';
import { ednsUdpSize, formErrFor, parseQuery, type Query, writeAnswer } from '../wire/message.ts';
import { lowerName, WireError } from '../wire/name.ts';
import { classIn, extendedError, rcode, rrType } from '../wire/types.ts';
import { logLine } from './query-log.ts';
import { type Asked, emptyAnswer, failure, type Outcome, type ServerBlock } from './server-block.ts';
import { isBelow } from './zones.ts';

export interface ResponderOptions {
  /** Who may ask. Others are refused, in no more bytes than they sent. */
  access: { has(address: string): boolean };
  loops: LoopWatch;
  metrics: DnsMetrics;
  log: Pick<Logger, 'error' | 'info'>;
}

/** Answers messages by the server blocks it was given last. */
export class Responder {
  readonly #options: ResponderOptions;
  #blocks: readonly ServerBlock[] = [];
  #isConfigured = false;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Longest zones first. */
  use(blocks: readonly ServerBlock[]): void {
    this.#blocks = blocks;
    this.#isConfigured = true;
  }

  /** Answers one message, at once where it can; undefined: say nothing (it is no query at all). Never throws or rejects. */
  handle(message: Buffer, client: Peer): Buffer | undefined | Promise<Buffer | undefined> {
    const startedMs = performance.now();
    let query: Query;
    try {
      query = parseQuery(message);
    } catch (error) {
      if (error instanceof WireError)
        return this.#options.access.has(client.address) ? formErrFor(message) : undefined;
      this.#options.log.error({ err: String(error) }, 'could not read a query');
      return undefined;
    }
    try {
      const refusal = this.#refusal(query, client);
      if (refusal !== undefined)
        return this.#reply(query, { source: 'none', answer: { ...emptyAnswer, rcode: refusal } }, client);
      const asked: Asked = { query, name: lowerName(query.question.name), client };
      const outcome = this.#outcome(asked);
      if (!(outcome instanceof Promise)) return this.#finish(asked, outcome, message.length, startedMs);
      return outcome.then(
        (late) => this.#finish(asked, late, message.length, startedMs),
        (error: unknown) => this.#failed(query, error, client),
      );
    } catch (error) {
      return this.#failed(query, error, client);
    }
  }

  #refusal(query: Query, client: Peer): number | undefined {
    if (!this.#options.access.has(client.address)) return rcode.refused;
    if (query.opcode !== 0) return rcode.notImp;
    if (query.edns && query.edns.version !== 0) return rcode.badVers;
    const { type, class: classCode } = query.question;
    const isTransfer = type === rrType.AXFR || type === rrType.IXFR;
    return classCode !== classIn || isTransfer ? rcode.refused : undefined;
  }

  #outcome(asked: Asked): Outcome | Promise<Outcome> {
    if (this.#options.loops.isOwn(asked.name, asked.query.question.type))
      return { source: 'none', answer: { ...emptyAnswer, rcode: rcode.refused } };
    const block = this.#blockOf(asked.name);
    if (block) return block.answer(asked);
    if (!this.#isConfigured)
      return {
        source: 'none',
        answer: failure(extendedError.notReady, 'the configuration is not known yet'),
      };
    return { source: 'none', answer: { ...emptyAnswer, rcode: rcode.refused } };
  }

  #blockOf(name: string): ServerBlock | undefined {
    let best: ServerBlock | undefined;
    let length = -1;
    for (const block of this.#blocks)
      for (const zone of block.config.zones)
        if (zone.length > length && isBelow(name, zone)) {
          best = block;
          length = zone.length;
        }
    return best;
  }

  #finish(asked: Asked, outcome: Outcome, queryBytes: number, startedMs: number): Buffer {
    const { query, client } = asked;
    const reply = this.#reply(query, outcome, client);
    const code = 'told' in outcome ? outcome.told.answer.rcode : outcome.answer.rcode;
    const tookMs = performance.now() - startedMs;
    this.#options.metrics.answered(code, outcome.source, tookMs);
    const logs = this.#blockOf(asked.name)?.config.logs ?? [];
    if (logs.length > 0) {
      const line = logLine(logs, { ...asked, queryBytes, reply, rcode: code, tookMs });
      if (line !== undefined) this.#options.log.info(line);
    }
    return reply;
  }

  #reply(query: Query, outcome: Outcome, client: Peer): Buffer {
    const maxBytes =
      client.transport !== 'udp' ? 65535 : query.edns ? Math.min(query.edns.udpSize, ednsUdpSize) : 512;
    return 'told' in outcome
      ? writeForwarded(query, outcome.told.answer, { ...outcome.told, maxBytes })
      : writeAnswer(query, outcome.answer, maxBytes);
  }

  #failed(query: Query, error: unknown, client: Peer): Buffer {
    this.#options.log.error({ err: String(error) }, 'could not answer a query');
    return this.#reply(query, { source: 'none', answer: { ...emptyAnswer, rcode: rcode.servFail } }, client);
  }
}
