import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type NodeContext, nodeContext } from '@cloudless/kube/node/context';
import { type ClusterOptions, UsageError } from './options.ts';

/** Which processes run on this machine: `up` has all, `agent` only the node's. */
export type Role = 'up' | 'agent';

/** What `up` or `agent` decided, as its processes and later commands read it. No secret is in it. */
export interface ClusterConfig extends ClusterOptions {
  role: Role;
  nodeIp: string;
  /** Why the runtime is simulated although containerd was asked for; undefined otherwise. */
  simulatedBecause: string | undefined;
  /** ClusterIP of cluster DNS. */
  dnsIp: string;
  /** Kubeconfig of the node agent. */
  nodeKubeconfig: string;
}

/** The context of a configuration. */
export function contextOf(
  config: Pick<ClusterOptions, 'root' | 'nodeName' | 'ports' | 'disable'>,
): NodeContext {
  const ownNetwork = !config.disable.includes('network');
  return nodeContext({ root: config.root, nodeName: config.nodeName, ports: config.ports, ownNetwork });
}

const pathIn = (context: NodeContext): string => join(context.paths.state, 'cluster.json');

/** Writes the configuration atomically; returns its path. */
export function saveConfig(context: NodeContext, config: ClusterConfig): string {
  const path = pathIn(context);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(`${path}.tmp`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o644 });
  renameSync(`${path}.tmp`, path);
  return path;
}

/** Reads the configuration of the cluster below `root`; undefined when none was ever started there. */
export function loadConfig(root: string): ClusterConfig | undefined {
  const path = pathIn(nodeContext({ root, nodeName: 'any' }));
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as ClusterConfig;
  } catch (cause) {
    throw new UsageError(`${path} is damaged (${String(cause)}): remove it and run 'cloudless up' again`);
  }
}
