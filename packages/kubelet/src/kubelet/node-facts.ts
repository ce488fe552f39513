import { readFile } from 'node:fs/promises';
import { resolvedServersFile } from '@cloudless/kube/node/machine-paths';
import type { KubeletConfiguration } from '../config/configuration.ts';
import { parseResolvConf, type ResolverConfig } from '../environment/resolv-conf.ts';
import { amountOf, type Amounts } from '../resources/amounts.ts';
import type { NodeFacts } from '../worker/services.ts';

/**
 * The node's resolver configuration, past a stub resolver on the loopback; undefined for an empty path. A file that was
 * asked for by name and cannot be read is an error (upstream: dns.getDNSConfig); a machine without any is not.
 */
export async function hostResolver(path: string): Promise<ResolverConfig | undefined> {
  if (path === '') return undefined;
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (path === defaultPath) return '';
    const { message } = error as Error;
    throw new Error(`the kubelet's resolvConf cannot be read: ${message}`, { cause: error });
  });
  const own = parseResolvConf(text);
  if (!own.servers.includes('127.0.0.53')) return own;
  const behind = await readFile(resolvedServersFile, 'utf8').catch(() => undefined);
  return behind === undefined ? own : parseResolvConf(behind);
}

const defaultPath = '/etc/resolv.conf';

export function nodeFacts(options: {
  nodeName: string;
  runtimeName: string;
  nodeIps: readonly string[];
  clusterDns: readonly string[];
  clusterDomain: string;
  memoryBytes: number;
  allocatable: Record<string, string>;
  config: KubeletConfiguration;
  networkProblem(): string | undefined;
}): NodeFacts {
  const allocatable: Amounts = new Map(
    Object.entries(options.allocatable).map(([name, text]) => [name, amountOf(text)]),
  );
  return {
    name: options.nodeName,
    runtimeName: options.runtimeName,
    clusterDomain: options.clusterDomain,
    clusterDns: options.clusterDns,
    memoryCapacityBytes: options.memoryBytes,
    hostIps: () => options.nodeIps,
    allocatable: () => allocatable,
    resolver: () => hostResolver(options.config.resolvConf),
    hostsFile: () => readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1\tlocalhost\n'),
    networkProblem: () => options.networkProblem(),
  };
}
