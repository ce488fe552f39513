import { existsSync } from 'node:fs';
import type { Logger } from '@cloudless/kube/logger';
import { type NftTable, type PartContent, tableFamily, tableName } from '../nft/table.ts';
import { type Attachment, AttachmentStore } from './attachments.ts';
import { hostPortChange, hostPortContent, hostPortKey } from './host-ports.ts';
import {
  allowLoopbackAnswers,
  hostInterfaceName,
  linkPod,
  podWays,
  restoreWays,
  unlinkPod,
  whyNotLinked,
} from './interface.ts';
import { PodRange, PodRangeExhaustedError } from './ipam.ts';
import { cniCode, CniError, type CniRequest } from './request.ts';

const at = `${tableFamily} ${tableName}`;

export interface PodNetworkOptions {
  /** Folder of the attachments' files. */
  stateFolder: string;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  /** Blocks of every pod of the cluster: traffic to them keeps the pod's address. */
  clusterCidrs: readonly string[];
  mtu: number;
  table: Pick<NftTable, 'change'>;
  log: Logger;
}

/**
 * The pods of this node: addresses, links, host ports. Survives restarts of the agent through its files; DEL is
 * idempotent and needs neither the namespace nor the files.
 */
export class PodNetwork {
  readonly #options: PodNetworkOptions;
  readonly #store: AttachmentStore;
  /** Addresses by node-side interface of pods whose record was damaged: they keep them until they end. */
  readonly #unrecorded = new Map<string, string>();
  /** Whose host ports the table has. */
  #portsOf: Attachment[];
  #range: PodRange | undefined;

