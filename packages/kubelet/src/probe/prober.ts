import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Container, Probe } from '@cloudless/kube/types/core-v1';
import type { ProbeKind } from '../sync/plan.ts';
import type { ProbeHandlers, Verdict } from './handlers.ts';

export interface ProbeTarget {
  containerId: string;
  container: Container;
  kind: ProbeKind;
  probe: Probe;
  startedAtMs: number;
  /** The pod's address at this moment. */
  host(): string;
}

export interface ProberOptions {
  clock: Clock;
  handlers: ProbeHandlers;
  target: ProbeTarget;
  /** A verdict that the thresholds have confirmed, when it differs from the last. */
  onVerdict(verdict: 'success' | 'failure'): void;
  onEvent(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Liveness and readiness wait for this. */
  hasStarted(): boolean;
}

const titles: Record<ProbeKind, string> = {
  startup: 'Startup',
  liveness: 'Liveness',
  readiness: 'Readiness',
};

/** Repeats one probe of one container until stopped (upstream: prober/worker.go). */
export class Prober {
  readonly #options: ProberOptions;
  #timer: ClockTimer | undefined;
  #stopped = false;
  #lastResult: 'success' | 'failure' | undefined;
  #run = 0;
  #verdict: 'success' | 'failure' | undefined;

  constructor(options: ProberOptions) {
    this.#options = options;
    const { probe, startedAtMs } = options.target;
    const firstMs = startedAtMs + (probe.initialDelaySeconds ?? 0) * 1000;
    this.#schedule(Math.max(0, firstMs - options.clock.nowMs()));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Looks now instead of at the next turn: the container has just started. */
  hurry(): void {
    const { probe, startedAtMs } = this.#options.target;
    const firstMs = startedAtMs + (probe.initialDelaySeconds ?? 0) * 1000;
    if (this.#stopped || this.#timer === undefined || this.#verdict !== undefined) return;
    this.#timer.cancel();
    this.#schedule(Math.max(0, firstMs - this.#options.clock.nowMs()));
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      void this.#turn();
    }, delayMs);
  }

  async #turn(): Promise<void> {
    const { target, clock } = this.#options;
    const periodMs = (target.probe.periodSeconds ?? 10) * 1000;
    const startMs = clock.monotonicMs();
    if (target.kind === 'startup' || this.#options.hasStarted()) {
      const verdict = await this.#look();
      if (this.#stopped) return;
      this.#count(verdict);
      if (this.#finished()) return;
    }
    this.#schedule(Math.max(0, periodMs - (clock.monotonicMs() - startMs)));
  }

  /** A startup probe ends with its verdict; a failed liveness probe waits for the next container. */
  #finished(): boolean {
    const { kind } = this.#options.target;
    if (kind === 'startup') return this.#verdict !== undefined;
    return kind === 'liveness' && this.#verdict === 'failure';
  }

  async #look(): Promise<'success' | 'failure'> {
    const { target } = this.#options;
    const onEvent: ProberOptions['onEvent'] = (...event) => this.#options.onEvent(...event);
    const title = titles[target.kind];
    let verdict: Verdict;
    try {
      verdict = await this.#handle();
    } catch (error) {
      if (this.#stopped) return 'failure';
      onEvent(
        'Warning',
        'Unhealthy',
        `${title} probe errored and resulted in unknown state: ${(error as Error).message}`,
      );
      return 'failure';
    }
    if (this.#stopped) return 'failure';
    if (verdict.result === 'warning')
      onEvent('Warning', 'ProbeWarning', `${title} probe warning: ${verdict.message}`);
    if (verdict.result === 'failure')
      onEvent('Warning', 'Unhealthy', `${title} probe failed: ${verdict.message}`);
    return verdict.result === 'failure' ? 'failure' : 'success';
  }

  async #handle(): Promise<Verdict> {
    const { handlers, target } = this.#options;
    const { probe, container } = target;
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    if (probe.exec) return handlers.exec(target.containerId, probe.exec, timeoutMs);
    if (probe.httpGet) return handlers.http(target.host(), container, probe.httpGet, timeoutMs);
    if (probe.tcpSocket) return handlers.tcp(target.host(), container, probe.tcpSocket, timeoutMs);
    if (probe.grpc) return handlers.grpc(target.host(), probe.grpc, timeoutMs);
    throw new Error(`missing probe handler for container ${container.name}`);
  }

  #count(result: 'success' | 'failure'): void {
    const { probe } = this.#options.target;
    if (result === this.#lastResult) this.#run++;
    else {
      this.#lastResult = result;
      this.#run = 1;
    }
    const threshold = result === 'failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1);
    if (this.#run < threshold || this.#verdict === result) return;
    this.#verdict = result;
    this.#options.onVerdict(result);
  }
}
