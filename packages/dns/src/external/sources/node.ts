import type { Node } from '@cloudless/kube/types/core-v1';
import { listAnnotation, settingsOf } from './annotations.ts';
import { type Endpoint, endpointsFor } from './endpoint.ts';

export interface NodeAddresses {
  readonly external: readonly string[];
  readonly internal: readonly string[];
}

/** A node's addresses by kind, in the order of its status. */
export function nodeAddresses(node: Node): NodeAddresses {
  const addresses = node.status?.addresses ?? [];
  const of = (wanted: string): string[] =>
    addresses.filter(({ type }) => type === wanted).map(({ address }) => address);
  return { external: of('ExternalIP'), internal: of('InternalIP') };
}

/**
 * The endpoints of a Node: its name, at its ExternalIPs, or its InternalIPs where it has none (upstream: source/node.go,
 * with no template).
 */
export function nodeEndpoints(node: Node): Endpoint[] {
  let targets: readonly string[] = listAnnotation(node, 'target');
  if (targets.length === 0) {
    const { external, internal } = nodeAddresses(node);
    targets = external.length > 0 ? external : internal;
  }
  return endpointsFor(node.metadata.name ?? '', targets, { ...settingsOf(node), setIdentifier: undefined });
}
