import type { ContainerStatus as CriContainerStatus, PodSandboxStatus } from '../cri/generated/types.ts';
import { ContainerState, NamespaceMode, PodSandboxState } from '../cri/generated/types.ts';
import { unlessGone } from '../cri/error.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import type {
  ObservedContainer,
  ObservedContainerState,
  ObservedPod,
  ObservedSandbox,
} from '../sync/observed.ts';
import { annotations, labels } from './labels.ts';
import { terminationMessage } from './termination-message.ts';

/** What the kubelet asked of a container, kept by the runtime: enough to end it when its pod is known no more. */
export interface ContainerNotes {
  gracePeriodSeconds: number | undefined;
}

/** Looks at one thing that wait for their answers. */
interface Looks {
  waiting: number;
  lastAsked: number;
  /** The look whose answer was taken, or beyond every look asked for before the thing was forgotten. */
  taken: number;
}

interface PodEntry {
  uid: string;
  namespace: string;
  name: string;
  sandboxes: Map<string, ObservedSandbox>;
  containers: Map<string, ObservedContainer>;
}

/**
 * The runtime's pods as last seen. Kept true by {@link RuntimeView.relist} at the start and now and then, and by
 * looks at single things when the runtime says that they changed; ended containers are never asked for again.
 * Listings and looks overlap: an answer never takes the place of one that was asked for after it (upstream: the
 * timestamps of the kubelet's pod cache).
 */
export class RuntimeView {
  readonly #cri: CriRuntime;
  readonly #pods = new Map<string, PodEntry>();
  readonly #ownerOf = new Map<string, string>();
  readonly #notes = new Map<string, ContainerNotes>();
  readonly #looks = new Map<string, Looks>();

  constructor(cri: CriRuntime) {
    this.#cri = cri;
  }

