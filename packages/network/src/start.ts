import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { startInformer } from '@cloudless/kube/informer/informer';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { core } from '@cloudless/kube/resources';
import type { Node } from '@cloudless/kube/types/core-v1';
import { installPlugins, placeFile, removeCniConfig, removePlugins, writeCniConfig } from './cni/install.ts';
import { parseIpv4Block } from './cni/ipam.ts';
import { PodNetwork } from './cni/pod-network.ts';
import { startCniServer } from './cni/server.ts';
import { keepTable, type TableKeeper } from './nft/keeper.ts';
import { openNft } from './nft/libnftables.ts';
import { openTable, tableFamily, tableName } from './nft/table.ts';
import { removeAnchor, setUpAnchor, uplinkMtu } from './node/anchor.ts';
import { enableForwarding, restoreForwarding, UplinkTuning } from './node/forwarding.ts';
import { startSettling } from './node/settle.ts';
import { nodeViewOf } from './node/view.ts';
import { PodRoutes, routesOf } from './routes/routes.ts';
import { contentWithClients } from './services/affinity.ts';
import { canonicalIp } from './services/ip.ts';
import type { NodeView } from './services/model.ts';
import { ServiceProgram } from './services/program.ts';
import { watchServices } from './services/watch.ts';

export interface NetworkOptions {
  context: NodeContext;
  client: KubeClient;
  /** This node's IPv4 address. */
  nodeIp: string;
  /** Blocks of all pods. */
  clusterCidrs: readonly string[];
  serviceCidrs: readonly string[];
  log: Logger;
}

