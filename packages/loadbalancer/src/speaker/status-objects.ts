import { createHash } from 'node:crypto';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { isAlreadyExists, isNotFound } from '@cloudless/kube/status';
import type { Node } from '@cloudless/kube/types/core-v1';
import { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { metallb, type ServiceBGPStatus, type ServiceL2Status } from '../config/kinds.ts';

/** Upstream: internal/k8s/controllers/values.go. */
export const statusLabels = {
  node: 'metallb.io/node',
  serviceName: 'metallb.io/service-name',
  serviceNamespace: 'metallb.io/service-namespace',
} as const;

export type StatusProtocol = 'layer2' | 'bgp';

/** What this node does for one Service; undefined: nothing, and the object goes. */
export type WantedStatus =
  | { interfaces: readonly string[] | 'any' }
  | { peers: readonly string[] }
  | undefined;

export interface StatusObjectsOptions {
  client: KubeClient;
  namespace: string;
  nodeName: string;
  /** The Node, for the owner reference: the objects go with it. */
  node(): Node | undefined;
  /** Asked when the object is written. */
  wanted(protocol: StatusProtocol, key: string): WantedStatus;
  clock: Clock;
  log: Logger;
}

/**
 * Keeps this node's ServiceL2Status and ServiceBGPStatus objects (upstream: internal/k8s/controllers/*_status_controller.go).
 * Written behind, tried again while the API is away. The new owner of an address removes what the old one wrote, since
 * that one may be dead.
 */
export class StatusObjects implements Running {
  readonly #options: StatusObjectsOptions;
  readonly #queue: WorkQueue;
  readonly #stopping = new AbortController();
  readonly #running: Running;

  constructor(options: StatusObjectsOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({ name: 'loadbalancer_status', clock: options.clock });
    const working = this.#work();
    this.#running = running(async () => {
      this.#stopping.abort(new Error('the speaker is stopped'));
      this.#queue.shutDown();
      await working;
    });
  }

  /** What is wanted of this Service may have changed. */
  touch(protocol: StatusProtocol, key: string): void {
    this.#queue.add(`${protocol} ${key}`);
  }

  /** Looks at every object of this node that an earlier run left. */
  async adopt(): Promise<void> {
    const { client, namespace, nodeName } = this.#options;
    const labelSelector = `${statusLabels.node}=${nodeName}`;
    const signal = this.#stopping.signal;
    for (const [protocol, kind] of kinds) {
      const { items } = await client.list<KubeObject>(kind, { namespace, labelSelector, signal });
      for (const { metadata } of items) this.touch(protocol, serviceKeyOf(metadata.labels ?? {}));
    }
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  async #work(): Promise<void> {
    for (;;) {
      const item = await this.#queue.get();
      if (item === undefined) return;
      const [protocol, key] = item.split(' ') as [StatusProtocol, string];
      try {
        await this.#write(protocol, key);
        this.#queue.forget(item);
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#options.log.debug({ err: error, service: key, protocol }, 'status not written; tried again');
        this.#queue.addRateLimited(item);
      } finally {
        this.#queue.done(item);
      }
    }
  }

  async #write(protocol: StatusProtocol, key: string): Promise<void> {
    const { client, namespace, nodeName } = this.#options;
    const signal = this.#stopping.signal;
    const kind = resourceOf(protocol);
    const name = nameOf(protocol, key, nodeName);
    const wanted = this.#options.wanted(protocol, key);
    if (!wanted) {
      await gone(client.delete(kind, name, { namespace, signal }));
      return;
    }
    if (protocol === 'layer2') await this.#removeOthers(kind, key, name);
    const object = this.#object(protocol, key, name, wanted);
    let current: KubeObject & { status?: unknown };
    try {
      current = await client.create<KubeObject>(kind, object, { namespace, signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      current = await client.get<KubeObject>(kind, name, { namespace, signal });
    }
    if (JSON.stringify(current.status) === JSON.stringify(object.status)) return;
    // The status is a subresource: what `create` took was everything but it.
    await client.patch<KubeObject>(
      kind,
      name,
      'merge',
      // A merge leaves what is not named.
      { status: protocol === 'layer2' ? { interfaces: null, ...object.status } : object.status },
      { namespace, subresource: 'status', signal },
    );
  }

  async #removeOthers(kind: Resource, key: string, own: string): Promise<void> {
    const { client, namespace } = this.#options;
    const signal = this.#stopping.signal;
    const [serviceNamespace, serviceName] = key.split('/');
    const labelSelector = `${statusLabels.serviceName}=${serviceName},${statusLabels.serviceNamespace}=${serviceNamespace}`;
    const { items } = await client.list(kind, { namespace, labelSelector, signal });
    for (const { metadata } of items)
      if (metadata.name !== own) await gone(client.delete(kind, metadata.name ?? '', { namespace, signal }));
  }

  #object(
    protocol: StatusProtocol,
    key: string,
    name: string,
    wanted: NonNullable<WantedStatus>,
  ): ServiceL2Status & ServiceBGPStatus {
    const { namespace, nodeName } = this.#options;
    const { group, version, kind } = resourceOf(protocol);
    const [serviceNamespace = '', serviceName = ''] = key.split('/');
    const node = this.#options.node();
    const said = { node: nodeName, serviceName, serviceNamespace };
    return {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: {
        name,
        namespace,
        labels: {
          [statusLabels.node]: nodeName,
          [statusLabels.serviceName]: serviceName,
          [statusLabels.serviceNamespace]: serviceNamespace,
        },
        ...(node?.metadata.uid === undefined
          ? {}
          : {
              ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.metadata.uid }],
            }),
      },
      status:
        'peers' in wanted
          ? { ...said, peers: [...wanted.peers].sort() }
          : wanted.interfaces === 'any'
            ? said
            : { ...said, interfaces: wanted.interfaces.map((one) => ({ name: one })) },
    };
  }
}

const kinds = [
  ['layer2', metallb.serviceL2Statuses],
  ['bgp', metallb.serviceBgpStatuses],
] as const;

const resourceOf = (protocol: StatusProtocol): Resource =>
  protocol === 'layer2' ? metallb.serviceL2Statuses : metallb.serviceBgpStatuses;

const serviceKeyOf = (labels: Record<string, string>): string =>
  `${labels[statusLabels.serviceNamespace] ?? ''}/${labels[statusLabels.serviceName] ?? ''}`;

/** The same at every start, so that a restarted speaker finds its own. */
function nameOf(protocol: StatusProtocol, key: string, nodeName: string): string {
  const digest = createHash('sha256').update(`${key} ${nodeName}`).digest('hex').slice(0, 12);
  return `${protocol === 'layer2' ? 'l2' : 'bgp'}-${digest}`;
}

async function gone(deletion: Promise<unknown>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
