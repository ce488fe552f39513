import { mkdir, rmdir } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { startInformer } from '@cloudless/kube/informer/informer';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { core, node as nodeGroup } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { rejectionOf } from '../admit/admission.ts';
import { noCgroups, podCgroups } from '../cgroup/pod-cgroups.ts';
import type { KubeletConfiguration } from '../config/configuration.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { type EventSink, nodeReference } from '../events.ts';
import { watchLogs } from '../logs/watch.ts';
import { type Machine, readMachine, readPressure } from '../node/machine.ts';
import { nodeAmounts } from '../node/resources.ts';
import { type RuntimeHealth, watchRuntimeHealth } from '../node/runtime-health.ts';
import { PodTokens } from '../objects/tokens.ts';
import { SingleObjectWatches } from '../objects/watches.ts';
import { realHandlers, simulatedHandlers } from '../probe/handlers.ts';
import { Images } from '../pull/images.ts';
import { amountOf } from '../resources/amounts.ts';
import { RuntimeView } from '../runtime/view.ts';
import { StatusWriter } from '../status/writer.ts';
import { kernelMounts, noMounts } from '../volumes/mounts.ts';
import { diskVolumes, type PodVolumes } from '../volumes/pod-volumes.ts';
import { podsFolder } from '../volumes/layout.ts';
import { simulatedVolumes } from '../simulated/volumes.ts';
import type { WorkerServices } from '../worker/services.ts';
import { endOrphans, type HousekeepingOptions, removeLeftovers } from './housekeeping.ts';
import { type KubeletMetrics, kubeletMetrics } from './metrics.ts';
import { nodeFacts } from './node-facts.ts';
import { type NodePresence, startNodePresence } from './node-presence.ts';
import { PodSet } from './pod-set.ts';
import { PodSources } from './pod-sources.ts';
import { type RuntimeWatch, watchRuntime } from './runtime-events.ts';

export interface KubeletOptions {
  context: NodeContext;
  /** As `system:node:NAME`. */
  client: KubeClient;
  cri: CriRuntime;
  config: KubeletConfiguration;
  /** Addresses of this node, the primary one first. */
  nodeIps: readonly string[];
  /** Instead of the configuration's. */
  clusterDns?: readonly string[] | undefined;
  clusterDomain?: string | undefined;
  /** Labels to register with, besides the usual ones. */
  labels?: Record<string, string> | undefined;
  /** Taints to register with, besides the configuration's. */
  taints?: KubeletConfiguration['registerWithTaints'] | undefined;
  /** With it, the node's Lease is renewed by a thread of its own; else by `client`. */
  kubeconfig?: string | undefined;
  /** What the node has, in place of what this machine has: then nothing of the machine is read and no folder made. */
  machine?: (Machine & { diskBytes: number }) | undefined;
  /** No files, mounts or cgroups, and probes that always succeed: for {@link simulatedRuntime}. */
  simulated?: boolean | undefined;
  signal?: AbortSignal | undefined;
  log: Logger;
}

/** A running kubelet. `stop()` leaves its pods running. */
export interface Kubelet extends Running {
  /** Every pod of this node with its newest status; a static pod with its own uid, by which the runtime knows it. */
  readonly pods: { list(): readonly Pod[]; find(namespace: string, name: string): Pod | undefined };
  /** Resolves when the node's object is in the API. */
  readonly registered: Promise<void>;
  /** What is wrong, in a sentence; undefined when all is well. */
  unhealthy(): string | undefined;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /**
   * Ends every pod on this node and removes what was made for them; the API keeps its objects. Critical pods end
   * last. Each pod gets its own grace, at most `graceSeconds` (default: the configuration's shutdown grace, or 30).
   * The kubelet is stopped afterwards.
   */
  terminateAll(options?: { graceSeconds?: number }): Promise<void>;
}

const component = 'kubelet';
const leftoversEveryMs = 60_000;
const relistStaleMs = 180_000;
const defaultTerminateSeconds = 30;