export interface Network extends Running {
  /** Resolves when pods can be attached: the node has its block and containerd knows the plugin. */
  readonly ready: Promise<void>;
  /** Resolves when the kernel's Services and routes are those of the API. */
  readonly synced: Promise<void>;
  /** Takes everything out of the kernel and off the disk that this package put there. Implies `stop`. */
  remove(): Promise<void>;
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const forwardingMemory = (context: NodeContext): string => join(context.paths.cniState, 'ip_forward.before');
const attachmentsFolder = (context: NodeContext): string => join(context.paths.cniState, 'attachments');
const podCidrFile = (context: NodeContext): string => join(context.paths.cniState, 'pod-cidr');

/** Starts the network of this node. Throws when the kernel or a program it needs is missing; nothing runs then. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const parts: Running[] = [];
  const stopParts = async (): Promise<void> => {
    for (const part of parts.reverse()) await part.stop();
  };
  try {
    return await start(options, parts, stopParts);
  } catch (error) {
    await stopParts();
    throw error;
  }
}

async function start(
  options: NetworkOptions,
  parts: Running[],
  stopParts: () => Promise<void>,
): Promise<Network> {
  const { context, client, log } = options;
  const { clock } = context;
  mkdirSync(context.paths.cniState, { recursive: true, mode: 0o700 });
  const nft = openNft();
  const program = new ServiceProgram(options);
  const table: TableKeeper = keepTable({
    table: openTable(nft),
    content: () => [contentWithClients(table, program), pods.podsContent(), pods.hostPortsContent()],
    log,
    clock,
  });
  parts.push(table);
  const pods = new PodNetwork({
    stateFolder: attachmentsFolder(context),
    bootId: bootId(),
    clusterCidrs: options.clusterCidrs,
    mtu: await uplinkMtu(options.nodeIp),
    table,
    log,
  });
  enableForwarding(forwardingMemory(context), bootId());
  await pods.recover();
  // A table of an earlier agent goes on serving until the API has told what it should be.
  if (!nft.hasTable(tableFamily, tableName)) table.rebuild();
  installPlugins(context);
  const handle = pods.handle.bind(pods);
  parts.push(await startCniServer({ socketPath: context.paths.cniSocket, handle, log }));

  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  // With the API away, pods of a rebooted node still get their addresses from the block it had.
  let podCidr = rememberedCidr(context, log);
  let nodeList: Iterable<Node> | undefined;
  const routes = new PodRoutes(log);
  const uplinks = new UplinkTuning(forwardingMemory(context), bootId(), log);
  const settling = startSettling({
    clock,
    log,
    async settle() {
      if (podCidr !== undefined) {
        await usePodCidr(podCidr, pods, options);
        ready.resolve();
      }
      await uplinks.apply();
      await pods.repair();
      await routes.load();
      if (nodeList) await routes.apply(routesOf(nodeList, context.nodeName, options.clusterCidrs));
    },
  });
  parts.push(settling);
  await settling.ask();

  const nodes = startInformer({ client, resource: core.nodes, log });
  parts.push(nodes);
  let seen = '';
  let view = viewOf(options, []);
  const followAddresses = (all: Iterable<Node>): void => {
    const next = viewOf(options, all);
    if (textOf(next) === textOf(view)) return;
    view = next;
    services.setNode(view);
  };
  const followNodes = (): Promise<void> | undefined => {
    if (!nodes.hasSynced) return undefined;
    nodeList = nodes.store.list();
    podCidr = ownCidr(nodes.store.get(context.nodeName), log) ?? podCidr;
    followAddresses(nodeList);
    // Nodes report their status every few seconds: only what decides about addresses and routes counts.
    const now = JSON.stringify([podCidr, routesOf(nodeList, context.nodeName, options.clusterCidrs)]);
    if (now === seen) return undefined;
    seen = now;
    return settling.ask();
  };
  const touch = (): void => void followNodes();
  const recorder = eventRecorder({
    client,
    component: 'cloudless-network',
    host: context.nodeName,
    clock,
    log,
  });
  parts.push(recorder);
  const services = watchServices({ client, node: view, program, table, recorder, clock, log });
  parts.push(services);
  nodes.addHandler({ add: touch, update: touch, delete: touch });
  const synced = Promise.all([services.synced, nodes.synced]).then(async () => {
    followAddresses(nodes.store.list());
    services.goLive();
    await followNodes();
  });
  synced.catch(() => {});

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= stopParts().then(() => {
      nft.close();
      ready.reject(new Error('the network was stopped before it was ready'));
    }));
  return {
    ready: ready.promise,
    synced,
    stop,
    [Symbol.asyncDispose]: stop,
    async remove() {
      await stop();
      await removeNetwork(context);
    },
  };
}

function viewOf(options: NetworkOptions, nodes: Iterable<Node>): NodeView {
  const assigned = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return nodeViewOf({
    name: options.context.nodeName,
    nodeIp: options.nodeIp,
    nodes,
    assigned: new Set(assigned.flatMap(({ address }) => canonicalIp(address) ?? [])),
  });
}

const textOf = ({ addresses, addressesOfNodes }: NodeView): string =>
  JSON.stringify([addresses, [...addressesOfNodes].sort()]);

/** The first IPv4 block of a Node. */
function ownCidr(node: Node | undefined, log: Logger): string | undefined {
  const blocks = node?.spec?.podCIDRs ?? (node?.spec?.podCIDR ? [node.spec.podCIDR] : []);
  const found = blocks.find((block) => !block.includes(':'));
  if (found === undefined && blocks.length > 0)
    log.warn({ blocks }, 'this node has only IPv6 pod CIDRs; pods need an IPv4 block');
  return found;
}

/** The block that this node had last; undefined when it had none, or the file is damaged. */
function rememberedCidr(context: NodeContext, log: Logger): string | undefined {
  const path = podCidrFile(context);
  if (!existsSync(path)) return undefined;
  const text = readFileSync(path, 'utf8').trim();
  try {
    parseIpv4Block(text);
    return text;
  } catch (error) {
    log.warn({ path, err: String(error) }, 'removed a damaged file; the block comes from the API');
    rmSync(path, { force: true });
    return undefined;
  }
}

/** Makes `cidr` the block of this node's pods. Idempotent; pods with addresses of another block keep them. */
async function usePodCidr(cidr: string, pods: PodNetwork, options: NetworkOptions): Promise<void> {
  const { context, log } = options;
  if (pods.setPodCidr(cidr)) log.info({ podCidr: cidr }, 'addresses for pods');
  await setUpAnchor({
    gateway: pods.gateway as string,
    serviceCidrs: options.serviceCidrs,
    nodeIp: options.nodeIp,
  });
  placeFile(podCidrFile(context), cidr, 0o600);
  writeCniConfig(context);
}

/**
 * Takes out of the kernel and off the disk whatever {@link startNetwork} put there on this node, also when the
 * process that did is long dead. Idempotent.
 */
export async function removeNetwork(context: NodeContext): Promise<void> {
  const silent = { warn: () => {}, debug: () => {} } as unknown as Logger;
  removeCniConfig(context);
  const nft = openNft();
  try {
    const table = openTable(nft);
    mkdirSync(attachmentsFolder(context), { recursive: true, mode: 0o700 });
    const pods = new PodNetwork({
      stateFolder: attachmentsFolder(context),
      bootId: bootId(),
      clusterCidrs: [],
      mtu: 1500,
      table,
      log: silent,
    });
    await pods.removeAll();
    table.remove();
  } finally {
    nft.close();
  }
  const routes = new PodRoutes(silent);
  await routes.load();
  await routes.clear();
  await removeAnchor();
  restoreForwarding(forwardingMemory(context), bootId());
  removePlugins(context);
  rmSync(context.paths.cniState, { recursive: true, force: true });
  rmSync(context.paths.cniSocket, { force: true });
}
