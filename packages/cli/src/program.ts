import { Command, CommanderError } from 'commander';
import { addDatastoreCommands } from './commands/datastore/index.ts';
import { addDnsCommands } from './commands/dns/index.ts';
import { addLoadBalancerCommands } from './commands/loadbalancer/index.ts';
import { errorPrefix, errorText } from './error-text.ts';
import type { RawOptions } from './options.ts';

/**
 * The `cloudless` command. Each action's module is loaded when it is chosen: a command that only reads a file does
 * not pay for the API server.
 */
export function program(): Command {
  const cli = new Command('cloudless')
    .description('Kubernetes out of the cloud: everything to run it on machines of your own.')
    .helpCommand(false)
    .showHelpAfterError('(cloudless --help shows what there is)')
    .exitOverride();
  const withRoot = (command: Command): Command =>
    command.option('--root <dir>', 'folder that holds all state, instead of the machine itself', '/');
  const withNode = (command: Command): Command =>
    withRoot(command)
      .option('--node-name <name>', "this node's name (default: the host name)")
      .option('--node-ip <address>', 'IPv4 address of this node (default: that of the default route)')
      .option('--runtime <runtime>', 'containerd, or simulated: pods as a state machine', 'containerd')
      .option('--kubelet-port <port>', "port of the kubelet's HTTPS API (default: 10250)")
      .option('--kubelet-config <file>', 'a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)')
      .option('--pod-cidr <block>', 'addresses of pods', '10.244.0.0/16')
      .option('--service-cidr <block>', 'addresses of Services', '10.96.0.0/12')
      .option('--cluster-domain <name>', "the cluster's DNS domain", 'cluster.local')
      .option(
        '--disable <part...>',
        'leave out network, dns, loadbalancer, controllers or scheduler, for those who bring their own',
      )
      .option('--announcements <file>', 'addresses to announce whether the API is there or not (YAML)')
      .option(
        '--strict-exclude',
        'announce nothing where node.kubernetes.io/exclude-from-external-load-balancers leaves no node',
      )
      .option('--sticky-addresses', 'an announced address does not go back to a node that returns')
      .option('--detach', 'go on in the background');

  withNode(cli.command('up').description('start a cluster on this machine, or start it again'))
    .option('--api-port <port>', 'port of the API server (default: 6443)')
    .option('--dns-port <port>', "port of cluster DNS on the node's address (default: 10053)")
    .option(
      '--datastore-endpoint <url>',
      'keep the datastore in this PostgreSQL database (postgres://USER@HOST/DATABASE) instead of a file',
    )
    .option('--datastore-password-file <file>', "password of the database's user (or: PGPASSWORD)")
    .option('--etcd-servers <urls>', 'store objects in this etcd instead of the embedded datastore')
    .option('--etcd-cafile <file>', "CA of the etcd servers' certificates")
    .option('--etcd-certfile <file>', 'client certificate for etcd')
    .option('--etcd-keyfile <file>', 'its key')
    .option(
      '--etcd-compaction-interval <duration>',
      'how long old versions are kept for watches that resume (default: 5m)',
    )
    .option(
      '--audit-policy-file <file>',
      'an audit policy (audit.k8s.io/v1): what is written to the audit log',
    )
    .option('--audit-log-path <file>', "the audit log; '-' for standard output")
    .option('--audit-log-mode <mode>', 'batch, blocking or blocking-strict', 'batch')
    .option('--audit-log-maxage <days>', 'days that old audit logs are kept (default: all)')
    .option('--audit-log-maxbackup <count>', 'how many old audit logs are kept (default: all)')
    .option('--audit-log-maxsize <mebibytes>', 'size at which an audit log is set aside (default: 100)')
    .option(
      '--shutdown-delay-duration <duration>',
      'how long the API server says that it is not ready before it refuses connections (default: 0s)',
    )
    .action(async (raw: RawOptions & { detach?: boolean }) => (await import('./commands/up.ts')).up(raw));
  withNode(cli.command('agent').description('run the node part alone: join this machine to a cluster'))
    .requiredOption(
      '--kubeconfig <file>',
      'kubeconfig of system:node:NAME, from `cloudless kubeconfig node NAME`',
    )
    .action(async (raw: RawOptions & { detach?: boolean; kubeconfig: string }) =>
      (await import('./commands/agent.ts')).agent(raw),
    );
  withRoot(cli.command('down').description('stop the cluster of this machine and leave it as it was found'))
    .option('--purge', 'delete its data, certificates and images as well')
    .action(async (raw: { root: string; purge?: boolean }) => (await import('./commands/down.ts')).down(raw));
  withRoot(cli.command('status').description('what runs on this machine'))
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (raw: { root: string; output: string }) =>
      (await import('./commands/status.ts')).status(raw),
    );
  withRoot(
    cli
      .command('logs [process]')
      .description('logs of control-plane, node-agent, dns, speaker or containerd'),
  )
    .option('-f, --follow', 'go on as lines are written')
    .option('-n, --lines <count>', 'lines from the end', '100')
    .action(async (name: string | undefined, raw: { root: string; follow?: boolean; lines: string }) =>
      (await import('./commands/logs.ts')).logs(name, raw),
    );
  const kubeconfig = cli.command('kubeconfig').description('kubeconfigs for people and nodes');
  withRoot(
    kubeconfig
      .command('user <name>')
      .description('a client certificate of 1 year, as `kubeadm kubeconfig user`'),
  )
    .option('--org <group...>', 'groups of the user', [])
    .option('--out <file>', 'where to write it, instead of standard output')
    .action(async (name: string, raw: { root: string; org: string[]; out?: string }) =>
      (await import('./commands/kubeconfig.ts')).userKubeconfig(name, raw),
    );
  withRoot(
    kubeconfig.command('node <name>').description('the identity of a node that joins with `cloudless agent`'),
  )
    .option('--out <file>', 'where to write it, instead of standard output')
    .action(async (name: string, raw: { root: string; out?: string }) =>
      (await import('./commands/kubeconfig.ts')).nodeKubeconfig(name, raw),
    );
  const image = cli.command('image').description("this node's container images");
  withRoot(
    image.command('build <file...>').description('make images from Debian packages by image.yaml files'),
  )
    .option('--no-load', 'write the archive only')
    .option('-o, --output <file>', 'path of the archive (one file only)')
    .action(async (files: string[], raw: { root: string; load: boolean; output?: string }) =>
      (await import('./commands/image.ts')).build(files, raw),
    );
  withRoot(image.command('load <archive...>').description('load OCI or docker archives')).action(
    async (files: string[], raw: { root: string }) => (await import('./commands/image.ts')).load(files, raw),
  );
  withRoot(image.command('list').description('what is here')).action(async (raw: { root: string }) =>
    (await import('./commands/image.ts')).list(raw),
  );
  addDatastoreCommands(cli);
  addLoadBalancerCommands(cli);
  addDnsCommands(cli);
  cli
    .command('version')
    .description('versions of Cloudless and of Kubernetes')
    .action(async () => (await import('./commands/version.ts')).version());
  // What the supervisor starts; not for people.
  cli
    .command('process <name>', { hidden: true })
    .requiredOption('--config <file>')
    .action(async (name: string, raw: { config: string }) =>
      (await import('./processes/main.ts')).runProcess(name, raw.config),
    );
  cli
    .command('supervise', { hidden: true })
    .requiredOption('--config <file>')
    .action(async (raw: { config: string }) => (await import('./commands/supervise.ts')).supervise(raw));
  return cli;
}

/** Runs the command line of this process; failures set the exit code and are told in a sentence. */
export async function main(): Promise<void> {
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed it already.
      process.exitCode = error.exitCode;
    } else {
      process.stderr.write(`${errorPrefix}${errorText(error)}\n`);
      process.exitCode = 1;
    }
  }
}
