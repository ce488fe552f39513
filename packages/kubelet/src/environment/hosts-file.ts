import type { Pod } from '@cloudless/kube/types/core-v1';

const maxHostnameLength = 63;

/** The host name and domain of a pod (upstream: GeneratePodHostNameAndDomain). */
export function podHostname(
  pod: Pod,
  clusterDomain: string,
): { hostname: string; domain: string; sandboxName: string } {
  const spec = pod.spec;
  const name = spec?.hostnameOverride ?? (spec?.hostname || pod.metadata.name || '');
  const hostname = name.slice(0, maxHostnameLength).replace(/[-.]+$/, '');
  const domain = spec?.subdomain ? `${spec.subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : '';
  const full = spec?.setHostnameAsFQDN === true && domain !== '' ? `${hostname}.${domain}` : hostname;
  return { hostname, domain, sandboxName: full };
}

/** A pod's /etc/hosts, as upstream writes it (kubelet_pods.go managedHostsFileContent). */
export function hostsFile(options: {
  pod: Pod;
  podIps: readonly string[];
  clusterDomain: string;
  /** The node's own file; given only for pods in the host's network. */
  hostFile?: string | undefined;
}): string {
  const aliases = (options.pod.spec?.hostAliases ?? []).map(
    (alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}\n`,
  );
  const tail = aliases.length === 0 ? '' : `\n# Entries added by HostAliases.\n${aliases.join('')}`;
  if (options.hostFile !== undefined) {
    return `# Kubernetes-managed hosts file (host network).\n${options.hostFile}${tail}`;
  }
  const { hostname, domain } = podHostname(options.pod, options.clusterDomain);
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...options.podIps.map((ip) =>
      domain === '' ? `${ip}\t${hostname}` : `${ip}\t${hostname}.${domain}\t${hostname}`,
    ),
  ];
  return `${lines.join('\n')}\n${tail}`;
}
