import { loadConfig, contextOf, saveConfig, type ClusterConfig } from '../cluster-config.ts';
import {
  checkPortFree,
  checkWritable,
  detectNodeIp,
  isOwnAddress,
  MachineError,
  type NeededPort,
  whyNoContainers,
} from '../machine.ts';
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
  checkWritable(context.paths.state);
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
  for (const needed of portsOf(options, nodeIp)) await checkPortFree(needed);
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

/** Every port on which the processes of `up` listen. */
function portsOf(options: ClusterOptions, nodeIp: string): NeededPort[] {
  const { ports } = options;
  const any = '0.0.0.0';
  const loopback = '127.0.0.1';
  const tcp: NeededPort[] = [
    { port: ports.apiserver, host: any, flag: '--api-port', transport: 'tcp' },
    { port: ports.kubelet, host: any, flag: '--kubelet-port', transport: 'tcp' },
    { port: ports.kubeletHealthz, host: loopback, flag: undefined, transport: 'tcp' },
  ];
  if (options.disable.includes('dns')) return tcp;
  const dns = [nodeIp, loopback].flatMap((host): NeededPort[] => [
    { port: ports.dns, host, flag: '--dns-port', transport: 'tcp' },
    { port: ports.dns, host, flag: '--dns-port', transport: 'udp' },
  ]);
  return [...tcp, ...dns, { port: ports.dnsHealth, host: loopback, flag: undefined, transport: 'tcp' }];
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
  const { adminKubeconfig, cniBin, cniConf } = contextOf(config).paths;
  const network =
    config.disable.includes('network') && config.runtime === 'containerd'
      ? `The node turns Ready when a pod network of yours is in ${cniConf} and ${cniBin}.\n`
      : '';
  return `
Your cluster is up (${formatMs(elapsedMs)}). ${network}Next:

  export KUBECONFIG=${adminKubeconfig}
  kubectl get nodes
  bin/cloudless image build examples/web/images/*/image.yaml${config.root === '/' ? '' : ` --root ${config.root}`}
  kubectl apply -f examples/web
`;
}
