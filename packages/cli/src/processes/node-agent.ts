import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clientFromKubeconfig, loadKubeconfig } from '@cloudless/kube/client/kubeconfig';
import type { KubeClient } from '@cloudless/kube/client/client';
import { startInformer } from '@cloudless/kube/informer/informer';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { core } from '@cloudless/kube/resources';
import type { Node } from '@cloudless/kube/types/core-v1';
import {
  type Kubelet,
  type KubeletConfiguration,
  parseKubeletConfiguration,
  simulatedRuntime,
  startKubelet,
} from '@cloudless/kubelet';
import { type Containerd, startContainerd } from '@cloudless/kubelet/containerd/start';
import { connectCri, type CriRuntime } from '@cloudless/kubelet/cri/runtime';
import { startServingCertificate } from '@cloudless/kubelet/server/certificate';
import { startKubeletServer } from '@cloudless/kubelet/server/server';
import { type Network, startNetwork } from '@cloudless/network';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import { report, stopRequested } from './report.ts';

const log = logger('node-agent');

interface Runtime {
  cri: CriRuntime;
  containerd: Containerd | undefined;
  cgroupDriver: 'systemd' | 'cgroupfs';
}

/**
 * The node process: containerd, network, kubelet and its API. Its identity is `system:node:NAME`. Ended with
 * `stop-pods` it leaves nothing running; otherwise pods go on, and the next start adopts them.
 */
export async function runNodeAgent(config: ClusterConfig): Promise<void> {
  const context = contextOf(config);
  const stop = stopRequested();
  const client = clientFromKubeconfig(config.nodeKubeconfig, { userAgent: 'cloudless-node' });
  const ended = new AbortController();
  const parts: Running[] = [];
  let kubelet: Kubelet | undefined;
  let network: Network | undefined;
  let runtime: Runtime | undefined;
  try {
    const simulated = config.runtime === 'simulated';
    report({ type: 'progress', step: simulated ? 'simulated runtime' : 'start containerd' });
    if (!simulated && !config.disable.includes('network')) {
      network = await startNetwork({
        context,
        client,
        nodeIp: config.nodeIp,
        clusterCidrs: [config.podCidr],
        serviceCidrs: [config.serviceCidr],
        log: logger('network'),
      });
      parts.push(network);
    }
    runtime = simulated
      ? { cri: simulatedRuntime({ clock: context.clock }), containerd: undefined, cgroupDriver: 'cgroupfs' }
      : await realRuntime(context);
    if (runtime.containerd) parts.push(runtime.containerd);
    report({ type: 'progress', step: 'start the kubelet' });
    const settings = kubeletConfiguration(config, context, runtime.cgroupDriver);
    kubelet = await startKubelet({
      context,
      client,
      cri: runtime.cri,
      config: settings,
      nodeIps: [config.nodeIp],
      kubeconfig: config.nodeKubeconfig,
      simulated,
      log: logger('kubelet'),
    });
    parts.push(kubelet);
    parts.push(...(await serveKubelet(config, context, client, runtime.cri, kubelet, settings)));
    if (!simulated && !config.disable.includes('loadbalancer'))
      parts.push(await speakerCredentials(config, context, client));
    report({ type: 'progress', step: 'register the node' });
    await Promise.race([becomeReady(client, config, kubelet, ended.signal), stop]);
    const { mode } = await stop;
    if (mode === 'stop-pods') {
      await kubelet.terminateAll();
      // Containers that ended give their addresses back through the network, so it goes last.
      await runtime.containerd?.shutdown();
      await network?.remove();
    }
  } finally {
    ended.abort();
    for (const part of parts.reverse()) await part.stop();
    runtime?.cri.close();
  }
}

/** The speaker is a process of its own, with credentials of its own, that runs where there is something to announce. */
async function speakerCredentials(
  config: ClusterConfig,
  context: NodeContext,
  client: KubeClient,
): Promise<Running> {
  const { keepSpeakerCredentials } = await import('./load-balancer/credentials.ts');
  return keepSpeakerCredentials({
    client,
    server: loadKubeconfig(config.nodeKubeconfig),
    nodeName: config.nodeName,
    folder: context.paths.speaker,
    clock: context.clock,
    log: logger('loadbalancer'),
    atOnce: config.announcementsFile !== undefined,
    onNeeded: () => report({ type: 'needs', child: 'speaker' }),
  });
}

async function realRuntime(context: NodeContext): Promise<Runtime> {
  const containerd = await startContainerd({ context, log: logger('containerd') });
  const cri = connectCri({ socketPath: containerd.socketPath, log: logger('cri') });
  return { cri, containerd, cgroupDriver: containerd.cgroupDriver };
}

function kubeletConfiguration(
  config: ClusterConfig,
  context: NodeContext,
  cgroupDriver: 'systemd' | 'cgroupfs',
): KubeletConfiguration {
  const given = config.kubeletConfig === undefined ? undefined : readFileSync(config.kubeletConfig, 'utf8');
  const parsed = parseKubeletConfiguration(given ?? {});
  for (const warning of parsed.warnings) log.warn({ file: config.kubeletConfig }, warning);
  return {
    ...parsed.config,
    cgroupDriver,
    staticPodPath: parsed.config.staticPodPath === '' ? context.paths.manifests : parsed.config.staticPodPath,
    clusterDNS:
      parsed.config.clusterDNS.length > 0
        ? parsed.config.clusterDNS
        : config.disable.includes('dns')
          ? []
          : [config.dnsIp],
    clusterDomain: config.clusterDomain,
  };
}

async function serveKubelet(
  config: ClusterConfig,
  context: NodeContext,
  client: KubeClient,
  cri: CriRuntime,
  kubelet: Kubelet,
  settings: KubeletConfiguration,
): Promise<Running[]> {
  const certificate = await startServingCertificate({
    folder: context.paths.kubeletPki,
    nodeName: config.nodeName,
    addresses: [config.nodeIp],
    fromCluster: true,
    client,
    clock: context.clock,
    log: logger('kubelet'),
  });
  const { ca } = loadKubeconfig(config.nodeKubeconfig);
  const server = await startKubeletServer({
    nodeName: config.nodeName,
    port: context.ports.kubelet,
    healthzPort: context.ports.kubeletHealthz,
    certificate,
    clientCa: ca ?? readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
    client,
    cri,
    pods: kubelet.pods,
    statsFolder: context.paths.kubelet,
    unhealthy: () => kubelet.unhealthy(),
    metrics: () => kubelet.metrics(),
    configuration: settings,
    clock: context.clock,
    log: logger('kubelet'),
  });
  return [certificate, server];
}

/** Tells the supervisor when the node is Ready. */
async function becomeReady(
  client: KubeClient,
  config: ClusterConfig,
  kubelet: Kubelet,
  signal: AbortSignal,
): Promise<void> {
  await kubelet.registered;
  if (signal.aborted) return;
  if (config.disable.includes('network') && config.runtime === 'containerd') {
    // The node turns Ready when the user's own network is installed into the running cluster.
    report({ type: 'ready' });
    return;
  }
  report({ type: 'progress', step: 'wait until the node is Ready' });
  const fieldSelector = `metadata.name=${config.nodeName}`;
  const nodes = startInformer({ client, resource: core.nodes, fieldSelector, signal });
  await new Promise<void>((resolve) => {
    const look = (node: Node): void => {
      if (node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'))
        resolve();
    };
    nodes.addHandler({ add: look, update: look });
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await nodes.stop();
  if (!signal.aborted) report({ type: 'ready' });
}
