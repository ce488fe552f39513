import { join } from 'node:path';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import type { Streams } from '@cloudless/apiserver/streams/streams';
import type { Clock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { nodeContext } from '@cloudless/kube/node/context';
import { Quantity } from '@cloudless/kube/quantity';
import { StatusError } from '@cloudless/kube/status';
import type { Taint } from '@cloudless/kube/types/core-v1';
import { nodeUser } from '@cloudless/kube/user';
import {
  type Kubelet,
  kubeletVersion,
  parseKubeletConfiguration,
  type SimulatedRuntime,
  simulatedRuntime,
  startKubelet,
} from '@cloudless/kubelet';

/** A node that exists only in the API: its pods run as a state machine. */
export interface SimulatedNode {
  /** Default `node-1`, `node-2`, … */
  name?: string;
  labels?: Record<string, string>;
  taints?: Taint[];
  /** What it offers to pods, as quantities. Default: 8 CPUs, 32Gi of memory, 100Gi of disk, 110 pods. */
  capacity?: { cpu?: string; memory?: string; 'ephemeral-storage'?: string; pods?: number };
}

export interface RunningNode extends Running {
  readonly name: string;
  /** Its containers: `exit(id, code)` ends one, `failCall` makes a call of the kubelet fail. */
  readonly runtime: SimulatedRuntime;
  readonly registered: Promise<void>;
}

const defaultCapacity = { cpu: '8', memory: '32Gi', 'ephemeral-storage': '100Gi', pods: 110 };

/** The address of the n-th node, of the block that is set aside for such things (RFC 2544): 198.18.0.0/15. */
function addressOf(index: number): string {
  const number = index + 2;
  return `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}

const amount = (quantity: string): number => Quantity.parse(quantity).toNumber();

/** Starts the kubelet of one node in this process, as `system:node:NAME`. It touches no file and opens no port. */
export async function startNode(options: {
  node: SimulatedNode;
  index: number;
  api: ApiServer;
  /** A folder that nobody makes: the simulated kubelet names paths below it and uses none. */
  root: string;
  clock: Clock;
  log: Logger;
}): Promise<RunningNode> {
  const { node, index, api, clock, log } = options;
  const name = node.name ?? `node-${index + 1}`;
  const capacity = { ...defaultCapacity, ...node.capacity };
  const runtime = simulatedRuntime({ clock });
  const { config } = parseKubeletConfiguration({ maxPods: capacity.pods });
  const kubelet: Kubelet = await startKubelet({
    context: nodeContext({ root: join(options.root, name), nodeName: name, clock }),
    client: api.clientFor(nodeUser(name)),
    cri: runtime,
    // All of what was asked for is for pods.
    config: { ...config, evictionHard: {} },
    nodeIps: [addressOf(index)],
    labels: node.labels,
    taints: node.taints,
    machine: {
      cpuCores: amount(capacity.cpu),
      memoryBytes: amount(capacity.memory),
      diskBytes: amount(capacity['ephemeral-storage']),
      appArmor: false,
      info: {
        machineID: name,
        systemUUID: name,
        bootID: name,
        kernelVersion: 'simulated',
        osImage: 'simulated',
        kubeletVersion,
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
    },
    simulated: true,
    log,
  });
  const handle = running(async () => {
    await kubelet.stop();
    runtime.close();
  });
  return { name, runtime, registered: kubelet.registered, ...handle };
}

/** What a simulated container cannot do is refused in a sentence instead of by a connection that fails. */
export const noStreams: Streams = {
  respond: (request) => Promise.reject(notSimulated(request)),
  upgrade: (request) => Promise.reject(notSimulated(request)),
};

function notSimulated({ name, subresource }: { name: string; subresource: string }): StatusError {
  return new StatusError(
    501,
    '',
    `pod ${name} is simulated: its containers are no processes, so there is no ${subresource} (run 'cloudless up' for containers)`,
  );
}
