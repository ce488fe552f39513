import { readFileSync } from 'node:fs';
import type { ForwardConfig, UpstreamConfig } from '../corefile/config.ts';
import { rcode } from '../wire/types.ts';
import { type ConnectionTls, StreamConnection } from './connection.ts';
import { exchangeUdp } from './exchange.ts';
import { type ForwardedAnswer, readForwarded } from './forwarded-answer.ts';
import type { ForwardMetrics } from './metrics.ts';
import { type ForwardedQuestion, isAnswerTo, type QueryForm, writeQuery } from './question.ts';

type UpstreamRules = Pick<
  ForwardConfig,
  'expireMs' | 'readTimeoutMs' | 'maxFails' | 'healthCheck' | 'tls' | 'forceTcp'
>;

/** A server that does not answer is looked after less and less often, up to this. */
const slowestProbeMs = 5000;
const probeTimeoutMs = 1000;

/**
 * One server that questions are forwarded to, and what is known of it. After a failure it is suspected until it
 * answers something again: it is asked last, and looked after in the background (CoreDNS: plugin/pkg/proxy).
 */
export class Upstream {
  readonly config: UpstreamConfig;
  /** `192.0.2.1:53`, as metrics name it. */
  readonly key: string;
  /** What was sent there came back here: it is not asked. */
  isLoop = false;
  readonly #rules: UpstreamRules;
  readonly #metrics: ForwardMetrics;
  readonly #ended = new AbortController();
  readonly #connections = new Set<StreamConnection>();
  #failures = 0;
  #hasEdns = true;
  #probe: NodeJS.Timeout | undefined;
  #tls: ConnectionTls | undefined;

  constructor(config: UpstreamConfig, rules: UpstreamRules, metrics: ForwardMetrics) {
    this.config = config;
    this.key = keyOf(config);
    this.#rules = rules;
    this.#metrics = metrics;
  }

  /** It failed, and nothing was heard of it since. */
  get isSuspect(): boolean {
    return this.#failures > 0;
  }

  /** It failed so often in a row that it is held to be down. */
  get isDown(): boolean {
    return this.#rules.maxFails > 0 && this.#failures >= this.#rules.maxFails;
  }

  /**
   * Its answer, whatever that says. Rejects when there is none in time. A server that does not understand EDNS is asked
   * without (RFC 6891 section 6.2.2).
   */
  async ask(
    question: ForwardedQuestion,
    transport: 'udp' | 'tcp',
    options: { randomCase: boolean; timeoutMs?: number },
  ): Promise<ForwardedAnswer> {
    const startedMs = performance.now();
    try {
      let answer = await this.#askOnce(question, transport, options);
      const cannotRead = answer.rcode === rcode.formErr || answer.rcode === rcode.notImp;
      if (this.#hasEdns && cannotRead && !answer.hadEdns) {
        this.#hasEdns = false;
        answer = await this.#askOnce(question, transport, options);
      }
      this.#failures = 0;
      this.#metrics.answered(this.key, answer.rcode, performance.now() - startedMs);
      return answer;
    } catch (error) {
      if (!this.#ended.signal.aborted) this.#failed();
      throw error;
    }
  }

  stop(): void {
    this.#ended.abort();
    clearTimeout(this.#probe);
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  async #askOnce(
    question: ForwardedQuestion,
    transport: 'udp' | 'tcp',
    { randomCase, timeoutMs = this.#rules.readTimeoutMs }: { randomCase: boolean; timeoutMs?: number },
  ): Promise<ForwardedAnswer> {
    const padded = this.config.transport === 'tls';
    const form: QueryForm = { edns: this.#hasEdns, padded, randomCase };
    const received =
      padded || transport === 'tcp'
        ? await this.#askStream(question, form, timeoutMs)
        : await this.#askDatagram(question, form, timeoutMs);
    return readForwarded(received, question.bytes);
  }

  #askDatagram(question: ForwardedQuestion, form: QueryForm, timeoutMs: number): Promise<Buffer> {
    const query = writeQuery(question, form);
    const accepts = (answer: Buffer): boolean => isAnswerTo(query, answer, form.randomCase);
    return exchangeUdp(query, this.config, { timeoutMs, signal: this.#ended.signal, accepts });
  }

  /** A connection that was kept may have ended meanwhile; then a new one is tried once. */
  async #askStream(question: ForwardedQuestion, form: QueryForm, timeoutMs: number): Promise<Buffer> {
    for (let attempt = 0; ; attempt++) {
      if (this.#ended.signal.aborted) throw new Error('the server is being stopped');
      const query = writeQuery(question, form);
      const accepts = (answer: Buffer): boolean => isAnswerTo(query, answer, form.randomCase);
      for (const connection of this.#connections)
        if (!connection.isUsable) this.#connections.delete(connection);
      const kept = [...this.#connections].find((connection) => connection.canTake(query));
      const connection = kept ?? this.#connect();
      this.#metrics.connected(
        this.key,
        this.config.transport === 'tls' ? 'tcp-tls' : 'tcp',
        kept !== undefined,
      );
      try {
        return await connection.ask(query, { timeoutMs, accepts });
      } catch (error) {
        if (!kept || attempt > 0) throw error;
      }
    }
  }

  #connect(): StreamConnection {
    const connection = new StreamConnection(
      { host: this.config.host, port: this.config.port },
      this.config.transport === 'tls' ? (this.#tls ??= this.#readTls()) : undefined,
      this.#rules.expireMs,
    );
    this.#connections.add(connection);
    return connection;
  }

  #readTls(): ConnectionTls {
    const { caFile, certificateFile, keyFile } = this.#rules.tls;
    return {
      serverName: this.config.serverName,
      ca: caFile === undefined ? undefined : readFileSync(caFile),
      certificate: certificateFile === undefined ? undefined : readFileSync(certificateFile),
      key: keyFile === undefined ? undefined : readFileSync(keyFile),
    };
  }

  #failed(): void {
    this.#failures = Math.max(1, this.#failures + 1);
    if (this.#rules.maxFails > 0) this.#scheduleProbe();
    else this.#failures = 0;
  }

  #scheduleProbe(): void {
    if (this.#probe) return;
    const { intervalMs } = this.#rules.healthCheck;
    const delayMs = Math.min(
      intervalMs * 2 ** Math.min(this.#failures - 1, 10),
      Math.max(intervalMs, slowestProbeMs),
    );
    this.#probe = setTimeout(() => void this.#look(), delayMs);
    this.#probe.unref();
  }

  /** Any answer is a sign of life (CoreDNS: `. IN NS`). */
  async #look(): Promise<void> {
    this.#probe = undefined;
    if (!this.isSuspect) return;
    const { domain, recursionDesired } = this.#rules.healthCheck;
    const question = healthQuestion(domain, recursionDesired);
    try {
      const transport = this.#rules.forceTcp ? 'tcp' : 'udp';
      await this.#askOnce(question, transport, { randomCase: false, timeoutMs: probeTimeoutMs });
      this.#failures = 0;
    } catch {
      if (this.#ended.signal.aborted) return;
      this.#metrics.healthCheckFailed(this.key);
      this.#failed();
    }
  }
}

export const keyOf = ({ host, port }: UpstreamConfig): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;

function healthQuestion(domain: string, recursionDesired: boolean): ForwardedQuestion {
  const labels = domain === '' ? [] : domain.split('.');
  const name = labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label, 'latin1')]);
  return {
    bytes: Buffer.concat([...name, Buffer.of(0, 0, 2, 0, 1)]),
    recursionDesired,
    checkingDisabled: false,
    dnssecOk: false,
  };
}
