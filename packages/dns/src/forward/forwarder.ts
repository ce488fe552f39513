import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ForwardConfig } from '../corefile/config.ts';
import { extendedError } from '../wire/types.ts';
import type { ForwardedAnswer } from './forwarded-answer.ts';
import { type LoopWatch, probeForLoop } from './loop.ts';
import type { ForwardMetrics } from './metrics.ts';
import type { ForwardedQuestion } from './question.ts';
import { keyOf, Upstream } from './upstream.ts';
import { upstreamsOf } from './upstreams.ts';

/** No server upstream answered, or too many questions wait already; the client gets SERVFAIL with this reason. */
export class ForwardError extends Error {
  override readonly name = 'ForwardError';
  /** RFC 8914. */
  readonly infoCode: number;

  constructor(message: string, infoCode: number) {
    super(message);
    this.infoCode = infoCode;
  }
}

export interface ForwarderOptions {
  config: ForwardConfig;
  /** Addresses that lead back here: never asked. */
  own: ReadonlySet<string>;
  metrics: ForwardMetrics;
  log: Pick<Logger, 'warn' | 'error' | 'info'>;
  /** Recognizes questions of our own that come back; undefined: loops are not looked for. */
  loops?: LoopWatch | undefined;
  /** Mix the case of questions, and believe only answers that keep it. Some servers do not. */
  randomCase?: boolean | undefined;
}

export interface Forwarder extends Running {
  /** Questions under way. */
  readonly outstanding: number;
  /** The servers as they are now, for those who look. */
  readonly upstreams: readonly Upstream[];
  /**
   * Asks one server after the other, each under an id and a port of its own. By UDP a truncated answer is handed on: the
   * client asks again by TCP. Rejects with {@link ForwardError}.
   */
  ask(question: ForwardedQuestion, transport: 'udp' | 'tcp'): Promise<ForwardedAnswer>;
}

/** How long the servers of a file are believed before it is read again. */
const rereadMs = 5000;
/** A client waits about so long; later servers are not asked. */
const deadlineMs = 5000;
/** A server that led back here is tried again after so long. */
const loopRecheckMs = 30_000;

/** Starts what one `forward` asks for; stopping it rejects what is under way. */
export function startForwarder(options: ForwarderOptions): Forwarder {
  const { config, metrics } = options;
  let upstreams: Upstream[] = [];
  let readMs = -Infinity;
  let turn = 0;
  let outstanding = 0;
  let ended = false;
  const hasFiles = config.to.some((target) => 'file' in target);
  const underWay = new Set<Promise<unknown>>();
  const rechecks = new Set<NodeJS.Timeout>();

  const lookForLoop = (upstream: Upstream): void => {
    if (!options.loops || ended) return;
    void probeForLoop(options.loops, upstream, config.from).then((isLoop) => {
      if (ended) return;
      if (isLoop && !upstream.isLoop)
        options.log.error(
          { upstream: upstream.key, zone: `${config.from}.` },
          'forwarding loop: what is sent to this server comes back here, so it is not asked. Give forward servers outside of the cluster, or a resolv.conf without the stub resolver on loopback',
        );
      else if (!isLoop && upstream.isLoop)
        options.log.info({ upstream: upstream.key }, 'the forwarding loop is gone');
      upstream.isLoop = isLoop;
      if (!isLoop) return;
      const timer = setTimeout(() => {
        rechecks.delete(timer);
        if (upstreams.includes(upstream)) lookForLoop(upstream);
      }, loopRecheckMs);
      timer.unref();
      rechecks.add(timer);
    });
  };
  const refresh = (): void => {
    const nowMs = performance.now();
    if (!(hasFiles || readMs === -Infinity) || nowMs - readMs < rereadMs) return;
    readMs = nowMs;
    const wanted = upstreamsOf(config.to, options.own);
    const kept = new Map(upstreams.map((upstream) => [upstream.key, upstream]));
    const added: Upstream[] = [];
    upstreams = wanted.map((server) => {
      const old = kept.get(keyOf(server));
      kept.delete(keyOf(server));
      if (old) return old;
      const upstream = new Upstream(server, config, metrics);
      added.push(upstream);
      return upstream;
    });
    for (const gone of kept.values()) gone.stop();
    for (const upstream of added) lookForLoop(upstream);
  };
  const inOrder = (): Upstream[] => {
    const usable = upstreams.filter((upstream) => !upstream.isLoop);
    if (usable.length === 0 && upstreams.length > 0)
      throw new ForwardError(
        'forwarding loop: the servers to forward to lead back here',
        extendedError.other,
      );
    const start = config.policy === 'round_robin' ? turn++ % usable.length : 0;
    const rotated = [...usable.slice(start), ...usable.slice(0, start)];
    if (config.policy === 'random') shuffle(rotated);
    const healthy = rotated.filter((upstream) => !upstream.isSuspect);
    if (healthy.length > 0) return [...healthy, ...rotated.filter((upstream) => upstream.isSuspect)];
    if (rotated.length === 0) return [];
    metrics.allBroken();
    if (config.failFast && rotated.every((upstream) => upstream.isDown))
      throw new ForwardError('every server to forward to is down', extendedError.noReachableAuthority);
    return shuffle(rotated);
  };
  const askAll = async (question: ForwardedQuestion, transport: 'udp' | 'tcp'): Promise<ForwardedAnswer> => {
    const untilMs = performance.now() + Math.max(deadlineMs, config.readTimeoutMs);
    const failures: string[] = [];
    let last: ForwardedAnswer | undefined;
    for (const upstream of inOrder()) {
      const leftMs = untilMs - performance.now();
      if (ended || leftMs < 10) break;
      try {
        const answer = await askOne(upstream, question, transport, Math.min(leftMs, config.readTimeoutMs));
        if (!config.failover.includes(answer.rcode)) return answer;
        last = answer;
      } catch (error) {
        failures.push(`${upstream.key}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (last) return last;
    throw new ForwardError(
      failures.length === 0 ? 'no server to forward to is configured' : failures.join('; '),
      failures.length === 0 ? extendedError.noReachableAuthority : extendedError.networkError,
    );
  };
  const askOne = async (
    upstream: Upstream,
    question: ForwardedQuestion,
    transport: 'udp' | 'tcp',
    timeoutMs: number,
  ): Promise<ForwardedAnswer> => {
    const how = { randomCase: options.randomCase === true, timeoutMs };
    if (config.forceTcp) return upstream.ask(question, 'tcp', how);
    const answer = await upstream.ask(question, config.preferUdp ? 'udp' : transport, how);
    return answer.truncated && transport === 'tcp' && config.preferUdp
      ? upstream.ask(question, 'tcp', how)
      : answer;
  };
  refresh();
  return {
    get outstanding() {
      return outstanding;
    },
    get upstreams() {
      return upstreams;
    },
    async ask(question, transport) {
      if (ended) throw new ForwardError('the server is being stopped', extendedError.other);
      if (outstanding >= config.maxConcurrent) {
        metrics.tooMany();
        throw new ForwardError(
          `${config.maxConcurrent} questions wait for the servers upstream already`,
          extendedError.other,
        );
      }
      refresh();
      outstanding += 1;
      const work = askAll(question, transport);
      underWay.add(work);
      try {
        return await work;
      } finally {
        outstanding -= 1;
        underWay.delete(work);
      }
    },
    ...running(async () => {
      ended = true;
      for (const timer of rechecks) clearTimeout(timer);
      for (const upstream of upstreams) upstream.stop();
      await Promise.allSettled(underWay);
    }),
  };
}

function shuffle<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}
