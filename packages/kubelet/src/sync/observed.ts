/** The runtime's state of one pod, as the pure core sees it: no CRI message, no clock, no I/O. */
export interface ObservedPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Newest first. */
  readonly sandboxes: readonly ObservedSandbox[];
  /** Newest first; several attempts of one container name may be present. */
  readonly containers: readonly ObservedContainer[];
}

export interface ObservedSandbox {
  readonly id: string;
  readonly attempt: number;
  readonly ready: boolean;
  readonly hostNetwork: boolean;
  /** Empty for a pod in the host's network. */
  readonly ips: readonly string[];
  readonly createdAtMs: number;
}

export type ObservedContainerState = 'created' | 'running' | 'exited' | 'unknown';

export interface ObservedContainer {
  /** The runtime's own id, without the `containerd://` in front. */
  readonly id: string;
  readonly name: string;
  readonly sandboxId: string;
  /** Restart count: 0 for the first run. */
  readonly attempt: number;
  readonly state: ObservedContainerState;
  readonly createdAtMs: number;
  /** 0 when never started. */
  readonly startedAtMs: number;
  /** 0 when not ended. */
  readonly finishedAtMs: number;
  readonly exitCode: number;
  /** `OOMKilled`, `Error`, `Completed`, `StartError`… as the runtime says. */
  readonly reason: string;
  readonly message: string;
  /** The image as the pod names it. */
  readonly image: string;
  /** The image's reference by digest. */
  readonly imageId: string;
  /** {@link containerHash} of the definition it was made from; empty when not recorded. */
  readonly hash: string;
  readonly user?: { uid: number; gid: number; supplementalGroups: readonly number[] } | undefined;
}

/** A pod of which the runtime knows nothing. */
export function nothingObserved(pod: { uid: string; namespace: string; name: string }): ObservedPod {
  return { uid: pod.uid, namespace: pod.namespace, name: pod.name, sandboxes: [], containers: [] };
}

/** The newest attempt of a container. */
export function newestContainer(observed: ObservedPod, name: string): ObservedContainer | undefined {
  return observed.containers.find((container) => container.name === name);
}
