import { isDeepStrictEqual } from 'node:util';
import type { ClockTimer } from '@cloudless/kube/clock';
import type { Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import { podReference } from '../events.ts';
import { identityOf } from '../naming/pod.ts';
import { PodProbes } from '../probe/probes.ts';
import { ownedConditions } from '../sync/conditions.ts';
import { nothingObserved, type ObservedPod } from '../sync/observed.ts';
import { sandboxVerdict } from '../sync/plan.ts';
import { podStatus, type PodVerdict } from '../sync/pod-status.ts';
import { earliest, PodActor, retryMs } from './actor.ts';
import type { WorkerServices } from './services.ts';
import { graceSecondsOf, stopPod } from './stop.ts';

/**
 * `running`: kept as defined. `terminating`: its containers are being ended. `terminated`: nothing of it runs,
 * its volumes and cgroups are gone. `gone`: no source knows it, everything of it is removed.
 */
export type WorkerState = 'running' | 'terminating' | 'terminated' | 'gone';

/** One pod's life on this node: woken by every change, it looks, plans, acts, and looks again. */
export class PodWorker {
  readonly uid: string;
  readonly #services: WorkerServices;
  readonly #probes: PodProbes;
  readonly #actor: PodActor;
  readonly #onTerminated: () => void;
  readonly #onGone: () => void;
  #pod: Pod;
  #state: WorkerState = 'running';
  /** The source has it no more. */
  #removed = false;
  /** Ends what the pod is about to do when it must end. */
  #work = new AbortController();
  /** Ends a stop that gives more grace than is now allowed. */
  #stopWork = new AbortController();
  #graceSeconds = Infinity;
  #verdict: PodVerdict | undefined;
  #status: PodStatus | undefined;
  #silent = false;
  #dirty = false;
  #loop: Promise<void> | undefined;
  #timer: ClockTimer | undefined;
  #halted = false;
  /** The last status is made. */
  #ended = false;
  #networkEventSent = false;

  constructor(options: {
    pod: Pod;
    services: WorkerServices;
    /** Nothing of it runs any more. */
    onTerminated: () => void;
    /** Nothing of it is left. */
    onGone: () => void;
  }) {
    this.#pod = options.pod;
    this.uid = identityOf(options.pod).uid;
    this.#services = options.services;
    this.#onTerminated = options.onTerminated;
    this.#onGone = options.onGone;
    this.#probes = new PodProbes({
      clock: options.services.clock,
      handlers: options.services.probeHandlers,
      events: options.services.events,
      onChange: () => this.wake(),
    });
    this.#actor = new PodActor({
      services: options.services,
      uid: this.uid,
      verdicts: this.#probes.verdicts,
      pod: () => this.#pod,
      observed: () => this.#observed(),
      host: () => this.#host(),
      status: () => this.#status,
      signal: () => this.#work.signal,
      mayAct: () => this.#state === 'running' && !this.#halted,
      followProbes: () => this.#followProbes(false),
    });
    options.services.objects.hold(options.pod, () => this.wake());
    if (options.pod.metadata.deletionTimestamp !== undefined) this.#beginTermination();
  }

  get state(): WorkerState {
    return this.#state;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The status last made, which the API may not have yet. */
  get status(): PodStatus | undefined {
    return this.#status;
  }

  /** The source has a newer definition. */
  update(pod: Pod): void {
    const before = this.#pod;
    this.#pod = pod;
    if (!differs(before, pod)) return;
    this.#services.objects.hold(pod, () => this.wake());
    if (pod.metadata.deletionTimestamp !== undefined) this.#beginTermination();
    this.wake();
  }

  /** No source has the pod any more. `last` is its last state, with the grace of its deletion. */
  remove(last?: Pod): void {
    if (last) this.#pod = last;
    this.#removed = true;
    this.#beginTermination();
    this.wake();
  }

  /** Ends the pod for a reason of the node's own; its status stays so. */
  fail(verdict: PodVerdict): void {
    this.#verdict ??= verdict;
    this.#beginTermination();
    this.wake();
  }

  /** Ends everything of the pod without a word to the API: the node goes down. */
  async takeDown(graceSeconds: number): Promise<void> {
    this.#silent = true;
    this.#removed = true;
    this.#beginTermination(graceSeconds);
    this.wake();
    while (this.#state !== 'gone' && !this.#halted) await (this.#loop ?? this.#tick());
  }

  wake(): void {
    this.#dirty = true;
    if (this.#halted || this.#state === 'gone') return;
    // A step may wait for a pull or a grace: what has changed meanwhile is told at once.
    if (this.#loop && this.#status && !this.#ended) this.#publish(false);
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      if (this.#dirty) this.wake();
    });
  }

  /** Stops looking after the pod; its containers run on. */
  async halt(): Promise<void> {
    this.#halted = true;
    this.#timer?.cancel();
    this.#probes.stop();
    this.#work.abort();
    this.#stopWork.abort();
    await this.#loop;
  }

  #tick(): Promise<void> {
    return new Promise((resolve) => {
      this.#services.clock.setTimeout(resolve, 50);
    });
  }

  #beginTermination(graceSeconds = graceSecondsOf(this.#pod)): void {
    if (this.#state === 'running') {
      this.#state = 'terminating';
      this.#work.abort();
    }
    if (graceSeconds >= this.#graceSeconds) return;
    this.#graceSeconds = graceSeconds;
    this.#stopWork.abort();
    this.#stopWork = new AbortController();
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#halted && this.#state !== 'gone') {
      this.#dirty = false;
      let wakeAtMs: number | undefined;
      try {
        wakeAtMs = await this.#step();
      } catch (error) {
        if (this.#halted) return;
        // What was cut short because the pod must end is taken up by the next step.
        if (this.#work.signal.aborted && this.#state === 'terminating' && this.#dirty) continue;
        this.#services.log.warn(
          { pod: this.#pod.metadata.name, namespace: this.#pod.metadata.namespace, err: error },
          'pod not synced; will be tried again',
        );
        wakeAtMs = this.#services.clock.nowMs() + retryMs;
      }
      this.#wakeAt(wakeAtMs);
    }
  }

  #wakeAt(atMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (atMs === undefined || this.#halted) return;
    this.#timer = this.#services.clock.setTimeout(
      () => this.wake(),
      Math.max(0, atMs - this.#services.clock.nowMs()),
    );
  }

  #step(): Promise<number | undefined> {
    switch (this.#state) {
      case 'running':
        return this.#keepRunning();
      case 'terminating':
        return this.#terminate();
      default:
        return this.#afterEnd();
    }
  }

  #observed(): ObservedPod {
    return this.#services.view.pod(this.uid) ?? nothingObserved(identityOf(this.#pod));
  }

  #host(): string {
    const ips = this.#pod.spec?.hostNetwork
      ? this.#services.node.hostIps()
      : (this.#observed().sandboxes[0]?.ips ?? []);
    return ips[0] ?? '';
  }

  /** Makes and publishes the status; resolves to its phase. */
  #publish(terminal: boolean): string {
    const previous = this.#status ?? this.#pod.status ?? {};
    const foreign = (this.#pod.status?.conditions ?? []).filter((entry) => !ownedConditions.has(entry.type));
    const own = (previous.conditions ?? []).filter((entry) => ownedConditions.has(entry.type));
    const status = podStatus({
      pod: this.#pod,
      observed: this.#observed(),
      verdicts: this.#probes.verdicts,
      waiting: this.#actor.waiting,
      previous: { ...previous, conditions: [...own, ...foreign] },
      runtimeName: this.#services.node.runtimeName,
      terminal,
      verdict: this.#verdict,
      hostIps: this.#services.node.hostIps(),
      nowMs: this.#services.clock.nowMs(),
    });
    this.#status = status;
    if (!this.#silent && !this.#removed) this.#services.statuses.publish(this.#pod, status);
    return status.phase ?? 'Pending';
  }

  async #keepRunning(): Promise<number | undefined> {
    this.#followProbes(false);
    this.#checkDeadline();
    const phase = this.#publish(false);
    const deadlineMs = this.#checkDeadline();
    if (phase === 'Failed' || phase === 'Succeeded') {
      this.#beginTermination();
      this.#dirty = true;
      return undefined;
    }
    const networkWait = this.#waitsForNetwork();
    if (networkWait !== undefined) return earliest(deadlineMs, networkWait);
    const volumes = await this.#actor.mountVolumes();
    if (!(volumes instanceof Map)) return earliest(deadlineMs, volumes.retryAtMs);
    const wakeAtMs = await this.#actor.act(volumes);
    this.#followProbes(false);
    const after = this.#publish(false);
    if (after === 'Failed' || after === 'Succeeded') this.#dirty = true;
    return earliest(earliest(deadlineMs, wakeAtMs), this.#services.tokens.renewAtMs(this.uid));
  }

  #checkDeadline(): number | undefined {
    const seconds = this.#pod.spec?.activeDeadlineSeconds;
    const started = this.#status?.startTime ?? this.#pod.status?.startTime;
    if (seconds === undefined || started === undefined) return undefined;
    const endMs = Date.parse(started) + seconds * 1000;
    if (this.#services.clock.nowMs() < endMs) return endMs;
    if (this.#verdict === undefined) {
      const message = 'Pod was active on the node longer than the specified deadline';
      this.#verdict = { phase: 'Failed', reason: 'DeadlineExceeded', message };
      this.#services.events(podReference(this.#pod), 'Normal', 'DeadlineExceeded', message);
    }
    return undefined;
  }

  #followProbes(ending: boolean): void {
    this.#probes.follow(this.#pod, this.#observed(), {
      host: this.#host(),
      ending,
      adopted: (id) => this.#services.adopted(id),
    });
  }

  #waitsForNetwork(): number | undefined {
    const problem = this.#services.node.networkProblem();
    if (problem === undefined || this.#pod.spec?.hostNetwork) return undefined;
    if (sandboxVerdict(this.#pod, this.#observed()).usable) return undefined;
    if (!this.#networkEventSent) {
      this.#networkEventSent = true;
      this.#services.events(
        podReference(this.#pod),
        'Warning',
        'NetworkNotReady',
        `network is not ready: ${problem}`,
      );
    }
    return this.#services.clock.nowMs() + retryMs;
  }

  async #terminate(): Promise<number | undefined> {
    const services = this.#services;
    this.#followProbes(true);
    this.#publish(false);
    const observed = this.#observed();
    const signal = this.#stopWork.signal;
    await stopPod(services, {
      pod: this.#pod,
      observed,
      graceSeconds: Math.min(this.#graceSeconds, graceSecondsOf(this.#pod)),
      host: this.#host(),
      signal,
      sandboxes: true,
    });
    if (signal.aborted) {
      this.#dirty = !this.#halted;
      return undefined;
    }
    const left = this.#observed().containers.filter((container) => container.state === 'running');
    if (left.length > 0) {
      services.log.warn(
        { pod: this.#pod.metadata.name, containers: left.map(({ name }) => name) },
        'containers outlive their end; stopping them again',
      );
      return services.clock.nowMs() + retryMs;
    }
    this.#probes.stop();
    this.#ended = true;
    this.#publish(true);
    await services.volumes.remove(this.uid);
    if (!(await services.cgroups.remove(this.uid))) return services.clock.nowMs() + 1000;
    services.objects.release(this.uid);
    services.tokens.release(this.uid);
    this.#state = 'terminated';
    this.#onTerminated();
    this.#dirty = true;
    return undefined;
  }

  async #afterEnd(): Promise<number | undefined> {
    if (!this.#removed) {
      if (!this.#silent) this.#services.statuses.finished(this.#pod);
      return undefined;
    }
    await this.#actor.removeEverything();
    this.#state = 'gone';
    this.#services.statuses.forget(this.uid);
    this.#onGone();
    return undefined;
  }
}

/** Whether a pod's new state asks for anything: our own status coming back does not (upstream: podsDifferSemantically). */
function differs(before: Pod, after: Pod): boolean {
  const foreign = (pod: Pod): unknown =>
    (pod.status?.conditions ?? []).filter((entry) => !ownedConditions.has(entry.type));
  const seen = (pod: Pod): unknown => [
    pod.spec,
    pod.metadata.labels,
    pod.metadata.annotations,
    pod.metadata.deletionTimestamp,
    pod.metadata.deletionGracePeriodSeconds,
    foreign(pod),
  ];
  return !isDeepStrictEqual(seen(before), seen(after));
}