  constructor(options: PodNetworkOptions) {
    this.#options = options;
    this.#store = new AttachmentStore(options.stateFolder, options.bootId, (file, error) =>
      options.log.warn({ file, err: String(error) }, 'removed an unreadable record of a pod interface'),
    );
    this.#portsOf = this.#store.all();
  }

  /** The gateway of this node's pods, once {@link setPodCidr} was called. */
  get gateway(): string | undefined {
    return this.#range?.gateway;
  }

  /** Gives the node its block; false when it had it. Addresses in use stay in use, also those of an earlier block. */
  setPodCidr(cidr: string): boolean {
    if (this.#range?.cidr === cidr) return false;
    const range = new PodRange(cidr);
    for (const ip of this.#addresses()) range.reserve(ip);
    this.#range = range;
    return true;
  }

  *#addresses(): Iterable<string> {
    for (const attachment of this.#store.all()) yield attachment.ip;
    yield* this.#unrecorded.values();
  }

  /**
   * Compares the records with the kernel, once, before the first request: pods whose network namespace is gone
   * ended while the agent was away, and pods without a record keep their address.
   */
  async recover(): Promise<void> {
    for (const attachment of this.#store.all())
      if (!existsSync(attachment.netns)) await this.remove(attachment.containerId, attachment.ifName);
    const recorded = new Set(this.#store.all().map((attachment) => attachment.hostInterface));
    for (const { ip, hostInterface } of await podWays()) {
      if (recorded.has(hostInterface)) continue;
      this.#unrecorded.set(hostInterface, ip);
      this.#range?.reserve(ip);
    }
  }

  /** Gives pods back the routes that someone else removed. */
  async repair(): Promise<void> {
    const there = new Set((await podWays()).map((way) => `${way.ip} ${way.hostInterface}`));
    const missing = this.#store.all().filter(({ ip, hostInterface }) => !there.has(`${ip} ${hostInterface}`));
    if (missing.length > 0) await restoreWays(missing);
  }

  /** Does what the runtime asks for; the CNI result of ADD, undefined otherwise. Rejects with {@link CniError}. */
  handle(request: CniRequest): Promise<unknown> {
    switch (request.command) {
      case 'ADD':
        return this.#add(request);
      case 'DEL':
        return this.remove(request.containerId, request.ifName);
      case 'CHECK':
        return this.#check(request);
      default:
        throw new CniError(cniCode.invalidEnvironment, 'the command is not one of ADD, DEL and CHECK');
    }
  }

  async #check({ containerId, ifName }: CniRequest): Promise<void> {
    const known = this.#store.get(containerId, ifName);
    if (!known) throw new CniError(cniCode.notAsMade, `container ${containerId} has no interface ${ifName}`);
    const why = await whyNotLinked(known);
    if (why !== undefined) throw new CniError(cniCode.notAsMade, `pod ${known.pod}: ${why}`);
  }

  async #add(request: CniRequest): Promise<unknown> {
    const range = this.#range;
    if (!range)
      throw new CniError(
        cniCode.tryAgainLater,
        'this node has no pod CIDR yet: is the node IPAM controller running?',
      );
    if (this.#store.get(request.containerId, request.ifName))
      await this.remove(request.containerId, request.ifName);
    this.#refuseTakenPorts(request);
    const attachment: Attachment = {
      containerId: request.containerId,
      ifName: request.ifName,
      hostInterface: hostInterfaceName(request.containerId, request.ifName),
      ip: allocate(range),
      netns: request.netns,
      pod: request.pod,
      hostPorts: request.hostPorts,
    };
    const { hostInterface, ip } = attachment;
    try {
      await this.#store.put(attachment);
      const { podMac, hostMac } = await linkPod({
        ...attachment,
        gateway: range.gateway,
        mtu: this.#options.mtu,
      });
      this.#program('add', ip);
      if (attachment.hostPorts.length > 0) allowLoopbackAnswers(hostInterface);
      return {
        cniVersion: request.cniVersion,
        interfaces: [
          { name: hostInterface, mac: hostMac },
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

  /** The scheduler keeps such pods apart; static pods and clients that bind pods by themselves can still meet. */
  #refuseTakenPorts(request: CniRequest): void {
    for (const port of request.hostPorts) {
      const key = hostPortKey(port);
      for (const other of this.#store.all())
        if (
          other.pod !== request.pod &&
          other.hostPorts.some((taken) => hostPortKey(taken) === key) &&
          existsSync(other.netns)
        )
          throw new CniError(
            cniCode.hostPortTaken,
            `host port ${port.hostPort}/${port.protocol} of pod ${request.pod} is taken by pod ${other.pod} on this node`,
          );
    }
  }

  /** Removes one interface and everything that belonged to it. Idempotent. */
  async remove(containerId: string, ifName: string): Promise<void> {
    const attachment = this.#store.get(containerId, ifName);
    const hostInterface = attachment?.hostInterface ?? hostInterfaceName(containerId, ifName);
    await unlinkPod(hostInterface);
    const unrecorded = this.#unrecorded.get(hostInterface);
    if (unrecorded !== undefined) {
      this.#unrecorded.delete(hostInterface);
      this.#range?.release(unrecorded);
    }
    // Another call for the same container may have been faster, and its address be another pod's already.
    if (!attachment || this.#store.get(containerId, ifName) !== attachment) return;
    this.#store.delete(containerId, ifName);
    this.#range?.release(attachment.ip);
    try {
      this.#program('delete', attachment.ip);
    } catch (error) {
      // The table may be older than the pod; its next build leaves the elements out.
      this.#options.log.debug({ err: String(error) }, 'elements of a removed pod were not in the table');
    }
  }

  /** Removes every pod's interface; for `down`. */
  async removeAll(): Promise<void> {
    for (const attachment of this.#store.all()) await this.remove(attachment.containerId, attachment.ifName);
    for (const { hostInterface } of await podWays()) await unlinkPod(hostInterface);
  }

  #program(verb: 'add' | 'delete', ip: string): void {
    const { table } = this.#options;
    table.change('pods', `${verb} element ${at} pods-hairpin4 { ${ip} . ${ip} }`);
    const next = this.#store.all();
    const ports = hostPortChange(this.#portsOf, next);
    this.#portsOf = next;
    if (ports !== '') table.change('hostports', ports);
  }

  /** The table's content for pods: hairpin and masquerade. */
  podsContent(): PartContent {
    const elements = [...new Set(this.#addresses())].map(
      (ip) => `add element ${at} pods-hairpin4 { ${ip} . ${ip} }`,
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
    this.#portsOf = this.#store.all();
    return hostPortContent(this.#portsOf);
  }
}

function allocate(range: PodRange): string {
  try {
    return range.allocate();
  } catch (error) {
    if (error instanceof PodRangeExhaustedError)
      throw new CniError(cniCode.rangeExhausted, error.message, error);
    throw error;
  }
}
