import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';
import type { Node, NodeStatus } from '@cloudless/kube/types/core-v1';
import type { KubeletConfiguration } from '../config/configuration.ts';
import { type EventSink, nodeReference } from '../events.ts';
import { fullNodeStatusPatch, newNode, nodeStatusPatch } from './status.ts';

export interface RegistrationOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  events: EventSink;
  nodeName: string;
  config: KubeletConfiguration;
  labels: Record<string, string>;
  /** The status at this moment; `before` is what the API has. */
  status(before: NodeStatus): Promise<NodeStatus>;
  /** The node's object changed, or was seen first. */
  onNode(node: Node): void;
}

export interface NodeRegistration extends Running {
  node(): Node | undefined;
  /** Something that the status shows has changed. */
  wake(): void;
  /** Resolves when the node is in the API, with its status as it is in this life of the kubelet. */
  readonly registered: Promise<void>;
}

const firstRetryMs = 100;
const longestRetryMs = 7000;

/**
 * Puts the node into the API and keeps its status there: at once when something changed, else every
 * `nodeStatusReportFrequency` (upstream: kubelet_node_status.go).
 */
export function startRegistration(options: RegistrationOptions): NodeRegistration {
  const registration = new Registration(options);
  return Object.assign(
    registration,
    running(() => registration.end()),
  );
}

class Registration {
  readonly registered: Promise<void>;
  readonly #options: RegistrationOptions;
  readonly #informer: Informer<Node>;
  readonly #stopped = new AbortController();
  #resolveRegistered: () => void = () => undefined;
  #written: Node | undefined;
  #loop: Promise<void> | undefined;
  #dirty = false;
  #isRegistered = false;
  #tries = 0;
  #timer: ClockTimer | undefined;
  /** Never in this life: the first report is due whatever the last one wrote. */
  #reportedAtMs = -Infinity;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.registered = new Promise((resolve) => (this.#resolveRegistered = resolve));
    this.#informer = startInformer({
      client: options.client,
      resource: core.nodes,
      fieldSelector: `metadata.name=${options.nodeName}`,
      clock: options.clock,
      log: options.log,
      signal: this.#stopped.signal,
    });
    this.#informer.addHandler({
      add: (node) => options.onNode(node),
      update: (node) => options.onNode(node),
      delete: () => {
        this.#isRegistered = false;
        this.#written = undefined;
        this.wake();
      },
    });
    this.wake();
  }

  node(): Node | undefined {
    const seen = this.#informer.store.list()[0];
    const written = this.#written;
    if (!written || !seen) return seen ?? written;
    return Number(written.metadata.resourceVersion) > Number(seen.metadata.resourceVersion) ? written : seen;
  }

  wake(): void {
    this.#dirty = true;
    if (this.#stopped.signal.aborted) return;
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      if (this.#dirty) this.wake();
    });
  }

  async end(): Promise<void> {
    this.#stopped.abort();
    this.#timer?.cancel();
    await this.#loop;
    await this.#informer.stop();
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#stopped.signal.aborted) {
      this.#dirty = false;
      this.#timer?.cancel();
      let pauseMs = this.#options.config.nodeStatusUpdateFrequencyMs;
      try {
        if (!this.#isRegistered) await this.#register();
        await this.#report();
        this.#resolveRegistered();
        this.#tries = 0;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        pauseMs = Math.min(firstRetryMs * 2 ** this.#tries++, longestRetryMs);
        const level = this.#tries === 5 ? 'warn' : 'debug';
        this.#options.log[level](
          { err: error, node: this.#options.nodeName },
          'node not written; will be tried again',
        );
      }
      this.#timer = this.#options.clock.setTimeout(() => this.wake(), pauseMs);
    }
  }

  async #register(): Promise<void> {
    const { client, nodeName, config, labels } = this.#options;
    if (config.registerNode) {
      const status = await this.#options.status({});
      const node = newNode({
        nodeName,
        labels,
        taints: config.registerWithTaints,
        providerID: config.providerID,
        status,
      });
      try {
        this.#written = await client.create(core.nodes, node, { signal: this.#stopped.signal });
        this.#reportedAtMs = this.#options.clock.monotonicMs();
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        await this.#adopt();
      }
    } else {
      this.#written = await client.get(core.nodes, nodeName, { signal: this.#stopped.signal });
    }
    this.#isRegistered = true;
    this.#options.onNode(this.#written!);
  }

  /** The node is in the API from an earlier run: its labels are brought up to date. */
  async #adopt(): Promise<void> {
    const { client, nodeName, labels } = this.#options;
    const present = await client.get(core.nodes, nodeName, { signal: this.#stopped.signal });
    const missing = Object.entries(labels).filter(([key, value]) => present.metadata.labels?.[key] !== value);
    this.#written =
      missing.length === 0
        ? present
        : await client.patch(
            core.nodes,
            nodeName,
            'strategic',
            { metadata: { labels: Object.fromEntries(missing) } },
            { signal: this.#stopped.signal },
          );
  }

  async #report(): Promise<void> {
    const { client, nodeName, clock, config } = this.#options;
    const stored = this.node();
    if (!stored) return;
    const before = stored.status ?? {};
    const wanted = await this.#options.status(before);
    const due = clock.monotonicMs() - this.#reportedAtMs >= config.nodeStatusReportFrequencyMs;
    const patch = due ? fullNodeStatusPatch(before, wanted) : nodeStatusPatch(before, wanted);
    if (!patch) return;
    this.#written = await client.patch(core.nodes, nodeName, 'strategic', patch, {
      subresource: 'status',
      signal: this.#stopped.signal,
    });
    this.#reportedAtMs = clock.monotonicMs();
    this.#tellReadiness(before, wanted);
  }

  #tellReadiness(before: NodeStatus, after: NodeStatus): void {
    const readyIn = (status: NodeStatus) => status.conditions?.find(({ type }) => type === 'Ready')?.status;
    const [was, is] = [readyIn(before), readyIn(after)];
    if (was === is || is === undefined) return;
    const reason = is === 'True' ? 'NodeReady' : 'NodeNotReady';
    const { nodeName } = this.#options;
    this.#options.events(
      nodeReference(nodeName),
      'Normal',
      reason,
      `Node ${nodeName} status is now: ${reason}`,
    );
  }
}
