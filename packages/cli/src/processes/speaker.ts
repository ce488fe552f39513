import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { logger } from '@cloudless/kube/logger';
import { speakerParts } from '@cloudless/loadbalancer/speaker/parts';
import { startSpeaker } from '@cloudless/loadbalancer/speaker/start';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import { appeared } from './appeared.ts';
import { loadBalancerNamespace } from './load-balancer/names.ts';
import { report, stopRequested } from './report.ts';

const log = logger('speaker');

/**
 * The speaker process: announces the addresses of Services and of a file. Its credentials are a certificate of its own that
 * the node agent keeps for it; a file is announced before they are there. It outlives the API and the node agent.
 */
export async function runSpeaker(config: ClusterConfig): Promise<void> {
  const context = contextOf(config);
  const stop = stopRequested();
  const stopping = new AbortController();
  void stop.then(() => stopping.abort());
  const kubeconfig = join(context.paths.speaker, 'kubeconfig');
  const client = async (): Promise<KubeClient | undefined> => {
    if (!existsSync(kubeconfig) && !(await appeared(kubeconfig, stopping.signal))) return undefined;
    return clientFromKubeconfig(kubeconfig, { userAgent: 'cloudless-speaker' });
  };
  report({ type: 'progress', step: 'announce addresses' });
  const speaker = await startSpeaker({
    nodeName: config.nodeName,
    nodeAddress: config.nodeIp,
    client: client(),
    namespace: loadBalancerNamespace,
    strictExclude: config.strictExclude,
    announcementsFile: config.announcementsFile,
    sticky: config.stickyAddresses,
    gossip: { port: context.ports.gossip, keyFile: join(context.paths.speaker, 'gossip.key') },
    http: { port: context.ports.speakerHealth },
    clock: context.clock,
    log,
    parts: speakerParts({
      clock: context.clock,
      log,
      state: { namespace: loadBalancerNamespace, nodeName: config.nodeName },
    }),
  });
  try {
    // A file is announced by now; Services are when the API is there.
    if (config.announcementsFile === undefined) await Promise.race([speaker.ready, stop]);
    report({ type: 'ready' });
    await stop;
  } finally {
    await speaker.stop();
  }
}
