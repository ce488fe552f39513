import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { configAnnotations, isMirrorPod } from '../naming/pod.ts';
import { WakeLoop } from '../worker/wake-loop.ts';

export interface MirrorOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** This node's object, once registered: mirrors are owned by it (NodeRestriction insists). */
  node(): Node | undefined;
  /** The API's pods of this node as last seen. */
  stored(namespace: string, name: string): Pod | undefined;
  /** Mirrors now in the API. */
  mirrors(): readonly Pod[];
}

const retryMs = 5000;

/**
 * Keeps the API's picture of static pods (upstream: pod/mirror_client.go): made when missing, made anew when it
 * shows an older version, deleted when its file is gone. Deleting a mirror never stops the pod.
 */
export class MirrorPods {
  readonly #options: MirrorOptions;
  #wanted = new Map<string, Pod>();
  readonly #loop: WakeLoop;

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#loop = new WakeLoop(options.clock, (signal) => this.#write(signal));
  }

  /** The static pods that are to be seen in the API. */
  want(pods: readonly Pod[]): void {
    this.#wanted = new Map(pods.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
    this.wake();
  }

  /** Something in the API changed. */
  wake(): void {
    this.#loop.wake();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #write(signal: AbortSignal): Promise<number | undefined> {
    try {
      await this.#reconcile();
      return undefined;
    } catch (error) {
      if (!signal.aborted) {
        this.#options.log.debug({ err: error }, 'mirror pods not written; will be tried again');
      }
      return retryMs;
    }
  }

  async #reconcile(): Promise<void> {
    const node = this.#options.node();
    if (!node) return;
    for (const mirror of this.#options.mirrors()) {
      const wanted = this.#wanted.get(`${mirror.metadata.namespace}/${mirror.metadata.name}`);
      const fits =
        wanted?.metadata.annotations?.[configAnnotations.hash] ===
        mirror.metadata.annotations?.[configAnnotations.mirror];
      if (!fits || mirror.metadata.deletionTimestamp !== undefined) await this.#delete(mirror);
    }
    for (const pod of this.#wanted.values()) {
      const present = this.#options.stored(pod.metadata.namespace!, pod.metadata.name!);
      if (!present) await this.#create(pod, node);
      else if (!isMirrorPod(present)) {
        this.#options.log.warn(
          { pod: pod.metadata.name },
          'a pod of this name is in the API already: the static pod has no mirror',
        );
      }
    }
  }

  async #create(pod: Pod, node: Node): Promise<void> {
    const mirror: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: pod.metadata.name!,
        namespace: pod.metadata.namespace!,
        ...(pod.metadata.labels ? { labels: pod.metadata.labels } : {}),
        annotations: {
          ...pod.metadata.annotations,
          [configAnnotations.mirror]: pod.metadata.annotations![configAnnotations.hash]!,
        },
        ownerReferences: [
          {
            apiVersion: 'v1',
            kind: 'Node',
            name: node.metadata.name!,
            uid: node.metadata.uid!,
            controller: true,
          },
        ],
      },
      spec: pod.spec!,
    };
    try {
      await this.#options.client.create(core.pods, mirror, { signal: this.#loop.signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async #delete(mirror: Pod): Promise<void> {
    try {
      await this.#options.client.delete(core.pods, mirror.metadata.name!, {
        namespace: mirror.metadata.namespace,
        gracePeriodSeconds: 0,
        preconditions: { uid: mirror.metadata.uid! },
        signal: this.#loop.signal,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}
