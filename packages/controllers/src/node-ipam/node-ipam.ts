import type { KubeClient } from '@cloudless/kube/client/client';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import type { Node } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { type Cidr, CidrSet, formatCidr, overlap, parseCidr } from './cidr-set.ts';

const workers = 5;

export interface NodeIpamOptions {
  /** Networks for pods: one, or one of each family; the first is the primary. */
  clusterCidrs: readonly string[];
  /** Size of a node's part of each; default 24 and 64. */
  nodeCidrMaskSize?: number | undefined;
  nodeCidrMaskSizeIPv6?: number | undefined;
  /** Networks of Services: no pod gets their addresses. */
  serviceCidrs?: readonly string[] | undefined;
}

/** Gives each node its part of the pod network (upstream: pkg/controller/nodeipam, the range allocator). */
export function startNodeIpamController(context: ControllerContext, options: NodeIpamOptions): Controller {
  const client = context.clientFor('node-controller');
  const events = recorderFor(context, 'cidrAllocator', client);
  const nodes = context.informers.of(core.nodes);
  const allocator = new RangeAllocator(client, events, nodes, cidrSets(options));
  return startQueue(
    context,
    {
      name: 'cidrallocator_node',
      workers,
      waitFor: [nodes],
      sync: (key, signal) => allocator.sync(key, signal),
      owns: [events],
    },
    (queue) => allocator.wire(queue),
  );
}

function cidrSets(options: NodeIpamOptions): CidrSet[] {
  const services = (options.serviceCidrs ?? []).map(parseCidr);
  return options.clusterCidrs.map((text) => {
    const cluster = parseCidr(text);
    const size =
      cluster.bits === 32 ? (options.nodeCidrMaskSize ?? 24) : (options.nodeCidrMaskSizeIPv6 ?? 64);
    const set = new CidrSet(cluster, Math.max(size, cluster.prefix));
    for (const service of services) if (overlap(service, cluster)) set.occupy(service);
    return set;
  });
}

class RangeAllocator {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #nodes: Informer<Node>;
  readonly #sets: readonly CidrSet[];
  /** What each node has, or is about to be given: its copy may be older than our own write. */
  readonly #held = new Map<string, { uid: string; cidrs: Cidr[] }>();

  constructor(client: KubeClient, events: EventRecorder, nodes: Informer<Node>, sets: readonly CidrSet[]) {
    this.#client = client;
    this.#events = events;
    this.#nodes = nodes;
    this.#sets = sets;
  }

  wire(queue: WorkQueue): void {
    // What nodes have is taken as it is seen, before the first allocation: after a restart nobody's is given twice.
    const seen = (node: Node): void => {
      this.#occupy(node);
      queue.add(keyOf(node));
    };
    this.#nodes.addHandler({
      add: seen,
      update: (node) => {
        if ((node.spec?.podCIDRs ?? []).length === 0 || !this.#held.has(keyOf(node))) seen(node);
      },
      delete: (node) => this.#release(node),
    });
  }

  #occupy(node: Node): void {
    const texts = node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : []);
    if (texts.length === 0) return;
    const cidrs = texts.map(parseCidr);
    this.#held.set(keyOf(node), { uid: node.metadata.uid ?? '', cidrs });
    for (const cidr of cidrs) for (const set of this.#sets) set.occupy(cidr);
  }

  #release(node: Node): void {
    const held = this.#held.get(keyOf(node));
    if (!held) return;
    this.#held.delete(keyOf(node));
    this.#free(held.cidrs);
  }

  #free(cidrs: readonly Cidr[]): void {
    for (const cidr of cidrs) for (const set of this.#sets) if (set.holds(cidr)) set.release(cidr);
  }

  async sync(name: string, signal: AbortSignal): Promise<void> {
    const node = this.#nodes.store.get(name);
    if (!node || (node.spec?.podCIDRs ?? []).length > 0 || node.spec?.podCIDR) return;
    const held = this.#held.get(name);
    if (held && held.uid === node.metadata.uid) {
      // Given already; the write may have failed.
      await this.#write(node, held.cidrs, signal);
      return;
    }
    const cidrs: Cidr[] = [];
    for (const set of this.#sets) {
      const cidr = set.allocate();
      if (!cidr) {
        this.#free(cidrs);
        this.#exhausted(node, set);
      }
      cidrs.push(cidr);
    }
    this.#held.set(name, { uid: node.metadata.uid ?? '', cidrs });
    await this.#write(node, cidrs, signal);
  }

  #exhausted(node: Node, set: CidrSet): never {
    const name = node.metadata.name ?? '';
    this.#events.event(
      { kind: 'Node', apiVersion: 'v1', name, uid: node.metadata.uid ?? '' },
      'Normal',
      'CIDRNotAvailable',
      `Node ${name} status is now: CIDRNotAvailable`,
    );
    throw new Error(
      `node ${name} gets no pod CIDR: every part of ${formatCidr(set.cluster)} is taken; remove nodes that are gone, or use a larger cluster CIDR`,
    );
  }

  async #write(node: Node, cidrs: readonly Cidr[], signal: AbortSignal): Promise<void> {
    const podCIDRs = cidrs.map(formatCidr);
    const name = node.metadata.name ?? '';
    // Bound to the node's identity: a new node of the same name gets its own.
    const patch = { metadata: { uid: node.metadata.uid }, spec: { podCIDR: podCIDRs[0], podCIDRs } };
    try {
      await this.#client.patch(core.nodes, name, 'merge', patch, { signal });
    } catch (error) {
      if (isNotFound(error)) return;
      // Perhaps it was written and only the answer is lost; perhaps somebody else gave it another.
      const live = await this.#client.get(core.nodes, name, { signal });
      if (live.metadata.uid !== node.metadata.uid) return;
      const current = live.spec?.podCIDRs ?? [];
      if (current.join() === podCIDRs.join()) return;
      if (current.length > 0) {
        this.#free(cidrs);
        this.#occupy(live);
        return;
      }
      throw error;
    }
  }
}
