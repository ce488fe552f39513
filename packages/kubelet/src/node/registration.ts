import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';
import type { Node, NodeStatus } from '@cloudless/kube/types/core-v1';
import type { KubeletConfiguration } from '../config/configuration.ts';
import { type EventSink, nodeReference } from '../events.ts';
import { WakeLoop } from '../worker/wake-loop.ts';
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
  readonly #loop: WakeLoop;
  #resolveRegistered: () => void = () => undefined;
  #written: Node | undefined;
  #isRegistered = false;
  #tries = 0;
  /** Never in this life: the first report is due whatever the last one wrote. */
  #reportedAtMs = -Infinity;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.registered = new Promise((resolve) => (this.#resolveRegistered = resolve));
    this.#loop = new WakeLoop(options.clock, (signal) => this.#write(signal));
    this.#informer = startInformer({
      client: options.client,
      resource: core.nodes,
      fieldSelector: `metadata.name=${options.nodeName}`,
      clock: options.clock,
      log: options.log,
      signal: this.#loop.signal,
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
    this.#loop.wake();
  }

  async end(): Promise<void> {
    await this.#loop.stop();
    await this.#informer.stop();
  }

  /** After how many milliseconds it is due again. */
  async #write(signal: AbortSignal): Promise<number> {
    try {
      if (!this.#isRegistered) await this.#register();
      await this.#report();
      this.#resolveRegistered();
      this.#tries = 0;
      return this.#options.config.nodeStatusUpdateFrequencyMs;
    } catch (error) {
      const pauseMs = Math.min(firstRetryMs * 2 ** this.#tries++, longestRetryMs);
      if (signal.aborted) return pauseMs;
      const level = this.#tries === 5 ? 'warn' : 'debug';
      const message = 'node not written; will be tried again';
      this.#options.log[level]({ err: error, node: this.#options.nodeName }, message);
      return pauseMs;
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
        this.#written = await client.create(core.nodes, node, { signal: this.#loop.signal });
        this.#reportedAtMs = this.#options.clock.monotonicMs();
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        await this.#adopt();
      }
    } else {
      this.#written = await client.get(core.nodes, nodeName, { signal: this.#loop.signal });
    }
    this.#isRegistered = true;
    this.#options.onNode(this.#written!);
  }

  /** The node is in the API from an earlier run: its labels are brought up to date. */
  async #adopt(): Promise<void> {
    const { client, nodeName, labels } = this.#options;
    const present = await client.get(core.nodes, nodeName, { signal: this.#loop.signal });
    const missing = Object.entries(labels).filter(([key, value]) => present.metadata.labels?.[key] !== value);
    this.#written =
      missing.length === 0
        ? present
        : await client.patch(
            core.nodes,
            nodeName,
            'strategic',
            { metadata: { labels: Object.fromEntries(missing) } },
            { signal: this.#loop.signal },
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
      signal: this.#loop.signal,
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
