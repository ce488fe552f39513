import type { Command } from 'commander';
import type { ControllerFlags } from './controller.ts';
import type { InstallFlags } from './install.ts';
import type { SpeakerFlags } from './speaker.ts';
import type { StatusFlags } from './status.ts';

/** Adds `cloudless loadbalancer …`. Each subcommand's module is loaded when it is chosen. */
export function addLoadBalancerCommands(cli: Command): void {
  const loadbalancer = cli
    .command('loadbalancer')
    .description('virtual IPs, in a cluster of ours or in any other')
    .helpCommand(false);
  const withCluster = (command: Command): Command =>
    command.option('--kubeconfig <file>', 'the cluster (default: KUBECONFIG, or that of --root)');

  withCluster(
    loadbalancer
      .command('install')
      .description('bring the kinds of metallb.io into a cluster (up does so itself)'),
  )
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('--manifests', 'bring controller and speakers as well, as pods; needs --image')
    .option('--image <reference>', 'image that has this program, as your nodes find it')
    .option('--namespace <name>', 'where they live', 'metallb-system')
    .option('--print', 'print what would be applied (YAML), and apply nothing')
    .action(async (flags: InstallFlags) => (await import('./install.ts')).install(flags));
  withCluster(
    loadbalancer.command('status').description('who announces each address, and why nobody else does'),
  )
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (flags: StatusFlags) => (await import('./status.ts')).status(flags));
  withCluster(loadbalancer.command('controller').description('give addresses to the Services of any cluster'))
    .option('--namespace <name>', 'of the objects of metallb.io (or: METALLB_NAMESPACE)')
    .option('--lb-class <name>', 'Services of this loadBalancerClass alone')
    .option('--port <port>', 'of /healthz, /readyz and /metrics', '7473')
    .option('--host <address>', 'to serve them on', '127.0.0.1')
    .action(async (flags: ControllerFlags) => (await import('./controller.ts')).controller(flags));
  withCluster(
    loadbalancer
      .command('speaker')
      .description("announce addresses from this node, of any cluster's Services or of a file"),
  )
    .option('--node-name <name>', "this node's name (or: METALLB_NODE_NAME; default: the host name)")
    .option('--node-address <address>', 'where other speakers reach this one (or: METALLB_ML_BIND_ADDR)')
    .option('--namespace <name>', 'of the objects of metallb.io (or: METALLB_NAMESPACE)')
    .option('--announcements <file>', 'addresses to announce whether there is an API or not (YAML)')
    .option('--strict-exclude', 'announce nothing where the exclude label leaves no node')
    .option('--sticky-addresses', 'an address does not go back to a node that returns')
    .option('--ignore-exclude-lb', 'the exclude label counts for nothing')
    .option('--lb-class <name>', 'Services of this loadBalancerClass alone')
    .option('--ml-bindport <port>', 'of gossip (or: METALLB_ML_BIND_PORT; default: 7946)')
    .option(
      '--ml-labels <selector>',
      'pods of the other speakers (or: METALLB_ML_LABELS; default: every node)',
    )
    .option('--ml-secret-key-path <folder>', 'the mounted Secret memberlist (or: METALLB_ML_SECRET_KEY_PATH)')
    .option('--ml-wan-config', "gossip with memberlist's settings for distant networks")
    .option('--port <port>', 'of /healthz, /readyz, /metrics and /status', '7472')
    .option('--host <address>', 'to serve them on', '127.0.0.1')
    .action(async (flags: SpeakerFlags) => (await import('./speaker.ts')).speaker(flags));
}
