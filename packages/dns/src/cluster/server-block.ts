import type { Peer } from '../server/request.ts';
import type { ForwardConfig, ServerConfig } from '../corefile/config.ts';
import { AnswerCache, type CacheQuestion, cacheKey, type Told } from '../forward/cache.ts';
import type { ForwardedAnswer } from '../forward/forwarded-answer.ts';
import { ForwardError, type Forwarder, startForwarder } from '../forward/forwarder.ts';
import type { LoopWatch } from '../forward/loop.ts';
import type { CacheCounts, ForwardMetrics } from '../forward/metrics.ts';
import type { ForwardedQuestion } from '../forward/question.ts';
import type { Logger } from '@cloudless/kube/logger';
import { extendedErrorOption } from '../wire/edns.ts';
import { type Answer, parseMessage, type Query, type ResourceRecord } from '../wire/message.ts';
import { nameAt, WireError, writeName } from '../wire/name.ts';
import { extendedError, rcode, rrType } from '../wire/types.ts';
import { Hosts } from './hosts.ts';
import { type ClusterState, KubernetesZones } from './kubernetes.ts';
import { NameRewriter } from './rewrite.ts';
import { RecordTemplate } from './template.ts';
import { isBelow } from './zones.ts';

/** One question on its way through a server block. */
export interface Asked {
  readonly query: Query;
  /** Lower case; another than the query's after a rewrite. */
  readonly name: string;
  readonly client: Peer;
}

/** Records of ours, or bytes from upstream as they are sent on. */
export type Outcome =
  | {
      readonly source: 'kubernetes' | 'hosts' | 'template' | 'rewrite' | 'forward' | 'none';
      readonly answer: Answer;
    }
  | { readonly source: 'forward'; readonly told: Told };

export interface ServerBlockOptions {
  config: ServerConfig;
  state: ClusterState;
  /** Nothing is said about the cluster's names before the first full sync: a restart never denies a name that exists. */
  isSynced(): boolean;
  /** Addresses that lead back here. */
  own: ReadonlySet<string>;
  loops: LoopWatch;
  metrics: ForwardMetrics;
  counts: CacheCounts;
  log: Pick<Logger, 'warn' | 'error' | 'info'>;
  nowMs: () => number;
}

export const emptyAnswer: Answer = {
  rcode: rcode.noError,
  authoritative: false,
  recursionAvailable: true,
  answers: [],
  authorities: [],
  additionals: [],
};

/** Types whose order says nothing; of PTR records the first is the best. */
const balanced: ReadonlySet<number> = new Set([rrType.A, rrType.AAAA, rrType.MX, rrType.SRV]);

/** Aliases that lead to aliases are followed so far. */
const maxAliases = 8;

/** SERVFAIL and why (RFC 8914). */
export const failure = (code: number, text: string): Answer => ({
  ...emptyAnswer,
  rcode: rcode.servFail,
  options: [extendedErrorOption(code, text)],
});

/** What one server block of a Corefile answers, each plugin in its turn. `stop()` ends its forwarding. */
export class ServerBlock {
  readonly config: ServerConfig;
  readonly cache: AnswerCache;
  readonly forwarders: ReadonlyArray<{ config: ForwardConfig; forwarder: Forwarder }>;
  readonly #options: ServerBlockOptions;
  readonly #rewriter: NameRewriter | undefined;
  readonly #templates: readonly RecordTemplate[];
  readonly #hosts: Hosts | undefined;
  readonly #kubernetes: KubernetesZones | undefined;

