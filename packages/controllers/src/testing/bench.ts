import { setImmediate as turn } from 'node:timers/promises';
import { InformerSet } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { formatTime } from '@cloudless/kube/time';
import type { Event, Pod } from '@cloudless/kube/types/core-v1';
import type { Controller, ControllerContext, StartController } from '../runtime/context.ts';

/** A cluster in memory with controllers on a clock that the test steps. */
export class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly cluster = new FakeCluster({ clock: this.clock });
  readonly informers: InformerSet;
  readonly context: ControllerContext;
  readonly #stopping = new AbortController();
  readonly #parts: Running[] = [];

  constructor() {
    const log = logger('controllers-test');
    log.level = process.env['CLOUDLESS_LOG'] ?? 'silent';
    const { signal } = this.#stopping;
    this.informers = new InformerSet({
      client: this.cluster.clientFor('informers'),
      clock: this.clock,
      signal,
      log,
    });
    this.context = {
      informers: this.informers,
      clientFor: (name) => this.cluster.clientFor(name),
      clock: this.clock,
      log,
      signal,
      random: () => 0.5,
    };
  }

  /** Starts controllers and waits until they work. */
  async start(...controllers: readonly StartController[]): Promise<Controller[]> {
    const started = controllers.map((start) => start(this.context));
    this.#parts.push(...started);
    await Promise.all(started.map((controller) => controller.ready));
    return started;
  }

  /** A kubelet and scheduler of no delay: binds pods, reports them running, ends those being deleted. */
  startKubelet(options: { ready?: (pod: Pod) => boolean; runs?: (pod: Pod) => boolean } = {}): void {
    const pods = this.informers.of(core.pods);
    let count = 0;
    const act = (pod: Pod): void => {
      const { name = '', namespace } = pod.metadata;
      if (options.runs && !options.runs(pod)) return;
      queueMicrotask(() => {
        const now = this.cluster.object(core.pods, name, namespace);
        if (!now || now.metadata.uid !== pod.metadata.uid) return;
        if (now.metadata.deletionTimestamp !== undefined) {
          this.cluster.remove(core.pods, name, namespace);
          return;
        }
        const ready = options.ready?.(now) ?? true;
        if (now.status?.phase === 'Running' && isReady(now) === ready) return;
        if (now.status?.phase === 'Succeeded' || now.status?.phase === 'Failed') return;
        this.cluster.change(core.pods, name, namespace, (copy) => {
          copy.spec = { containers: [], ...copy.spec, nodeName: copy.spec?.nodeName ?? 'node-a' };
          const ip = `10.0.0.${++count}`;
          copy.status = {
            ...copy.status,
            phase: 'Running',
            podIP: copy.status?.podIP ?? ip,
            podIPs: copy.status?.podIPs ?? [{ ip }],
            conditions: [
              {
                type: 'Ready',
                status: ready ? 'True' : 'False',
                lastTransitionTime: formatTime(this.clock.nowMs()),
              },
            ],
          };
        });
      });
    };
    this.#parts.push(running(pods.addHandler({ add: act, update: act })));
  }

  /** Waits for a condition, without letting time pass. */
  until(condition: () => boolean, what: string): Promise<void> {
    return this.cluster.until(condition, what);
  }

  /** Lets everything that can happen now happen. */
  async settle(): Promise<void> {
    let before = '';
    for (let quiet = 0; quiet < 15;) {
      await turn();
      const now = `${this.cluster.resourceVersion}/${this.cluster.calls.length}`;
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
  }

  /** Lets time pass in steps of a second, and everything happen in each. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.clock.advance(1000);
      await this.settle();
    }
  }

  /** `TYPE REASON MESSAGE` of events, in the order of their writing. */
  events(reason?: string): string[] {
    return this.cluster
      .objects(core.events)
      .filter((event: Event) => reason === undefined || event.reason === reason)
      .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
      .map((event) => `${event.type} ${event.reason} ${event.message}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the test is over'));
    await Promise.all(this.#parts.map((part) => part.stop()));
    await this.informers.stop();
  }
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
}
