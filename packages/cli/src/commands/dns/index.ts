import type { Command } from 'commander';
import type { ClusterFlags } from './cluster.ts';
import type { DsFlags } from './ds.ts';
import type { ExternalFlags } from './external.ts';
import type { InstallFlags } from './install.ts';
import type { KeysFlags } from './keys.ts';
import type { LocalFlags } from './local-dns.ts';
import type { QueryFlags } from './query.ts';
import type { ValuesFlags } from './values.ts';

/** Adds `cloudless dns …`. Each subcommand's module is loaded when it is chosen. */
export function addDnsCommands(cli: Command): void {
  const dns = cli
    .command('dns')
    .description('names of your own domains, and of the cluster; here or in any other cluster')
    .helpCommand(false);
  const withCluster = (command: Command): Command =>
    command.option('--kubeconfig <file>', 'the cluster (default: KUBECONFIG, or that of --root)');
  const withLocal = (command: Command): Command =>
    withCluster(command)
      .option('--root <dir>', 'the cluster below this folder', '/')
      .option('--port <port>', "the DNS process's port of health and status on this machine")
      .option('--namespace <name>', 'where it lives in another cluster', 'cloudless-dns')
      .option('-o, --output <format>', 'text or json', 'text');

  withCluster(
    dns
      .command('values <file>')
      .description('check values of stateless-dns, with our own keys, and bring them into a cluster'),
  )
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('--namespace <name>', 'where they live', 'cloudless-dns')
    .option('--check', 'say what is wrong, and apply nothing')
    .option('--print', 'print what would be applied (YAML, secrets included), and apply nothing')
    .action(async (file: string, flags: ValuesFlags) => (await import('./values.ts')).values(file, flags));
  withCluster(
    dns.command('external').description('serve domains: of files with no cluster, or of any cluster'),
  )
    .option('--values <file>', 'zones and settings of a values file')
    .option('--zones <dir>', 'a zone for each master file of a folder')
    .option('--listen <address:port...>', 'where to answer, UDP and TCP (default: 127.0.0.1:5353)')
    .option('--tls-listen-port <port>', 'answer over TLS as well; needs --tls-cert-file')
    .option('--tls-cert-file <file>', 'certificate of DNS over TLS and of the API (PEM)')
    .option('--tls-key-file <file>', 'its key')
    .option('--api-listen <address:port>', "PowerDNS's HTTP API; its key is in the values")
    .option('--engine <name>', 'own, or powerdns: a PowerDNS is given the zones as well', 'own')
    .option('--powerdns-url <url>', 'its webserver')
    .option('--powerdns-key-file <file>', 'its api-key (or: POWERDNS_API_KEY)')
    .option('--keys <dir>', 'DNSSEC keys, where there is no cluster to keep them')
    .option('--namespace <name>', 'of the configuration in a cluster', 'cloudless-dns')
    .option('--threads <count>', 'serving threads', '1')
    .option('--port <port>', 'of /healthz, /readyz, /metrics, /status (default: 10056; 0: none)')
    .option('--host <address>', 'to serve them on', '127.0.0.1')
    .action(async (flags: ExternalFlags) => (await import('./external.ts')).external(flags));
  withCluster(dns.command('cluster').description("serve a cluster's own names, in CoreDNS's place"))
    .option('--listen <address:port...>', 'where to answer, UDP and TCP (default: 127.0.0.1:10053)')
    .option('--cluster-domain <name>', "the cluster's domain", 'cluster.local')
    .option('--cluster-ip <address>', 'of the Service kube-dns', '10.96.0.10')
    .option('--allow-from <network...>', 'who may ask (default: private networks)')
    .option('--cluster-networks <network...>', 'ranges of pods and Services, for reverse names')
    .option('--resolv-conf <file>', 'where other names are asked for', '/etc/resolv.conf')
    .option('--port <port>', 'of /healthz, /readyz and /metrics', '10054')
    .option('--host <address>', 'to serve them on', '127.0.0.1')
    .action(async (flags: ClusterFlags) => (await import('./cluster.ts')).cluster(flags));
  withLocal(dns.command('status').description('the zones that are served, and what is wrong')).action(
    async (flags: LocalFlags) => (await import('./status.ts')).status(flags),
  );
  withLocal(dns.command('records [zone]').description('what is served, and which object it is from')).action(
    async (zone: string | undefined, flags: LocalFlags) =>
      (await import('./records.ts')).records(zone, flags),
  );
  withLocal(
    dns.command('why <name>').description('which object made the records of a name, and which lost'),
  ).action(async (name: string, flags: LocalFlags) => (await import('./why.ts')).why(name, flags));
  withLocal(dns.command('query <name> [type]').description('ask our server, and say what the answer is from'))
    .option('--server <address:port>', 'another server')
    .action(async (name: string, type: string | undefined, flags: QueryFlags) =>
      (await import('./query.ts')).query(name, type, flags),
    );
  withLocal(
    dns
      .command('queries [name]')
      .description('what is asked and answered, as it happens; of one name and those below it'),
  ).action(async (name: string | undefined, flags: LocalFlags) =>
    (await import('./queries.ts')).queries(name, flags),
  );
  dns
    .command('ds <zone>')
    .description("the DS records of a signed zone, for its parent's registrar")
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('--server <address:port>', 'another server')
    .action(async (zone: string, flags: DsFlags) => (await import('./ds.ts')).ds(zone, flags));
  withCluster(dns.command('keys <zone>').description('the keys of a signed zone, and how they are replaced'))
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('--namespace <name>', 'where they are kept', 'cloudless-dns')
    .option('--roll', 'begin to replace the key that the parent knows')
    .option('--zone-key', 'with --roll: replace the zone-signing key instead')
    .option('--retire', 'end the old key, once the parent has the DS of the new one alone')
    .option('--parent-ttl <seconds>', 'TTL of the DS at the parent, after which the old key goes', '86400')
    .action(async (zone: string, flags: KeysFlags) => (await import('./keys.ts')).keys(zone, flags));
  withCluster(
    dns.command('install').description('bring the kind DNSEndpoint into a cluster (up does so itself)'),
  )
    .option('--root <dir>', 'the cluster below this folder', '/')
    .option('--manifests', 'bring the authoritative DNS as well, as pods; needs --image')
    .option('--cluster-dns', "bring cluster DNS instead, in CoreDNS's place; needs --manifests")
    .option('--image <reference>', 'image that has this program, as your nodes find it')
    .option('--namespace <name>', 'where it lives', 'cloudless-dns')
    .option('--cluster-ip <address>', 'of the Service kube-dns (with --cluster-dns)', '10.96.0.10')
    .option('--print', 'print what would be applied (YAML), and apply nothing')
    .action(async (flags: InstallFlags) => (await import('./install.ts')).install(flags));
}
