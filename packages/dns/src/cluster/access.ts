import type { KubeClient } from '@cloudless/kube/client/client';
import { startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import type { Node } from '@cloudless/kube/types/core-v1';
import { Networks } from './networks.ts';

/** Who may ask cluster DNS. */
export interface ClusterAccess extends Running {
  /** An address as sockets tell it. */
  has(address: string): boolean;
}

/**
 * The networks given, and every node of the cluster with the range of its pods: what comes out of a pod or off a node has
 * one of their addresses, whatever range they are from.
 */
export function watchAccess(options: {
  client: KubeClient;
  allow: readonly string[];
  log: Logger;
}): ClusterAccess {
  let networks = new Networks(options.allow);
  let known = '';
  const nodes = startInformer({ client: options.client, resource: core.nodes, log: options.log });
  const refresh = (): void => {
    const ofNodes = [...new Set(nodes.store.list().flatMap(networksOf))].sort();
    if (ofNodes.join() === known) return;
    known = ofNodes.join();
    networks = new Networks([...options.allow, ...ofNodes]);
  };
  nodes.addHandler({ add: refresh, update: refresh, delete: refresh });
  return {
    has: (address) => networks.has(address),
    ...running(() => nodes.stop()),
  };
}

function networksOf({ spec, status }: Node): string[] {
  const addresses = (status?.addresses ?? []).filter(
    ({ type }) => type === 'InternalIP' || type === 'ExternalIP',
  );
  const pods = spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);
  return [...addresses.map(({ address }) => address), ...pods];
}
