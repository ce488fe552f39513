import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { Pod, PodStatus, Service } from '@cloudless/kube/types/core-v1';
import type { PodCgroups } from '../cgroup/pod-cgroups.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import type { ResolverConfig } from '../environment/resolv-conf.ts';
import type { ReferencedObjects } from '../environment/variables.ts';
import type { EventSink } from '../events.ts';
import type { ProbeHandlers } from '../probe/handlers.ts';
import type { Images } from '../pull/images.ts';
import type { Amounts } from '../resources/amounts.ts';
import type { RuntimeView } from '../runtime/view.ts';
import type { SecurityOptions } from '../security/context.ts';
import type { Mounts } from '../volumes/mounts.ts';
import type { ServiceAccountTokens } from '../volumes/payloads.ts';
import type { PodVolumes } from '../volumes/pod-volumes.ts';

/** What a node is to its pods. */
export interface NodeFacts {
  readonly name: string;
  readonly runtimeName: string;
  readonly clusterDomain: string;
  readonly clusterDns: readonly string[];
  hostIps(): readonly string[];
  allocatable(): Amounts;
  readonly memoryCapacityBytes: number;
  /** The node's own resolver configuration, read anew. */
  resolver(): Promise<ResolverConfig | undefined>;
  /** The node's own hosts file. */
  hostsFile(): Promise<string>;
  /** Why pods with a network of their own cannot start yet; undefined when they can. */
  networkProblem(): string | undefined;
}

/** Objects that pods refer to, kept by a watch each while a pod needs them. */
export interface ObjectWatches extends ReferencedObjects {
  /** Keeps what the pod refers to; `onChange` is called when any of it changes. */
  hold(pod: Pod, onChange: () => void): void;
  release(uid: string): void;
}

/** Takes a pod's newest status to the API, now or when it answers again. */
export interface StatusSink {
  publish(pod: Pod, status: PodStatus): void;
  /** Nothing of the pod runs any more: it may be deleted if that was asked for. */
  finished(pod: Pod): void;
  forget(uid: string): void;
}

/** Everything a pod's worker works with. */
export interface WorkerServices {
  readonly cri: CriRuntime;
  readonly view: RuntimeView;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventSink;
  readonly node: NodeFacts;
  readonly objects: ObjectWatches;
  readonly tokens: ServiceAccountTokens & {
    /** When the first of a pod's tokens wants renewal. */
    renewAtMs(uid: string): number | undefined;
    release(uid: string): void;
  };
  readonly volumes: PodVolumes;
  readonly mounts: Mounts;
  readonly cgroups: PodCgroups;
  readonly images: Images;
  readonly probeHandlers: ProbeHandlers;
  readonly statuses: StatusSink;
  readonly security: SecurityOptions;
  readonly paths: { kubelet: string; podLogs: string; containerLogs: string };
  /** True where pods leave nothing on this machine: the simulated runtime. */
  readonly simulated: boolean;
  services(): Iterable<Service>;
  /** The runtime's handler for the pod's RuntimeClass; empty for the usual one. Throws when the class is not there. */
  runtimeHandler(pod: Pod): Promise<string>;
  /** Containers that ran before this kubelet started. */
  adopted(containerId: string): boolean;
}
