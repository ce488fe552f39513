import type { Pod } from '@cloudless/kube/types/core-v1';

/** A resolver's configuration: what stands in a pod's /etc/resolv.conf. */
export interface ResolverConfig {
  servers: string[];
  searches: string[];
  options: string[];
}

/**
 * Reads a resolv.conf (upstream: dns.parseResolvConf): every `nameserver` counts, of `search` the last line, of an option
 * that stands twice the last one. A search path of `.` says nothing and is left out.
 */
export function parseResolvConf(text: string): ResolverConfig {
  const config: ResolverConfig = { servers: [], searches: [], options: [] };
  const options = new Map<string, string>();
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith(';')) continue;
    const [word, ...values] = trimmed.split(/\s+/);
    if (word === 'nameserver' && values[0]) config.servers.push(values[0]);
    else if (word === 'search')
      config.searches = values.filter((value) => value !== '.').map((value) => value.replace(/\.$/, ''));
    else if (word === 'options') for (const value of values) options.set(optionName(value), value);
  }
  config.options = [...options.values()];
  return config;
}

const optionName = (option: string): string => option.split(':')[0] as string;

export interface ResolverInput {
  pod: Pod;
  /** The node's own configuration; undefined: the kubelet's `resolvConf` is empty, and pods shall not have it. */
  host: ResolverConfig | undefined;
  /** Of the node; which loopback addresses stand for "the name server on this machine". */
  nodeIps: readonly string[];
  clusterDns: readonly string[];
  clusterDomain: string;
}

export interface PodResolver {
  config: ResolverConfig;
  /** Sentences for a DNSConfigForming or MissingClusterDNS event. */
  warnings: Array<{ reason: 'DNSConfigForming' | 'MissingClusterDNS'; message: string }>;
}

const maxServers = 3;
const maxSearches = 32;
const maxSearchCharacters = 2048;
/** Longer ones make some resolvers abort (glibc 2.28). */
const maxSearchPathCharacters = 253;

/** What is said of the pod, and of the node as well. */
export const missingClusterDns =
  'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.';

/** The resolver configuration of a pod (upstream: network/dns GetPodDNS). */
export function podResolver(input: ResolverInput): PodResolver {
  const { pod, host } = input;
  const warnings: PodResolver['warnings'] = [];
  let policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'ClusterFirst' && pod.spec?.hostNetwork) policy = 'Default';
  if (policy.startsWith('ClusterFirst') && input.clusterDns.length === 0) {
    warnings.push({
      reason: 'MissingClusterDNS',
      message: `pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})". ${missingClusterDns}`,
    });
    policy = 'Default';
  }
  let config: ResolverConfig = { servers: [], searches: [], options: [] };
  if (policy === 'Default') config = host ? structuredClone(host) : loopback(input.nodeIps);
  else if (policy !== 'None') {
    const domain = input.clusterDomain;
    const own = domain === '' ? [] : [`${pod.metadata.namespace}.svc.${domain}`, `svc.${domain}`, domain];
    config = {
      servers: [...input.clusterDns],
      searches: unique([...own, ...(host?.searches ?? [])]),
      options: ['ndots:5'],
    };
  }
  const merged = withPodConfig(config, pod);
  return { config: withinLimits(merged, warnings), warnings };
}

/** Without `nameserver` a resolver asks the machine it runs on; that is written out. */
function loopback(nodeIps: readonly string[]): ResolverConfig {
  const servers = unique(nodeIps.map((ip) => (ip.includes(':') ? '::1' : '127.0.0.1')));
  return { servers: servers.length === 0 ? ['127.0.0.1'] : servers, searches: ['.'], options: [] };
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];

function withPodConfig(config: ResolverConfig, pod: Pod): ResolverConfig {
  const own = pod.spec?.dnsConfig;
  if (own === undefined) return config;
  const options = new Map(config.options.map((option): [string, string] => [optionName(option), option]));
  for (const option of own.options ?? []) {
    if (!option.name) continue;
    options.set(
      option.name,
      option.value === undefined || option.value === '' ? option.name : `${option.name}:${option.value}`,
    );
  }
  return {
    servers: unique([...config.servers, ...(own.nameservers ?? [])]),
    searches: unique([...config.searches, ...(own.searches ?? [])]),
    options: [...options.values()],
  };
}

function withinLimits(config: ResolverConfig, warnings: PodResolver['warnings']): ResolverConfig {
  const servers = config.servers.slice(0, maxServers);
  if (servers.length < config.servers.length) {
    warnings.push({
      reason: 'DNSConfigForming',
      message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(' ')}`,
    });
  }
  let searches = config.searches
    .slice(0, maxSearches)
    .filter((path) => path.length <= maxSearchPathCharacters);
  while (searches.join(' ').length > maxSearchCharacters) searches = searches.slice(0, -1);
  if (searches.length < config.searches.length) {
    warnings.push({
      reason: 'DNSConfigForming',
      message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(' ')}`,
    });
  }
  return { servers, searches, options: config.options };
}
