import type { Node, NodeStatus } from '@cloudless/kube/types/core-v1';
import type { Image } from '../cri/generated/types.ts';
import { same } from '../status/patch.ts';

export interface AddressFacts {
  nodeName: string;
  ips: readonly string[];
}

export const nodeAddresses = ({ nodeName, ips }: AddressFacts): NonNullable<NodeStatus['addresses']> => [
  ...ips.map((address) => ({ type: 'InternalIP', address })),
  { type: 'Hostname', address: nodeName },
];

/** Upstream: nodeStatusMaxImages and maxNamesPerImageInNodeStatus. */
const maxImages = 50;
const maxNames = 5;

/** The node's images, the largest first. */
export function nodeImages(images: readonly Image[]): NonNullable<NodeStatus['images']> {
  return [...images]
    .sort((a, b) => (a.size === b.size ? (a.id < b.id ? -1 : 1) : a.size < b.size ? 1 : -1))
    .slice(0, maxImages)
    .map((image) => ({
      names: [...image.repoDigests, ...image.repoTags].slice(0, maxNames),
      sizeBytes: Number(image.size),
    }))
    .filter((image) => image.names.length > 0);
}

/** Labels every node has. */
export function defaultNodeLabels(nodeName: string, architecture: string): Record<string, string> {
  return {
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': architecture,
    'beta.kubernetes.io/os': 'linux',
    'beta.kubernetes.io/arch': architecture,
  };
}

/** The strategic merge patch from a node's stored status to ours; undefined when only heartbeats differ. */
export function nodeStatusPatch(
  stored: NodeStatus,
  wanted: NodeStatus,
): { status: Record<string, unknown> } | undefined {
  const status = fullNodeStatusPatch(stored, wanted).status;
  const { conditions, ...rest } = status;
  const withoutTimes = (list: NodeStatus['conditions']): unknown =>
    (list ?? []).map(({ lastHeartbeatTime: _, ...condition }) => condition);
  const byType = (list: NodeStatus['conditions']): NodeStatus['conditions'] =>
    (wanted.conditions ?? []).flatMap(({ type }) =>
      (list ?? []).filter((condition) => condition.type === type),
    );
  const alike = same(withoutTimes(byType(stored.conditions)), withoutTimes(wanted.conditions));
  void conditions;
  return alike && Object.keys(rest).length === 0 ? undefined : { status };
}

/** As {@link nodeStatusPatch}, with every condition for its heartbeat. */
export function fullNodeStatusPatch(
  stored: NodeStatus,
  wanted: NodeStatus,
): { status: Record<string, unknown> } {
  const status: Record<string, unknown> = { conditions: wanted.conditions };
  for (const field of ['capacity', 'allocatable', 'nodeInfo', 'images', 'daemonEndpoints'] as const) {
    if (!same(stored[field], wanted[field])) status[field] = wanted[field];
  }
  if (!same(stored.addresses, wanted.addresses)) status['addresses'] = addressPatch(stored, wanted);
  return { status };
}

/** Addresses merge by type, which two of one family break: the list is replaced whole. */
const addressPatch = (stored: NodeStatus, wanted: NodeStatus): unknown[] =>
  stored.addresses === undefined
    ? [...(wanted.addresses ?? [])]
    : [...(wanted.addresses ?? []), { $patch: 'replace' }];

/** The object a new node registers as. */
export function newNode(options: {
  nodeName: string;
  labels: Record<string, string>;
  taints: NonNullable<Node['spec']>['taints'];
  providerID: string;
  status: NodeStatus;
}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: options.nodeName,
      labels: options.labels,
      annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: {
      ...((options.taints ?? []).length > 0 ? { taints: options.taints! } : {}),
      ...(options.providerID === '' ? {} : { providerID: options.providerID }),
    },
    status: options.status,
  };
}
