import { rmSync } from 'node:fs';
import { removeContainerd, unmountBelow } from '@cloudless/kubelet/containerd/remove';
import { kill, listProcesses, waitEnded, identify } from '@cloudless/kubelet/containerd/process';
import { logger } from '@cloudless/kube/logger';
import { removeNetwork } from '@cloudless/network';
import { removePodCgroups } from './cgroup-root.ts';
import { type ClusterConfig, contextOf } from './cluster-config.ts';
import { processNames, processTitle } from './processes/title.ts';

const log = logger('cleanup');

/**
 * Takes from the machine whatever a node of this configuration left in it: processes, containers, mounts, interfaces,
 * nft rules, routes, cgroups, sockets. State on disk stays. Idempotent, and needs nothing to be alive.
 */
export async function cleanUp(config: ClusterConfig): Promise<void> {
  const context = contextOf(config);
  await endProcesses(config);
  if (config.runtime === 'containerd') {
    await removeContainerd({ context, log });
    if (!config.disable.includes('network')) await removeNetwork(context);
    await unmountBelow([context.paths.kubelet, context.paths.run], log);
    removePodCgroups(context);
  }
  rmSync(context.paths.run, { recursive: true, force: true });
}

/** Processes of this configuration whose supervisor is gone. */
async function endProcesses(config: ClusterConfig): Promise<void> {
  const configPath = `${contextOf(config).paths.state}/cluster.json`;
  const own = listProcesses().filter(
    ({ pid, args }) =>
      pid !== process.pid &&
      // A process that has set its title shows that instead of its arguments.
      (processNames.some((name) => args[0] === processTitle(name, config.root)) ||
        (args.includes(configPath) && args.some((arg) => arg === 'process' || arg === 'supervise'))),
  );
  for (const { pid } of own) kill(pid, 'SIGTERM');
  for (const { pid } of own) {
    const id = identify(pid);
    if (!id) continue;
    if (await waitEnded(id, 15_000)) continue;
    kill(pid, 'SIGKILL');
    await waitEnded(id, 5_000);
  }
}
