import type { Node } from '@cloudless/kube/types/core-v1';
import { canonicalIp } from '../services/ip.ts';
import type { NodeView } from '../services/model.ts';

const addressesOf = (node: Node | undefined): string[] =>
  (node?.status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
    .flatMap(({ address }) => canonicalIp(address) ?? []);

/**
 * The nodes' addresses as the node `name` sees them. Its own are `nodeIp` and those that its Node names and `assigned` holds
 * (the addresses on its interfaces): an address that a cloud translates never arrives here.
 */
export function nodeViewOf(options: {
  name: string;
  nodeIp: string;
  nodes: Iterable<Node>;
  assigned: ReadonlySet<string>;
}): NodeView {
  const nodeIp = canonicalIp(options.nodeIp);
  const own = new Set(nodeIp === undefined ? [] : [nodeIp]);
  const addressesOfNodes = new Set(own);
  for (const node of options.nodes) {
    for (const ip of addressesOf(node)) {
      addressesOfNodes.add(ip);
      if (node.metadata.name === options.name && options.assigned.has(ip)) own.add(ip);
    }
  }
  return { name: options.name, addresses: [...own], addressesOfNodes };
}