  constructor(options: ServerBlockOptions) {
    const { config, own, metrics, log, loops } = options;
    this.config = config;
    this.#options = options;
    this.#rewriter = config.rewrites.length === 0 ? undefined : new NameRewriter(config.rewrites);
    this.#templates = config.templates.map(
      (template) => new RecordTemplate(template, (error) => log.warn({ zones: config.zones }, error.message)),
    );
    this.#hosts = config.hosts && new Hosts(config.hosts);
    this.#kubernetes = config.kubernetes && new KubernetesZones(config.kubernetes, options.state);
    this.forwarders = config.forwards.map((forward) => ({
      config: forward,
      forwarder: startForwarder({
        config: forward,
        own,
        metrics,
        log,
        loops: config.loop ? loops : undefined,
      }),
    }));
    this.cache = new AnswerCache(
      config.cache,
      (asked, transport) => this.#fetch(asked, transport),
      options.nowMs,
      options.counts,
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.forwarders.map(({ forwarder }) => forwarder.stop()));
  }

  /** Answers, at once where nobody has to be asked. Rejects only for a mistake in this program. */
  answer(asked: Asked): Outcome | Promise<Outcome> {
    const { query } = asked;
    if (this.#rewriter) {
      try {
        const rewritten = this.#rewriter.apply(asked.name);
        if (rewritten) return this.#answerRewritten({ ...asked, name: rewritten.name }, rewritten.restore);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        return { source: 'rewrite', answer: failure(extendedError.other, `rewrite: ${error.message}`) };
      }
    }
    return this.#answer(asked, query.questionBytes, 0);
  }

  async #answerRewritten(asked: Asked, restore: (answer: Answer) => Answer): Promise<Outcome> {
    const { type, class: classCode } = asked.query.question;
    const outcome = await this.#answer(asked, questionBytes(asked.name, type, classCode), 0);
    const answer = 'answer' in outcome ? outcome.answer : answerOfTold(outcome.told);
    return { source: outcome.source, answer: restore(answer) };
  }

  #answer(asked: Asked, bytes: Buffer, aliases: number): Outcome | Promise<Outcome> {
    const { name, query } = asked;
    const { type } = query.question;
    for (const template of this.#templates) {
      const remote = asked.client.address;
      const answer = template.answer({ name, type, class: query.question.class, remote });
      if (answer) return { source: 'template', answer };
    }
    if (this.#hosts) {
      const outcome = this.#answerHosts(name, type);
      if (outcome) return outcome;
    }
    const local = this.#kubernetes && this.#answerKubernetes(asked, this.#kubernetes, aliases);
    return local ?? this.#forward(asked, bytes);
  }

  #answerHosts(name: string, type: number): Outcome | undefined {
    const hosts = this.#hosts as Hosts;
    const records = hosts.answer(name, type);
    if (records)
      return {
        source: 'hosts',
        answer: { ...emptyAnswer, authoritative: true, answers: this.#ordered(records) },
      };
    if (!hosts.isAbout(name) || hosts.fallsThrough(name)) return undefined;
    // As in CoreDNS: without a SOA there is no true denial.
    return {
      source: 'hosts',
      answer: failure(extendedError.other, 'not in hosts, and nothing after it may answer'),
    };
  }

  #answerKubernetes(
    asked: Asked,
    kubernetes: KubernetesZones,
    aliases: number,
  ): Outcome | Promise<Outcome> | undefined {
    const { name, query } = asked;
    if (!this.#options.isSynced())
      return kubernetes.owns(name)
        ? { source: 'kubernetes', answer: failure(extendedError.notReady, 'the cluster is not known yet') }
        : undefined;
    const found = kubernetes.answer(name);
    if (!found) return undefined;
    const { type } = query.question;
    const base: Answer = { ...emptyAnswer, authoritative: true };
    const records = found.records.filter((record) => record.type === type || type === rrType.ANY);
    if (records.length > 0)
      return {
        source: 'kubernetes',
        answer: { ...base, answers: this.#ordered(records), additionals: glueFor(records, kubernetes) },
      };
    const alias = found.records.find((record) => record.type === rrType.CNAME);
    if (alias) return this.#follow(asked, alias, aliases);
    return {
      source: 'kubernetes',
      answer: {
        ...base,
        rcode: found.exists ? rcode.noError : rcode.nxDomain,
        authorities: [kubernetes.soa(found.zone)],
      },
    };
  }

  /** What an ExternalName leads to, found as if the client had asked for it. The alias alone is a true answer too. */
  async #follow(asked: Asked, alias: ResourceRecord, aliases: number): Promise<Outcome> {
    const answer: Answer = { ...emptyAnswer, authoritative: true, answers: [alias] };
    if (aliases >= maxAliases) return { source: 'kubernetes', answer };
    const target = nameAt(alias.data, 0).toLowerCase();
    const { type, class: classCode } = asked.query.question;
    const bytes = questionBytes(target, type, classCode);
    const outcome = await this.#answer({ ...asked, name: target }, bytes, aliases + 1);
    const isCut = 'told' in outcome && outcome.told.answer.truncated;
    const rest = isCut
      ? await this.#whole(asked, target, bytes)
      : 'answer' in outcome
        ? outcome.answer
        : answerOfTold(outcome.told);
    return {
      source: 'kubernetes',
      answer: {
        ...answer,
        answers: [alias, ...rest.answers.filter(({ type: own }) => own === type || own === rrType.CNAME)],
      },
    };
  }

  /** The target of an alias by TCP, where its answer was cut. */
  async #whole(asked: Asked, name: string, bytes: Buffer): Promise<Answer> {
    const client: Peer = { ...asked.client, transport: 'tcp' };
    const outcome = await this.#forward({ ...asked, name, client }, bytes);
    return 'answer' in outcome ? outcome.answer : answerOfTold(outcome.told);
  }

  #forward(asked: Asked, bytes: Buffer): Outcome | Promise<Outcome> {
    const { query, name } = asked;
    if (this.forwarders.length === 0)
      return {
        source: 'none',
        answer: failure(extendedError.other, 'no plugin of the Corefile answers this'),
      };
    const question: ForwardedQuestion = {
      bytes,
      recursionDesired: query.recursionDesired,
      checkingDisabled: query.checkingDisabled,
      dnssecOk: query.edns?.dnssecOk === true,
    };
    const cached: CacheQuestion = { question, name, key: cacheKey(question) };
    const told = this.cache.answer(cached, asked.client.transport === 'udp' ? 'udp' : 'tcp');
    if (!(told instanceof Promise)) return { source: 'forward', told };
    return told.then(
      (late): Outcome => ({ source: 'forward', told: late }),
      (error: unknown): Outcome => {
        if (!(error instanceof ForwardError)) throw error;
        return { source: 'forward', answer: failure(error.infoCode, error.message) };
      },
    );
  }

  /** The forwards of the block in their order (CoreDNS: plugin/forward, `next`). */
  async #fetch({ question, name }: CacheQuestion, transport: 'udp' | 'tcp'): Promise<ForwardedAnswer> {
    let last: ForwardedAnswer | undefined;
    for (const { config, forwarder } of this.forwarders) {
      if (!isBelow(name, config.from) || config.except.some((zone) => isBelow(name, zone))) continue;
      last = await forwarder.ask(question, transport);
      if (!config.next.includes(last.rcode)) return last;
    }
    if (last) return last;
    throw new ForwardError('no forward of the Corefile is about this name', extendedError.other);
  }

  #ordered(records: readonly ResourceRecord[]): readonly ResourceRecord[] {
    const isMixed = this.config.loadbalance && records.length > 1 && balanced.has(records[0]?.type ?? 0);
    return isMixed ? shuffled(records) : records;
  }
}

