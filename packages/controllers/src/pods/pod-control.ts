import type { KubeClient } from '@cloudless/kube/client/client';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { StatusError, isNotFound } from '@cloudless/kube/status';
import type { Pod, PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';

/** The namespace is being deleted, so that nothing can be created in it: no failure worth telling. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof StatusError &&
    (error.details?.causes ?? []).some((cause) => cause.reason === 'NamespaceTerminating')
  );
}

/** Longest generateName that leaves room for the suffix within upstream's limit of a pod's name. */
const maxNameBytes = 253;

/** Creates and deletes an owner's pods, telling of each in an event (upstream: controller.RealPodControl). */
export class PodControl {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;

  constructor(client: KubeClient, events: EventRecorder) {
    this.#client = client;
    this.#events = events;
  }

  /** A pod from a template. `generateName` defaults to the owner's name and a dash. */
  async create(
    template: PodTemplateSpec,
    owner: KubeObject,
    reference: OwnerReference,
    options: { generateName?: string; name?: string; signal?: AbortSignal } = {},
  ): Promise<Pod> {
    const prefix = options.generateName ?? `${owner.metadata.name ?? ''}-`;
    const { labels, annotations, finalizers } = template.metadata ?? {};
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...(options.name === undefined
          ? { generateName: prefix.length > maxNameBytes ? (owner.metadata.name ?? '') : prefix }
          : { name: options.name }),
        namespace: owner.metadata.namespace ?? '',
        ...(labels ? { labels } : {}),
        ...(annotations ? { annotations } : {}),
        ...(finalizers ? { finalizers } : {}),
        ownerReferences: [reference],
      },
      ...(template.spec ? { spec: template.spec } : {}),
    };
    try {
      const created = await this.#client.create(core.pods, pod, { signal: options.signal });
      this.#events.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
      return created;
    } catch (error) {
      if (!isNamespaceTerminating(error)) {
        this.#events.event(owner, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
      }
      throw error;
    }
  }

  /** Deletes one pod; one that is gone counts as deleted, but is told to the caller as NotFound. */
  async delete(pod: Pod, owner: KubeObject, signal?: AbortSignal): Promise<void> {
    const { name = '', namespace, uid } = pod.metadata;
    try {
      await this.#client.delete(core.pods, name, {
        namespace,
        signal,
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
      this.#events.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
    } catch (error) {
      if (isNotFound(error)) throw error;
      this.#events.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${(error as Error).message}`);
      throw error;
    }
  }
}

/**
 * Calls `run` `count` times in batches of 1, 2, 4, …: when the first fails (a quota, a webhook), hundreds of calls
 * that would fail too are spared (upstream: slowStartBatch). Returns how many succeeded, and the first error.
 */
export async function slowStart(
  count: number,
  run: () => Promise<void>,
): Promise<{ succeeded: number; error: unknown }> {
  let succeeded = 0;
  for (let size = Math.min(1, count); size > 0; size = Math.min(2 * size, count - succeeded)) {
    const results = await Promise.allSettled(Array.from({ length: size }, run));
    const failed = results.find((result) => result.status === 'rejected');
    succeeded += results.filter((result) => result.status === 'fulfilled').length;
    if (failed) return { succeeded, error: failed.reason };
  }
  return { succeeded, error: undefined };
}
