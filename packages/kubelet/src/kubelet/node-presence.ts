import type { NodeStatus, Node } from '@cloudless/kube/types/core-v1';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { EventSink } from '../events.ts';
import { nodeConditions } from '../node/conditions.ts';
import { startNodeLease } from '../node/lease.ts';
import { startLeaseThread } from '../node/lease-thread.ts';
import { type Machine, readPressure } from '../node/machine.ts';
import { type NodeRegistration, startRegistration } from '../node/registration.ts';
import type { NodeAmounts } from '../node/resources.ts';
import type { RuntimeHealth } from '../node/runtime-health.ts';
import { defaultNodeLabels, nodeAddresses, nodeImages } from '../node/status.ts';
import type { KubeletOptions } from './start.ts';

export interface NodePresenceOptions {
  kubelet: KubeletOptions;
  machine: Machine;
  amounts: NodeAmounts;
  /** `containerd://1.6.20`. */
  runtimeVersion: string;
  health: RuntimeHealth;
  events: EventSink;
  /** The node's object changed. */
  onNode(): void;
}

/** The node in the API: its object, its status, its Lease. */
export interface NodePresence extends Running {
  readonly registered: Promise<void>;
  node(): Node | undefined;
  /** Something that the status shows has changed. */
  wake(): void;
}

/** Nothing is short where nothing is used: for the simulated runtime. */
const roomy = {
  memoryAvailableBytes: Infinity,
  diskBytes: 0,
  diskAvailableBytes: Infinity,
  inodes: 0,
  inodesFree: Infinity,
};

export function startNodePresence(options: NodePresenceOptions): NodePresence {
  const { client, context, config, log, cri } = options.kubelet;
  const { clock, nodeName } = context;
  let uid: string | undefined;
  let podCidrs = '';
  const lease = startLease(options, () => uid);
  const onNode = (node: Node): void => {
    if (node.metadata.uid && node.metadata.uid !== uid) {
      uid = node.metadata.uid;
      lease.setNodeUid(uid);
    }
    const cidrs = (node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : [])).join(',');
    if (cidrs !== '' && cidrs !== podCidrs) {
      podCidrs = cidrs;
      cri
        .updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: cidrs } } })
        .catch((error: unknown) => {
          log.debug({ err: error }, 'the runtime takes no pod CIDR');
        });
    }
    options.onNode();
  };
  const registration: NodeRegistration = startRegistration({
    client,
    clock,
    log,
    events: options.events,
    nodeName,
    config: {
      ...config,
      registerWithTaints: [...config.registerWithTaints, ...(options.kubelet.taints ?? [])],
    },
    labels: { ...defaultNodeLabels(nodeName, options.machine.info.architecture), ...options.kubelet.labels },
    onNode,
    status: (before) => nodeStatus(options, before),
  });
  return {
    registered: registration.registered,
    node: () => registration.node(),
    wake: () => registration.wake(),
    ...running(async () => {
      await registration.stop();
      await lease.stop();
    }),
  };
}

async function nodeStatus(options: NodePresenceOptions, before: NodeStatus): Promise<NodeStatus> {
  const { context, config, cri, nodeIps, simulated } = options.kubelet;
  const { machine, amounts } = options;
  const images = await cri.listImages({}).then(
    (answer) => answer.images,
    () => [],
  );
  return {
    capacity: amounts.capacity,
    allocatable: amounts.allocatable,
    addresses: nodeAddresses({ nodeName: context.nodeName, ips: nodeIps }),
    daemonEndpoints: { kubeletEndpoint: { Port: context.ports.kubelet } },
    nodeInfo: { ...machine.info, containerRuntimeVersion: options.runtimeVersion },
    images: nodeImages(images),
    conditions: nodeConditions(
      {
        pressure: simulated ? roomy : await readPressure(context.paths.kubelet),
        memoryBytes: machine.memoryBytes,
        config,
        problems: options.health.problems(),
        appArmor: machine.appArmor,
        nowMs: context.clock.nowMs(),
      },
      before.conditions ?? [],
    ),
  };
}

interface NodeLease extends Running {
  setNodeUid(uid: string): void;
}

/** From a thread where there is a kubeconfig for it; else from here. */
function startLease(options: NodePresenceOptions, nodeUid: () => string | undefined): NodeLease {
  const { client, context, config, kubeconfig, log } = options.kubelet;
  const common = { nodeName: context.nodeName, durationSeconds: config.nodeLeaseDurationSeconds };
  if (kubeconfig !== undefined) return startLeaseThread({ ...common, kubeconfig, log });
  const onError = (error: unknown): void => {
    log.debug({ err: error }, 'node lease not renewed; will be tried again');
  };
  return {
    setNodeUid: () => {},
    ...startNodeLease({ ...common, client, clock: context.clock, nodeUid, onError }),
  };
}