  pod(uid: string): ObservedPod | undefined {
    const entry = this.#pods.get(uid);
    if (!entry) return undefined;
    return {
      uid,
      namespace: entry.namespace,
      name: entry.name,
      sandboxes: [...entry.sandboxes.values()].sort(
        (a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt,
      ),
      containers: [...entry.containers.values()].sort(
        (a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt,
      ),
    };
  }

  /** Uids of every pod of which the runtime has a sandbox or a container. */
  uids(): string[] {
    return [...this.#pods.keys()];
  }

  ownerOf(containerOrSandboxId: string): string | undefined {
    return this.#ownerOf.get(containerOrSandboxId);
  }

  notesOf(containerId: string): ContainerNotes | undefined {
    return this.#notes.get(containerId);
  }

  /** Lists everything, looks closer at what is new or has changed; resolves to the pods that differ. */
  async relist(signal?: AbortSignal): Promise<Set<string>> {
    // What is made after this moment need not be in the listing, and is there all the same.
    const before = [...this.#ownerOf];
    const [sandboxes, containers] = await Promise.all([
      this.#cri.listPodSandbox({}, { signal }),
      this.#cri.listContainers({}, { signal }),
    ]);
    const changed = new Set<string>();
    const seen = new Set<string>();
    for (const item of sandboxes.items) {
      seen.add(item.id);
      const uid = item.labels[labels.podUid];
      if (uid === undefined) continue;
      const ready = item.state === PodSandboxState.SANDBOX_READY;
      if (this.#pods.get(uid)?.sandboxes.get(item.id)?.ready === ready) continue;
      changed.add(uid);
      await this.lookAtSandbox(item.id);
    }
    for (const item of containers.containers) {
      seen.add(item.id);
      const uid = item.labels[labels.podUid];
      if (uid === undefined) continue;
      if (this.#pods.get(uid)?.containers.get(item.id)?.state === stateNames[item.state]) continue;
      changed.add(uid);
      await this.lookAtContainer(item.id, item.podSandboxId);
    }
    for (const [id, uid] of before) {
      if (seen.has(id) || !this.#ownerOf.has(id)) continue;
      changed.add(uid);
      this.forget(id);
    }
    return changed;
  }

  async lookAtSandbox(id: string): Promise<ObservedSandbox | undefined> {
    return this.#looking(id, async (take) => {
      const status = (await unlessGone(this.#cri.podSandboxStatus({ podSandboxId: id })))?.status;
      const uid = status?.labels[labels.podUid];
      if (!status || uid === undefined) {
        this.forget(id);
        return undefined;
      }
      if (!take()) return this.#pods.get(uid)?.sandboxes.get(id);
      const sandbox = sandboxOf(status);
      this.#entry(uid, status.labels).sandboxes.set(id, sandbox);
      this.#ownerOf.set(id, uid);
      return sandbox;
    });
  }

  /** `sandboxId` is needed once for a container not seen before; found by listing when left out. */
  async lookAtContainer(id: string, sandboxId?: string): Promise<ObservedContainer | undefined> {
    return this.#looking(id, async (take) => {
      const status = (await unlessGone(this.#cri.containerStatus({ containerId: id })))?.status;
      const uid = status?.labels[labels.podUid];
      if (!status || uid === undefined) {
        this.forget(id);
        return undefined;
      }
      const known = (): ObservedContainer | undefined => this.#pods.get(uid)?.containers.get(id);
      const container = await observedOf(
        status,
        sandboxId ?? known()?.sandboxId ?? (await this.#sandboxOf(id)),
      );
      if (!take()) return known();
      this.#entry(uid, status.labels).containers.set(id, container);
      this.#ownerOf.set(id, uid);
      const grace = Number(status.annotations[annotations.gracePeriodSeconds]);
      this.#notes.set(id, { gracePeriodSeconds: Number.isFinite(grace) && grace > 0 ? grace : undefined });
      return container;
    });
  }

  /**
   * Looks at whatever an event named. Without an owner it is new to us: a container or a sandbox that another
   * process made. Resolves to the pod concerned.
   */
  async lookAt(id: string): Promise<string | undefined> {
    const uid = this.#ownerOf.get(id);
    if (uid !== undefined && this.#pods.get(uid)?.sandboxes.has(id)) await this.lookAtSandbox(id);
    else await this.lookAtContainer(id);
    return uid ?? this.#ownerOf.get(id);
  }

  forget(id: string): void {
    const looks = this.#looks.get(id);
    if (looks) looks.taken = looks.lastAsked + 1;
    const uid = this.#ownerOf.get(id);
    this.#ownerOf.delete(id);
    this.#notes.delete(id);
    const entry = uid === undefined ? undefined : this.#pods.get(uid);
    if (!entry) return;
    entry.sandboxes.delete(id);
    entry.containers.delete(id);
    if (entry.sandboxes.size === 0 && entry.containers.size === 0) this.#pods.delete(entry.uid);
  }

  /** `take` is called when the answer is at hand: false when one that was asked for later has come first. */
  async #looking<T>(id: string, look: (take: () => boolean) => Promise<T>): Promise<T> {
    const looks = this.#looks.get(id) ?? { waiting: 0, lastAsked: 0, taken: 0 };
    this.#looks.set(id, looks);
    looks.waiting += 1;
    const turn = (looks.lastAsked = Math.max(looks.lastAsked, looks.taken) + 1);
    const take = (): boolean => {
      if (looks.taken > turn) return false;
      looks.taken = turn;
      return true;
    };
    try {
      return await look(take);
    } finally {
      looks.waiting -= 1;
      if (looks.waiting === 0) this.#looks.delete(id);
    }
  }

  async #sandboxOf(containerId: string): Promise<string> {
    const { containers } = await this.#cri.listContainers({ filter: { id: containerId } });
    return containers[0]?.podSandboxId ?? '';
  }

  #entry(uid: string, from: Record<string, string>): PodEntry {
    let entry = this.#pods.get(uid);
    if (!entry) {
      entry = {
        uid,
        namespace: from[labels.podNamespace] ?? '',
        name: from[labels.podName] ?? '',
        sandboxes: new Map(),
        containers: new Map(),
      };
      this.#pods.set(uid, entry);
    }
    return entry;
  }
}

function sandboxOf(status: PodSandboxStatus): ObservedSandbox {
  const hostNetwork = status.linux?.namespaces?.options?.network === NamespaceMode.NODE;
  const network = status.network;
  return {
    id: status.id,
    attempt: status.metadata?.attempt ?? 0,
    ready: status.state === PodSandboxState.SANDBOX_READY,
    hostNetwork,
    ips: hostNetwork || !network?.ip ? [] : [network.ip, ...network.additionalIps.map(({ ip }) => ip)],
    createdAtMs: milliseconds(status.createdAt),
  };
}

const stateNames: Record<ContainerState, ObservedContainerState> = {
  [ContainerState.CONTAINER_CREATED]: 'created',
  [ContainerState.CONTAINER_RUNNING]: 'running',
  [ContainerState.CONTAINER_EXITED]: 'exited',
  [ContainerState.CONTAINER_UNKNOWN]: 'unknown',
};

/** CRI's nanoseconds as milliseconds with their fraction, so that order within one is kept. */
const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds) / 1e6;

async function observedOf(status: CriContainerStatus, sandboxId: string): Promise<ObservedContainer> {
  const state = stateNames[status.state];
  const user = status.user?.linux;
  const attempt = Number(status.annotations[annotations.restartCount] ?? status.metadata?.attempt ?? 0);
  return {
    id: status.id,
    name: status.labels[labels.containerName] ?? status.metadata?.name ?? '',
    sandboxId,
    attempt,
    state,
    createdAtMs: milliseconds(status.createdAt),
    startedAtMs: milliseconds(status.startedAt),
    finishedAtMs: milliseconds(status.finishedAt),
    exitCode: status.exitCode,
    reason: status.reason,
    message: state === 'exited' ? await terminationMessage(status) : '',
    image: status.image?.image || status.image?.userSpecifiedImage || '',
    imageId: status.imageRef,
    hash: status.annotations[annotations.hash] ?? '',
    user: user
      ? {
          uid: Number(user.uid),
          gid: Number(user.gid),
          supplementalGroups: user.supplementalGroups.map(Number),
        }
      : undefined,
  };
}
