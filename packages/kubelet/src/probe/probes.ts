import type { Clock } from '@cloudless/kube/clock';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { podReference, type EventSink } from '../events.ts';
import { containersOf, fieldPathOf } from '../naming/pod.ts';
import type { ObservedPod } from '../sync/observed.ts';
import type { ProbeKind, ProbeVerdicts } from '../sync/plan.ts';
import type { ProbeHandlers } from './handlers.ts';
import { Prober } from './prober.ts';

const kinds: ReadonlyArray<[ProbeKind, 'startupProbe' | 'livenessProbe' | 'readinessProbe']> = [
  ['startup', 'startupProbe'],
  ['liveness', 'livenessProbe'],
  ['readiness', 'readinessProbe'],
];

/** The probes of one pod: those of its running containers run, and their verdicts are kept. */
export class PodProbes {
  readonly #clock: Clock;
  readonly #handlers: ProbeHandlers;
  readonly #events: EventSink;
  readonly #onChange: () => void;
  readonly #probers = new Map<string, Prober>();
  readonly #verdicts = new Map<string, 'success' | 'failure'>();
  #host = '';

  constructor(options: { clock: Clock; handlers: ProbeHandlers; events: EventSink; onChange: () => void }) {
    this.#clock = options.clock;
    this.#handlers = options.handlers;
    this.#events = options.events;
    this.#onChange = options.onChange;
  }

  readonly verdicts: ProbeVerdicts = (containerId, kind) => this.#verdicts.get(`${containerId} ${kind}`);

  /**
   * Starts what is missing and ends what concerns a container that runs no more. `ending` keeps readiness alone:
   * a pod that ends is not restarted. `adopted` tells containers that ran before this kubelet: they stay as started
   * and ready as the API last knew them until a probe says otherwise, so that a restart of the kubelet takes no
   * endpoint away.
   */
  follow(
    pod: Pod,
    observed: ObservedPod,
    options: { host: string; ending: boolean; adopted: (containerId: string) => boolean },
  ): void {
    this.#host = options.host;
    const wanted = new Set<string>();
    for (const { kind: containerKind, spec } of containersOf(pod)) {
      if (containerKind === 'init' || containerKind === 'ephemeral') continue;
      const running = observed.containers.find(
        (entry) => entry.name === spec.name && entry.state === 'running',
      );
      if (!running) continue;
      for (const [kind, field] of kinds) {
        const probe = spec[field];
        if (!probe || (options.ending && kind !== 'readiness')) continue;
        const key = `${running.id} ${kind}`;
        wanted.add(key);
        if (this.#probers.has(key)) continue;
        if (options.adopted(running.id) && kind !== 'liveness' && !this.#verdicts.has(key)) {
          this.#verdicts.set(key, stoodWell(pod, running.id, kind) ? 'success' : 'failure');
          if (kind === 'startup' && this.#verdicts.get(key) === 'success') continue;
          if (kind === 'startup') this.#verdicts.delete(key);
        }
        const reference = podReference(pod, fieldPathOf(containerKind, spec.name));
        const prober = new Prober({
          clock: this.#clock,
          handlers: this.#handlers,
          target: {
            containerId: running.id,
            container: spec,
            kind,
            probe,
            startedAtMs: running.startedAtMs,
            host: () => this.#host,
          },
          hasStarted: () =>
            spec.startupProbe === undefined || this.verdicts(running.id, 'startup') === 'success',
          onVerdict: (verdict) => this.#settle(running.id, kind, verdict),
          onEvent: (type, reason, message) => this.#events(reference, type, reason, message),
        });
        this.#probers.set(key, prober);
      }
    }
    for (const [key, prober] of this.#probers) {
      if (wanted.has(key)) continue;
      prober.stop();
      this.#probers.delete(key);
    }
  }

  stop(): void {
    for (const prober of this.#probers.values()) prober.stop();
    this.#probers.clear();
  }

  #settle(containerId: string, kind: ProbeKind, verdict: 'success' | 'failure'): void {
    const key = `${containerId} ${kind}`;
    if (this.#verdicts.get(key) === verdict) return;
    this.#verdicts.set(key, verdict);
    if (kind === 'startup' && verdict === 'success') {
      this.#probers.get(`${containerId} readiness`)?.hurry();
      this.#probers.get(`${containerId} liveness`)?.hurry();
    }
    this.#onChange();
  }
}

/** Whether an adopted container was started, or ready, when the API last heard; yes when it never did. */
function stoodWell(pod: Pod, containerId: string, kind: 'startup' | 'readiness'): boolean {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const status = all.find((entry) => entry.containerID?.endsWith(`://${containerId}`));
  return status === undefined || (kind === 'startup' ? status.started === true : status.ready);
}
