import { existsSync } from 'node:fs';
import type { Logger } from '@cloudless/kube/logger';
import { type NftTable, type PartContent, tableFamily, tableName } from '../nft/table.ts';
import { type Attachment, AttachmentStore } from './attachments.ts';
import { hostInterfaceName, linkPod, unlinkPod } from './interface.ts';
import { PodRange, PodRangeExhaustedError } from './ipam.ts';
import { CniError, type CniRequest } from './server.ts';

const at = `${tableFamily} ${tableName}`;

export interface PodNetworkOptions {
  /** Folder of the attachments' files. */
  stateFolder: string;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  /** Blocks of every pod of the cluster: traffic to them keeps the pod's address. */
  clusterCidrs: readonly string[];
  mtu: number;
  table: NftTable;
  log: Logger;
}

/**
 * The pods of this node: addresses, links, host ports. Survives restarts of the agent through its files; DEL is
 * idempotent and needs neither the namespace nor the files.
 */
export class PodNetwork {
  readonly #options: PodNetworkOptions;
  readonly #store: AttachmentStore;
  #range: PodRange | undefined;

  constructor(options: PodNetworkOptions) {
    this.#options = options;
    this.#store = new AttachmentStore(options.stateFolder, options.bootId, (file, error) =>
      options.log.warn({ file, err: String(error) }, 'removed an unreadable record of a pod interface'),
    );
  }

  /** The gateway of this node's pods, once {@link setPodCidr} was called. */
  get gateway(): string | undefined {
    return this.#range?.gateway;
  }

  /** Gives the node its block. Addresses in use stay in use. */
  setPodCidr(cidr: string): void {
    if (this.#range?.cidr === cidr) return;
    const range = new PodRange(cidr);
    for (const attachment of this.#store.all()) range.reserve(attachment.ip);
    this.#range = range;
  }

  /** Removes what was left by pods whose network namespace is gone (the agent was down when they ended). */
  async sweep(): Promise<void> {
    for (const attachment of [...this.#store.all()])
      if (!existsSync(attachment.netns)) await this.remove(attachment.containerId, attachment.ifName);
  }

  async handle(request: CniRequest): Promise<unknown> {
    switch (request.command) {
      case 'ADD':
        return this.#add(request);
      case 'DEL':
        await this.remove(request.containerId, request.ifName);
        return undefined;
      case 'CHECK': {
        const known = this.#store.get(request.containerId, request.ifName);
        if (!known)
          throw new CniError(100, `container ${request.containerId} has no interface ${request.ifName}`);
        return undefined;
      }
    }
  }

  async #add(request: CniRequest): Promise<unknown> {
    const range = this.#range;
    if (!range) throw new CniError(11, 'this node has no pod CIDR yet: is the node IPAM controller running?');
    const earlier = this.#store.get(request.containerId, request.ifName);
    if (earlier) await this.remove(request.containerId, request.ifName);
    let ip: string;
    try {
      ip = range.allocate();
    } catch (error) {
      if (error instanceof PodRangeExhaustedError) throw new CniError(101, error.message, error);
      throw error;
    }
    const attachment: Attachment = {
      containerId: request.containerId,
      ifName: request.ifName,
      hostInterface: hostInterfaceName(request.containerId, request.ifName),
      ip,
      netns: request.netns,
      pod: request.pod,
      hostPorts: request.portMappings
        .filter((mapping) => mapping.hostPort > 0)
        .map((mapping) => ({
          hostPort: mapping.hostPort,
          containerPort: mapping.containerPort,
          protocol: mapping.protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp',
          hostIp: mapping.hostIP,
        })),
    };
    try {
      await this.#store.put(attachment);
      const { podMac, hostMac } = await linkPod({
        netns: request.netns,
        ifName: request.ifName,
        hostInterface: attachment.hostInterface,
        ip,
        gateway: range.gateway,
        mtu: this.#options.mtu,
      });
      this.#program('add', attachment);
      return {
        cniVersion: request.cniVersion,
        interfaces: [
          { name: attachment.hostInterface, mac: hostMac },
          { name: request.ifName, mac: podMac, sandbox: request.netns },
        ],
        ips: [{ address: `${ip}/32`, gateway: range.gateway, interface: 1 }],
        routes: [{ dst: '0.0.0.0/0', gw: range.gateway }],
        dns: {},
      };
    } catch (error) {
      await this.remove(request.containerId, request.ifName);
      throw error;
    }
  }

  /** Removes one interface and everything that belonged to it. Idempotent. */
  async remove(containerId: string, ifName: string): Promise<void> {
    const attachment = this.#store.get(containerId, ifName);
    await unlinkPod(attachment?.hostInterface ?? hostInterfaceName(containerId, ifName));
    if (!attachment) return;
    try {
      this.#program('delete', attachment);
    } catch (error) {
      // The table may be older than the pod; its next rebuild leaves the elements out.
      this.#options.log.debug({ err: String(error) }, 'elements of a removed pod were not in the table');
    }
    this.#store.delete(containerId, ifName);
    this.#range?.release(attachment.ip);
  }

  /** Removes every pod's interface; for `down`. */
  async removeAll(): Promise<void> {
    for (const attachment of [...this.#store.all()])
      await this.remove(attachment.containerId, attachment.ifName);
  }

  #program(verb: 'add' | 'delete', attachment: Attachment): void {
    const { ip } = attachment;
    this.#options.table.change('pods', `${verb} element ${at} pods-hairpin4 { ${ip} . ${ip} }`);
    const ports = hostPortElements(attachment, verb === 'add');
    if (ports.length > 0)
      this.#options.table.change('hostports', `${verb} element ${at} hostports-map4 { ${ports.join(', ')} }`);
  }

  /** The table's content for pods: hairpin and masquerade. */
  podsContent(): PartContent {
    const elements = [...this.#store.all()].map(
      ({ ip }) => `add element ${at} pods-hairpin4 { ${ip} . ${ip} }`,
    );
    const blocks = this.#options.clusterCidrs.filter((cidr) => !cidr.includes(':')).join(', ');
    return {
      part: 'pods',
      declarations: `  set pods-hairpin4 { typeof ip saddr . ip daddr; }
  set pods-cluster4 { type ipv4_addr; flags interval; auto-merge; elements = { ${blocks} }; }`,
      rules: {
        'pods-postrouting': [
          // A pod that reaches itself through a Service must see another address than its own.
          'ct status dnat ip saddr . ip daddr @pods-hairpin4 masquerade',
          // Outside the cluster nobody knows the way back to a pod.
          'ip saddr @pods-cluster4 ip daddr != @pods-cluster4 masquerade',
        ],
      },
      elements,
    };
  }

  /** The table's content for host ports. */
  hostPortsContent(): PartContent {
    const elements = [...this.#store.all()].flatMap((attachment) => {
      const ports = hostPortElements(attachment, true);
      return ports.length === 0 ? [] : [`add element ${at} hostports-map4 { ${ports.join(', ')} }`];
    });
    const rule = 'fib daddr type local dnat ip to meta l4proto . th dport map @hostports-map4';
    return {
      part: 'hostports',
      declarations: '  map hostports-map4 { typeof meta l4proto . th dport : ip daddr . th dport; }',
      rules: { 'hostports-prerouting': [rule], 'hostports-output': [rule] },
      elements,
    };
  }
}

function hostPortElements(attachment: Attachment, withTarget: boolean): string[] {
  return attachment.hostPorts.map(
    (port) =>
      `${port.protocol} . ${port.hostPort}${withTarget ? ` : ${attachment.ip} . ${port.containerPort}` : ''}`,
  );
}