/**
 * Starts the kubelet on one node: pods of the API and of the static pod folder run in the runtime, their status
 * and the node's go to the API. Resolves once static pods are being started; the API need not be up.
 */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const kubelet = await new KubeletProcess(options).start();
  options.signal?.addEventListener('abort', () => void kubelet.stop(), { once: true });
  return kubelet;
}

class KubeletProcess {
  readonly #options: KubeletOptions;
  readonly #parts: Running[] = [];
  readonly #events: EventSink;
  readonly #view: RuntimeView;
  readonly #statuses: StatusWriter;
  readonly #objects: SingleObjectWatches;
  readonly #tokens: PodTokens;
  readonly #adopted = new Set<string>();
  #pods!: PodSet;
  #sources!: PodSources;
  #stopping = false;
  /** The node goes down: nobody is told any more. */
  #silent = false;
  #node!: NodePresence;
  #health!: RuntimeHealth;
  #watch!: RuntimeWatch;
  #housekeeping!: HousekeepingOptions;
  #metrics!: KubeletMetrics;
  #leftoversAtMs = -Infinity;

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { client, log, context } = options;
    const { clock } = context;
    const recorder = eventRecorder({ client, component, host: context.nodeName, clock, log });
    this.#parts.push(recorder);
    this.#events = (about, type, reason, message) => {
      if (!this.#silent) recorder.event(about, type, reason, message);
    };
    this.#view = new RuntimeView(options.cri);
    this.#objects = new SingleObjectWatches({ client, clock, log });
    this.#tokens = new PodTokens({ client, clock });
    this.#statuses = new StatusWriter({ client, clock, log, stored: (pod) => this.#sources.stored(pod) });
  }

  async start(): Promise<Kubelet> {
    const { cri, context, config } = this.#options;
    const machine = this.#options.machine ?? (await machineOf(context));
    const amounts = nodeAmounts(machine, config, machine.diskBytes);
    const version = await cri.version({});
    this.#health = await watchRuntimeHealth({
      cri,
      clock: context.clock,
      onChange: () => this.#healthChanged(),
    });
    const services = await this.#workerServices(machine, amounts.allocatable, version.runtimeName);
    this.#pods = new PodSet({
      services,
      onGone: () => this.#sources.wakeMirrors(),
      reject: (pod, taken) =>
        rejectionOf(pod, {
          node: this.#node.node(),
          allocatable: services.node.allocatable(),
          taken,
          appArmor: machine.appArmor,
          allowedUnsafeSysctls: config.allowedUnsafeSysctls,
        }),
    });
    this.#metrics = kubeletMetrics({ nodeName: context.nodeName, pods: this.#pods, view: this.#view });
    this.#housekeeping = {
      pods: this.#pods,
      view: this.#view,
      volumes: services.volumes,
      cgroups: services.cgroups,
      podLogs: context.paths.podLogs,
      log: this.#options.log,
    };
    await this.#adopt();
    this.#sources = new PodSources({
      kubelet: this.#options,
      pods: this.#pods,
      events: this.#events,
      node: () => this.#node.node(),
      reconcileStatus: (uid) => this.#statuses.reconcile(uid),
      onSynced: () => this.#housekeep(),
    });
    this.#node = startNodePresence({
      kubelet: this.#options,
      machine,
      amounts,
      runtimeVersion: `${version.runtimeName}://${version.runtimeVersion}`,
      health: this.#health,
      events: this.#events,
      onNode: () => this.#sources.wakeMirrors(),
    });
    this.#watch = watchRuntime({
      cri,
      view: this.#view,
      clock: context.clock,
      log: this.#options.log,
      wake: (uid) => this.#pods.get(uid)?.wake(),
      afterRelist: () => this.#housekeep(),
    });
    this.#startLogs();
    await this.#sources.startStatic();
    // Pods of the API run once Services are known, whose variables they get.
    void this.#servicesSynced.then(
      () => (this.#stopping ? undefined : this.#sources.startApi()),
      () => undefined,
    );
    void this.#node.registered.then(() => {
      this.#events(nodeReference(context.nodeName), 'Normal', 'Starting', 'Starting kubelet.');
    });
    return this.#handle(services);
  }

  async #workerServices(
    machine: Machine,
    allocatable: Record<string, string>,
    runtimeName: string,
  ): Promise<WorkerServices> {
    const { context, cri, config, client, log } = this.#options;
    const simulated = this.#options.simulated === true;
    const { paths, clock } = context;
    const mounts = simulated ? noMounts : kernelMounts;
    return {
      cri,
      view: this.#view,
      clock,
      log,
      events: this.#events,
      node: nodeFacts({
        nodeName: context.nodeName,
        runtimeName,
        nodeIps: this.#options.nodeIps,
        clusterDns: this.#options.clusterDns ?? config.clusterDNS,
        clusterDomain: this.#options.clusterDomain ?? config.clusterDomain,
        memoryBytes: machine.memoryBytes,
        allocatable,
        config,
        networkProblem: () => this.#health.networkProblem(),
      }),
      objects: this.#objects,
      tokens: this.#tokens,
      volumes: simulated ? simulatedVolumes(this.#objects) : this.#diskVolumes(mounts),
      mounts,
      cgroups: simulated
        ? noCgroups
        : await podCgroups({
            driver: config.cgroupDriver,
            root: cgroupRootOf(context, config),
            podPidsLimit: config.podPidsLimit,
          }),
      images: new Images({ cri, clock, serializePulls: config.serializeImagePulls }),
      probeHandlers: simulated ? simulatedHandlers(cri) : realHandlers(cri),
      statuses: this.#statuses,
      security: {
        seccompRoot: join(paths.kubelet, 'seccomp'),
        seccompDefault: config.seccompDefault,
        appArmor: machine.appArmor,
      },
      paths: { kubelet: paths.kubelet, podLogs: paths.podLogs, containerLogs: paths.containerLogs },
      simulated,
      services: this.#startServices(client),
      runtimeHandler: async ({ spec }) => {
        if (!spec?.runtimeClassName) return '';
        return (await client.get(nodeGroup.runtimeclasses, spec.runtimeClassName)).handler;
      },
      adopted: (id) => this.#adopted.has(id),
    };
  }

  #diskVolumes(mounts: typeof kernelMounts): PodVolumes {
    const { client, context } = this.#options;
    const absent = (error: unknown): undefined => {
      if (isNotFound(error)) return undefined;
      throw error;
    };
    return diskVolumes({
      kubeletRoot: context.paths.kubelet,
      mounts,
      claims: {
        claim: (namespace, name) =>
          client.get(core.persistentvolumeclaims, name, { namespace }).catch(absent),
        volume: (name) => client.get(core.persistentvolumes, name).catch(absent),
      },
    });
  }

  #startServices(client: KubeClient): WorkerServices['services'] {
    const { clock } = this.#options.context;
    const informer = startInformer({ client, resource: core.services, clock, log: this.#options.log });
    this.#parts.push(informer);
    this.#servicesSynced = informer.synced;
    return () => informer.store.list();
  }
  #servicesSynced: Promise<void> = Promise.resolve();

  /** Notes what runs already: it is kept, and counts as started and ready. */
  async #adopt(): Promise<void> {
    await this.#view.relist().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the runtime cannot be listed yet');
    });
    for (const uid of this.#view.uids()) {
      for (const container of this.#view.pod(uid)?.containers ?? []) {
        if (container.state === 'running') this.#adopted.add(container.id);
      }
    }
  }

  #startLogs(): void {
    const { cri, context, config, log, simulated } = this.#options;
    if (simulated) return;
    const limits = { maxBytes: amountOf(config.containerLogMaxSize), maxFiles: config.containerLogMaxFiles };
    this.#parts.push(
      watchLogs({ cri, view: this.#view, clock: context.clock, log, podLogs: context.paths.podLogs, limits }),
    );
  }

  #healthChanged(): void {
    this.#node?.wake();
    for (const worker of this.#pods?.all() ?? []) worker.wake();
  }

  /** After every listing, once all sources have spoken. */
  #housekeep(): void {
    if (!this.#sources?.synced) return;
    endOrphans(this.#housekeeping);
    const nowMs = this.#options.context.clock.monotonicMs();
    if (nowMs - this.#leftoversAtMs < leftoversEveryMs) return;
    this.#leftoversAtMs = nowMs;
    void removeLeftovers(this.#housekeeping).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'leftovers of ended pods not removed');
    });
  }

  #list(): Pod[] {
    return this.#pods.all().map(({ pod, status }) => (status ? { ...pod, status } : pod));
  }

  #unhealthy(): string | undefined {
    const silentMs = this.#options.context.clock.monotonicMs() - this.#watch.lastRelistAtMs();
    if (silentMs > relistStaleMs) return `the runtime was last listed ${Math.round(silentMs / 1000)} s ago`;
    return undefined;
  }

  #handle(services: WorkerServices): Kubelet {
    const stop = running(() => this.#stop());
    return {
      pods: {
        list: () => this.#list(),
        find: (namespace, name) =>
          this.#list().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
      },
      registered: this.#node.registered,
      unhealthy: () => this.#unhealthy(),
      metrics: () => this.#metrics.text(),
      terminateAll: async (limits = {}) => {
        await this.#terminateAll(services, limits.graceSeconds);
        await stop.stop();
      },
      ...stop,
    };
  }

  async #terminateAll(services: WorkerServices, asked: number | undefined): Promise<void> {
    const { config, context } = this.#options;
    const wholeSeconds =
      asked ??
      (config.shutdownGracePeriodMs > 0 ? config.shutdownGracePeriodMs / 1000 : defaultTerminateSeconds);
    const criticalSeconds = Math.min(
      config.shutdownGracePeriodCriticalPodsMs / 1000 || wholeSeconds,
      wholeSeconds,
    );
    const ordinarySeconds =
      config.shutdownGracePeriodCriticalPodsMs > 0
        ? Math.max(1, wholeSeconds - criticalSeconds)
        : wholeSeconds;
    this.#stopping = true;
    await this.#sources.stop();
    await this.#view.relist().catch(() => undefined);
    endOrphans(this.#housekeeping);
    this.#silent = true;
    await this.#pods.takeDown({ ordinarySeconds, criticalSeconds });
    await removeLeftovers(this.#housekeeping);
    await services.cgroups.removeRoots();
    await rmdir(podsFolder(context.paths.kubelet)).catch(() => undefined);
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    await this.#pods.halt();
    await this.#sources.stop();
    await this.#watch.stop();
    await this.#statuses.stop();
    await this.#node.stop();
    await this.#health.stop();
    await this.#objects.stop();
    await Promise.all(this.#parts.map((part) => part.stop()));
  }
}

/** This machine, and the disk that pods write to. */
async function machineOf({ paths }: NodeContext): Promise<Machine & { diskBytes: number }> {
  await mkdir(paths.kubelet, { recursive: true, mode: 0o750 });
  const [machine, { diskBytes }] = await Promise.all([readMachine(), readPressure(paths.kubelet)]);
  return { ...machine, diskBytes };
}

/** The cgroup above `kubepods`: the configuration's, or one of its own for a node that is not the whole machine. */
export function cgroupRootOf(context: NodeContext, config: KubeletConfiguration): string[] {
  const asked = config.cgroupRoot.split('/').filter((part) => part !== '');
  if (asked.length > 0 || config.cgroupRoot === '/') return asked;
  if (context.root === '/') return [];
  return [`cloudless${createHash('sha256').update(context.root).digest('hex').slice(0, 8)}`];
}
