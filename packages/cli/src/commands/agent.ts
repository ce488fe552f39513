import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Kubeconfig, loadKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { type ClusterConfig, contextOf, saveConfig } from '../cluster-config.ts';
import {
  checkPortFree,
  checkWritable,
  detectNodeIp,
  isOwnAddress,
  MachineError,
  whyNoContainers,
} from '../machine.ts';
import { addressIn, parseOptions, type RawOptions, UsageError } from '../options.ts';
import { Progress, formatMs } from '../progress.ts';
import { askSupervisor } from '../supervisor/control-socket.ts';
import { runUntilStopped, startDetached } from '../supervisor/run.ts';

/** `cloudless agent`: the node part alone, for a machine that joins. */
export async function agent(raw: RawOptions & { detach?: boolean; kubeconfig: string }): Promise<void> {
  const progress = new Progress();
  const options = parseOptions(raw);
  const context = contextOf(options);
  const kubeconfig = resolve(raw.kubeconfig);
  checkIdentity(loadKubeconfig(kubeconfig), kubeconfig, options.nodeName);
  progress.step('look at this machine');
  if (await askSupervisor(context, { command: 'status' }, 5000))
    throw new MachineError(`a node runs below ${options.root} already: see 'cloudless status'`);
  if (options.runtime === 'containerd') {
    // A node that joins a cluster and runs nothing would mislead it: no falling back here.
    const why = whyNoContainers();
    if (why !== undefined)
      throw new MachineError(`${why} (or ask for simulated pods with --runtime simulated)`);
  }
  const nodeIp = options.nodeIp ?? detectNodeIp();
  if (nodeIp === undefined)
    throw new MachineError('this machine has no IPv4 address but loopback: give one with --node-ip');
  if (!isOwnAddress(nodeIp)) throw new UsageError(`--node-ip ${nodeIp} is no address of this machine`);
  checkWritable(context.paths.state);
  const { kubelet, kubeletHealthz } = options.ports;
  for (const needed of [
    { port: kubelet, host: '0.0.0.0', flag: '--kubelet-port', transport: 'tcp' },
    { port: kubeletHealthz, host: '127.0.0.1', flag: undefined, transport: 'tcp' },
  ] as const)
    await checkPortFree(needed);
  const config: ClusterConfig = {
    ...options,
    role: 'agent',
    nodeIp,
    simulatedBecause: undefined,
    dnsIp: addressIn(options.serviceCidr, 10),
    nodeKubeconfig: kubeconfig,
  };
  progress.done(`${config.nodeName}, ${nodeIp}`);
  const configPath = saveConfig(context, config);
  const joined = (): void =>
    void process.stderr.write(`\nThis node has joined (${formatMs(progress.elapsedMs)}).\n`);
  if (!raw.detach) return runUntilStopped(config, configPath, progress, joined);
  await startDetached(config, configPath, progress);
  joined();
}

/** A node's credentials are good for that node only: the API would refuse everything, and say less. */
function checkIdentity(config: Kubeconfig, path: string, nodeName: string): void {
  const { clientCert, clientCertFile } = config;
  const text = clientCertFile === undefined ? clientCert : readFileSync(clientCertFile, 'utf8');
  if (text === undefined) return;
  const name = /^CN=(.*)$/m.exec(new X509Certificate(text).subject)?.[1] ?? '';
  if (name !== `system:node:${nodeName}`)
    throw new UsageError(
      `${path} is for ${name}, not for system:node:${nodeName}: use that node's name with --node-name, or make another with 'cloudless kubeconfig node ${nodeName}'`,
    );
}
