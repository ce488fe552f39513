/**
 * The network of one node: addresses and links for its pods (CNI), Services by nftables, routes to the pods of other
 * nodes. One process owns it; what it puts into the kernel stays while it is away, and a restarted one takes over
 * without a packet lost.
 *
 * ```ts
 * const network = await startNetwork({ context, client, nodeIp, clusterCidrs: ['10.244.0.0/16'],
 *   serviceCidrs: ['10.96.0.0/12'], log });
 * await network.ready; // containerd now reports NetworkReady
 * ```
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { startInformer } from '@cloudless/kube/informer/informer';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { core } from '@cloudless/kube/resources';
import { installPlugins, removeCniConfig, writeCniConfig } from './cni/install.ts';
import { PodNetwork } from './cni/pod-network.ts';
import { startCniServer } from './cni/server.ts';
import { openNft } from './nft/libnftables.ts';
import { openTable, tableFamily, tableName } from './nft/table.ts';
import { enableForwarding, removeAnchor, restoreForwarding, setUpAnchor, uplinkMtu } from './node/anchor.ts';
import { PodRoutes, routesOf } from './routes/routes.ts';
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

/** Starts the network of this node. Throws when the kernel or a program it needs is missing. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const { context, client, log } = options;
  const { cniState, cniSocket } = context.paths;
  mkdirSync(cniState, { recursive: true, mode: 0o700 });
  const podCidrFile = join(cniState, 'pod-cidr');
  const nft = openNft();
  const table = openTable(nft);
  const program = new ServiceProgram();
  const pods = new PodNetwork({
    stateFolder: attachmentsFolder(context),
    bootId: bootId(),
    clusterCidrs: options.clusterCidrs,
    mtu: await uplinkMtu(options.nodeIp),
    table,
    log,
  });
  const rebuild = (): void =>
    table.replace([program.content(), pods.podsContent(), pods.hostPortsContent()]);
  enableForwarding(forwardingMemory(context));
  await pods.sweep();
  // A table of an earlier agent goes on serving until the API has told what it should be.
  if (nft.listTable(tableFamily, tableName) === undefined) rebuild();
  installPlugins(context);
  const cni = await startCniServer({ socketPath: cniSocket, handle: (request) => pods.handle(request), log });

  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  let podCidr: string | undefined;
  const usePodCidr = async (cidr: string): Promise<void> => {
    if (podCidr === cidr) return;
    podCidr = cidr;
    pods.setPodCidr(cidr);
    await setUpAnchor({
      gateway: pods.gateway as string,
      serviceCidrs: options.serviceCidrs,
      nodeIp: options.nodeIp,
    });
    writeFileSync(podCidrFile, cidr);
    writeCniConfig(context);
    log.info({ podCidr: cidr }, 'pod network ready');
    ready.resolve();
  };
  // With the API away, pods of a rebooted node still get their addresses from the block it had.
  if (existsSync(podCidrFile)) await usePodCidr(readFileSync(podCidrFile, 'utf8').trim());

  const routes = new PodRoutes(log);
  await routes.load();
  const nodes = startInformer({ client, resource: core.nodes, log });
  let work: Promise<void> = Promise.resolve();
  let nodesScheduled: NodeJS.Immediate | undefined;
  const followNodes = (): void => {
    nodesScheduled = undefined;
    if (!nodes.hasSynced) return;
    const own = nodes.store.get(context.nodeName);
    const cidr = (own?.spec?.podCIDRs ?? [own?.spec?.podCIDR ?? '']).find((block) => block !== '' && !block.includes(':'));
    const wanted = routesOf(nodes.store.list(), context.nodeName);
    work = work
      .then(async () => {
        if (cidr !== undefined) await usePodCidr(cidr);
        await routes.apply(wanted);
      })
      .catch((error: unknown) => log.error({ err: String(error) }, 'could not follow the nodes'));
  };
  const touchNodes = (): void => void (nodesScheduled ??= setImmediate(followNodes));
  nodes.addHandler({ add: touchNodes, update: touchNodes, delete: touchNodes });

  const services = watchServices({ client, nodeName: context.nodeName, program, table, rebuild, log });
  const synced = Promise.all([services.synced, nodes.synced]).then(async () => {
    followNodes();
    rebuild();
    services.goLive();
    await work;
  });
  synced.catch(() => {});

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      clearImmediate(nodesScheduled);
      await Promise.all([nodes.stop(), services.stop()]);
      await work;
      await cni.stop();
      ready.reject(new Error('the network was stopped before it was ready'));
    })());
  return {
    ready: ready.promise,
    synced,
    stop,
    [Symbol.asyncDispose]: stop,
    async remove() {
      await stop();
      await pods.removeAll();
      nft.close();
      await removeNetwork(context);
    },
  };
}

/**
 * Takes out of the kernel and off the disk whatever {@link startNetwork} put there on this node, also when the
 * process that did is long dead. Idempotent.
 */
export async function removeNetwork(context: NodeContext): Promise<void> {
  const silent = { warn: () => {}, debug: () => {} } as unknown as Logger;
  const nft = openNft();
  const table = openTable(nft);
  if (existsSync(attachmentsFolder(context))) {
    const pods = new PodNetwork({
      stateFolder: attachmentsFolder(context),
      bootId: bootId(),
      clusterCidrs: [],
      mtu: 1500,
      table,
      log: silent,
    });
    await pods.removeAll();
  }
  table.remove();
  nft.close();
  const routes = new PodRoutes(silent);
  await routes.load();
  await routes.clear();
  await removeAnchor();
  removeCniConfig(context);
  restoreForwarding(forwardingMemory(context));
  rmSync(context.paths.cniState, { recursive: true, force: true });
  rmSync(context.paths.cniSocket, { force: true });
}
