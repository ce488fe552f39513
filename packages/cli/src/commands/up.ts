import { loadConfig, contextOf, saveConfig, type ClusterConfig } from '../cluster-config.ts';
import { checkPortFree, detectNodeIp, isOwnAddress, MachineError, whyNoContainers } from '../machine.ts';
import { addressIn, type ClusterOptions, parseOptions, type RawOptions, UsageError } from '../options.ts';
import { Progress, formatMs } from '../progress.ts';
import { askSupervisor } from '../supervisor/control-socket.ts';
import { runUntilStopped, startDetached } from '../supervisor/run.ts';

/** `cloudless up`. */
export async function up(raw: RawOptions & { detach?: boolean }): Promise<void> {
  const progress = new Progress();
  const options = parseOptions(raw);
  progress.step('look at this machine');
  const config = await prepare(options, progress);
  progress.done(`${config.nodeName}, ${config.nodeIp}, ${config.runtime}`);
  const configPath = saveConfig(contextOf(config), config);
  progress.step('certificates');
  const { keepCertificates } = await import('../processes/certificates.ts');
  await keepCertificates(config);
  progress.done();
  if (raw.detach) await startDetached(config, configPath, progress);
  else
    await runUntilStopped(config, configPath, progress, () =>
      process.stderr.write(whatNext(config, progress.elapsedMs)),
    );
  if (raw.detach) process.stderr.write(whatNext(config, progress.elapsedMs));
}

/** Settles what the flags left open, and refuses what cannot work before anything is changed. */
async function prepare(options: ClusterOptions, progress: Progress): Promise<ClusterConfig> {
  const context = contextOf(options);
  if (await askSupervisor(context, { command: 'status' }, 5000))
    throw new MachineError(
      `a cluster runs below ${options.root} already: see 'cloudless status', end it with 'cloudless down'`,
    );
  checkUnchanged(options, loadConfig(options.root));
  const nodeIp = options.nodeIp ?? detectNodeIp();
  if (nodeIp === undefined)
    throw new MachineError(
      'this machine has no IPv4 address but loopback: connect it to a network, or give one with --node-ip',
    );
  if (!isOwnAddress(nodeIp)) throw new MachineError(`--node-ip ${nodeIp} is no address of this machine`);
  let { runtime } = options;
  let simulatedBecause: string | undefined;
  if (runtime === 'containerd') {
    simulatedBecause = whyNoContainers();
    if (simulatedBecause !== undefined) {
      runtime = 'simulated';
      progress.note(`! No real containers here: ${simulatedBecause}\n! Going on with simulated pods.`);
    }
  }
  await checkPortFree(options.ports.apiserver, '0.0.0.0', '--api-port');
  await checkPortFree(options.ports.kubelet, '0.0.0.0', '--kubelet-port');
  if (!options.disable.includes('dns')) await checkPortFree(options.ports.dns, nodeIp, '--dns-port');
  return {
    ...options,
    runtime,
    role: 'up',
    nodeIp,
    simulatedBecause,
    dnsIp: addressIn(options.serviceCidr, 10),
    nodeKubeconfig: context.paths.kubeletKubeconfig,
  };
}

/** A cluster keeps the addresses that its objects were made with. */
function checkUnchanged(options: ClusterOptions, before: ClusterConfig | undefined): void {
  if (!before) return;
  for (const [flag, key] of [
    ['--service-cidr', 'serviceCidr'],
    ['--pod-cidr', 'podCidr'],
    ['--cluster-domain', 'clusterDomain'],
    ['--node-name', 'nodeName'],
  ] as const)
    if (before[key] !== options[key])
      throw new UsageError(
        `${flag} ${options[key]}: the cluster below ${options.root} was made with ${before[key]}; keep that, or start anew after 'cloudless down --purge'`,
      );
}

function whatNext(config: ClusterConfig, elapsedMs: number): string {
  const kubeconfig = contextOf(config).paths.adminKubeconfig;
  return `
Your cluster is up (${formatMs(elapsedMs)}). Next:

  export KUBECONFIG=${kubeconfig}
  kubectl get nodes
  bin/cloudless image build examples/web/images/*/image.yaml${config.root === '/' ? '' : ` --root ${config.root}`}
  kubectl apply -f examples/web
`;
}
