import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { InformerSet } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { startLeaderElection } from '@cloudless/kube/leader-election/leader-election';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { reportConfigurationState } from '../config/configuration-state.ts';
import { metallb } from '../config/kinds.ts';
import { type WatchedConfiguration, watchConfiguration } from '../config/watch.ts';
import { Allocator } from './allocator.ts';
import { controllerMetrics } from './metrics.ts';
import { startPoolStatus } from './pool-status.ts';
import { ServiceAllocation } from './service-allocation.ts';

export interface ControllerOptions {
  client: KubeClient;
  /** Where the objects of `metallb.io` are; not given: in all namespaces. */
  namespace?: string | undefined;
  /** Of the ConfigurationState `controller`; default `namespace`; without either none is written. */
  stateNamespace?: string | undefined;
  /** Of the Services that are ours; not given: those without a class (upstream: --lb-class). */
  loadBalancerClass?: string | undefined;
  /** Where several run, one works at a time. Not given: this is the only one. */
  leaderElection?: { namespace: string; name?: string; identity: string } | undefined;
  clock?: Clock | undefined;
  log: Pick<Logger, 'info' | 'warn' | 'debug' | 'error'>;
  signal?: AbortSignal | undefined;
}

/** The part of the load balancer that gives out addresses. */
export interface LoadBalancerController extends Running {
  /** Prometheus text by MetalLB's names; empty while another one leads. */
  metrics(): string;
  /** Services and pools are known and being worked on; false while another one leads. */
  readonly isWorking: boolean;
  /** Another one leads, and this one would take over. */
  readonly isStandby: boolean;
}

/**
 * Starts the controller: it gives Services of type LoadBalancer addresses of IPAddressPools, writes them into their
 * status, tells Events, and counts in the pools' status. Everything it knows is in the API: a restart changes nothing.
 * Resolves at once; kinds that are not served yet are waited for.
 */
export function startController(options: ControllerOptions): Promise<LoadBalancerController> {
  const { client, leaderElection, clock, log, signal } = options;
  if (!leaderElection) return Promise.resolve(new Controller(options));
  let leading: Controller | undefined;
  const election = startLeaderElection({
    client,
    namespace: leaderElection.namespace,
    name: leaderElection.name ?? 'metallb-controller',
    identity: leaderElection.identity,
    clock,
    log,
    signal,
    lead: async (until) => {
      leading = new Controller({ ...options, signal: until });
      await new Promise<void>((resolve) => {
        if (until.aborted) resolve();
        else until.addEventListener('abort', () => resolve(), { once: true });
      });
      await leading.stop();
      leading = undefined;
    },
  });
  return Promise.resolve({
    metrics: () => leading?.metrics() ?? '',
    get isWorking() {
      return leading?.isWorking ?? false;
    },
    get isStandby() {
      return !election.isLeader && election.leader !== '';
    },
    ...running(() => election.stop()),
  });
}

class Controller implements LoadBalancerController {
  isWorking = false;
  readonly isStandby = false;
  readonly #allocator = new Allocator();
  readonly #services: ServiceAllocation;
  readonly #pools: WatchedConfiguration;
  readonly #running: Running;

  constructor(options: ControllerOptions) {
    const { client, namespace, log, loadBalancerClass } = options;
    const clock = options.clock ?? systemClock;
    const stopping = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
    const events = eventRecorder({ client, component: 'metallb-controller', clock, log });
    const cluster = new InformerSet({ client, log, clock, signal });
    const objects = new InformerSet({ client, namespace, log, clock, signal });
    const common = { client, namespace, informers: objects, log, clock, signal };
    // Addresses depend on pools alone: a peer that is wrong keeps nobody waiting. Everything is judged to be told.
    this.#pools = watchConfiguration({ ...common, kinds: 'pools', log: undefined });
    const everything = watchConfiguration({ ...common, kinds: 'all', passwords: 'optional', events });
    const stateNamespace = options.stateNamespace ?? namespace;
    const state =
      stateNamespace === undefined
        ? undefined
        : reportConfigurationState({
            client,
            watch: everything,
            namespace: stateNamespace,
            part: 'controller',
            clock,
            log,
            signal,
          });
    const status = startPoolStatus({
      client,
      pools: objects.of(metallb.ipAddressPools),
      countsOf: (pool) => this.#allocator.countsOf(pool),
      clock,
      log,
      signal,
    });
    this.#services = new ServiceAllocation({
      client,
      allocator: this.#allocator,
      services: cluster.of(core.services),
      namespaces: cluster.of(core.namespaces),
      events,
      loadBalancerClass,
      onProcessed: () => this.#allocator.takeTouchedPools().forEach((pool) => status.changed(pool)),
      clock,
      log,
      signal,
    });
    cluster.synced().then(
      () => {
        const apply = (): void => {
          if (!this.#pools.config || signal.aborted) return;
          this.#services.setPools(this.#pools.config.pools);
          this.isWorking = true;
        };
        this.#pools.subscribe(apply);
        apply();
      },
      () => undefined,
    );
    this.#running = running(async () => {
      this.isWorking = false;
      stopping.abort(new Error('the load balancer’s controller is stopped'));
      await Promise.all([this.#services.stop(), status.stop(), state?.stop()]);
      await Promise.all([this.#pools.stop(), everything.stop()]);
      await Promise.all([events.stop(), cluster.stop(), objects.stop()]);
    });
  }

  metrics(): string {
    const pools = [...(this.#pools.config?.pools.keys() ?? [])].flatMap((name) => {
      const counts = this.#allocator.countsOf(name);
      return counts ? [[name, counts] as const] : [];
    });
    return controllerMetrics({
      pools,
      updates: this.#services.updates,
      updateErrors: this.#services.updateErrors,
      configLoaded: this.#pools.config !== undefined,
      configStale: this.#pools.problems.length > 0,
    });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }
}