function questionBytes(name: string, type: number, classCode: number): Buffer {
  return Buffer.concat([
    writeName(name),
    Buffer.of(type >> 8, type & 0xff, classCode >> 8, classCode & 0xff),
  ]);
}

/** Bytes from upstream as records, TTLs counted down. */
function answerOfTold({ answer, ageSeconds, lifetimeSeconds, staleTtlSeconds }: Told): Answer {
  const message = parseMessage(answer.message);
  const aged = (records: readonly ResourceRecord[]): ResourceRecord[] =>
    records.map((record) => ({
      ...record,
      ttlSeconds: staleTtlSeconds ?? Math.max(0, Math.min(record.ttlSeconds, lifetimeSeconds) - ageSeconds),
    }));
  return {
    ...emptyAnswer,
    rcode: answer.rcode,
    answers: aged(message.answers),
    authorities: aged(message.authorities),
    additionals: aged(message.additionals),
    options: answer.options,
  };
}

/** Addresses of SRV and NS targets. */
function glueFor(records: readonly ResourceRecord[], kubernetes: KubernetesZones): ResourceRecord[] {
  const offsets: Partial<Record<number, number>> = { [rrType.SRV]: 6, [rrType.NS]: 0 };
  const targets = new Set<string>();
  for (const { type, data } of records) {
    const offset = offsets[type];
    if (offset !== undefined) targets.add(nameAt(data, offset).toLowerCase());
  }
  return [...targets].flatMap((target) =>
    kubernetes.lookup(target).filter(({ type }) => type === rrType.A || type === rrType.AAAA),
  );
}

/** Clients mostly take the first address: a random order spreads them over a headless Service's pods. */
function shuffled(records: readonly ResourceRecord[]): ResourceRecord[] {
  const list = [...records];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as ResourceRecord, list[i] as ResourceRecord];
  }
  return list;
}
