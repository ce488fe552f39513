import type { KubeClient } from '@cloudless/kube/client/client';
import type { Informer } from '@cloudless/kube/informer/informer';
import type { KubeObject } from '@cloudless/kube/object';
import { isNotFound } from '@cloudless/kube/status';
import type { Deployment, ReplicaSet, StatefulSet } from '@cloudless/kube/types/apps-v1';
import type { Scale } from '@cloudless/kube/types/autoscaling-v1';
import type { Pod, ReplicationController } from '@cloudless/kube/types/core-v1';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';
import { controllerOf } from '../owner/controller-ref.ts';
import { discover } from '../runtime/discovery.ts';

export interface Workloads {
  replicaSets: Informer<ReplicaSet>;
  deployments: Informer<Deployment>;
  statefulSets: Informer<StatefulSet>;
  replicationControllers: Informer<ReplicationController>;
}

interface Scaled {
  uid: string;
  replicas: number;
}

/** How many pods the controllers of some pods want, by upstream's rules (getExpectedScale). */
export class ExpectedScale {
  readonly #client: KubeClient;
  readonly #workloads: Workloads;

  constructor(client: KubeClient, workloads: Workloads) {
    this.#client = client;
    this.#workloads = workloads;
  }

  /**
   * The sum of the scales of the pods' controllers, and the names of pods that have none. Throws when a controller's
   * scale cannot be told.
   */
  async of(pods: readonly Pod[], signal: AbortSignal): Promise<{ expected: number; unmanaged: string[] }> {
    const scales = new Map<string, number>();
    const looked = new Set<string>();
    const unmanaged: string[] = [];
    for (const pod of pods) {
      const controller = controllerOf(pod);
      if (!controller) {
        unmanaged.push(pod.metadata.name ?? '');
        continue;
      }
      if (looked.has(controller.uid)) continue;
      looked.add(controller.uid);
      const found = await this.#find(controller, pod.metadata.namespace ?? '', signal);
      if (!found) throw new Error(`found no controllers for pod ${JSON.stringify(pod.metadata.name)}`);
      scales.set(found.uid, found.replicas);
    }
    return { expected: [...scales.values()].reduce((sum, each) => sum + each, 0), unmanaged };
  }

  #find(controller: OwnerReference, namespace: string, signal: AbortSignal): Promise<Scaled | undefined> {
    const [group = ''] = controller.apiVersion.includes('/') ? controller.apiVersion.split('/') : [''];
    const { replicaSets, statefulSets, replicationControllers } = this.#workloads;
    const stored = (informer: Informer<KubeObject>): Scaled | undefined =>
      scaleOf(informer.store.get(`${namespace}/${controller.name}`), controller.uid);
    let known: Scaled | undefined;
    if (group === '' && controller.kind === 'ReplicationController') known = stored(replicationControllers);
    else if (controller.kind === 'ReplicaSet' && (group === 'apps' || group === 'extensions')) {
      const set = replicaSets.store.get(`${namespace}/${controller.name}`);
      const owner = set?.metadata.uid === controller.uid ? controllerOf(set) : undefined;
      known = owner?.kind === 'Deployment' ? this.#deployment(owner, namespace) : stored(replicaSets);
    } else if (controller.kind === 'StatefulSet' && group === 'apps') known = stored(statefulSets);
    return known ? Promise.resolve(known) : this.#subresource(controller, namespace, signal);
  }

  #deployment({ name, uid }: OwnerReference, namespace: string): Scaled | undefined {
    return scaleOf(this.#workloads.deployments.store.get(`${namespace}/${name}`), uid);
  }

  /** Of a custom resource, or of what the informers have not got yet. */
  async #subresource(
    { apiVersion, kind, name, uid }: OwnerReference,
    namespace: string,
    signal: AbortSignal,
  ): Promise<Scaled | undefined> {
    const { byKind } = await discover(this.#client, signal);
    const resource = byKind.get(`${apiVersion}/${kind}`);
    if (!resource) {
      const [version, group] = apiVersion.split('/').reverse();
      throw new Error(
        `no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(group === undefined ? version : apiVersion)}`,
      );
    }
    try {
      const scale = await this.#client.get<Scale>(resource, name, {
        namespace,
        subresource: 'scale',
        signal,
      });
      return scale.metadata?.uid === uid ? { uid, replicas: scale.spec?.replicas ?? 0 } : undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Either the object is gone, or its kind has no scale.
      const { group, version, plural } = resource;
      const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      const list = JSON.parse(await this.#client.raw('GET', path, { signal })) as {
        resources: Array<{ name: string; kind: string }>;
      };
      const hasScale = list.resources.some(
        (each) => each.name === `${plural}/scale` && each.kind === 'Scale',
      );
      if (hasScale) return undefined;
      const named = group === '' ? plural : `${plural}.${group}`;
      throw new Error(`${named} does not implement the scale subresource`, { cause: error });
    }
  }
}

function scaleOf(object: KubeObject | undefined, uid: string): Scaled | undefined {
  if (object?.metadata.uid !== uid) return undefined;
  return { uid, replicas: (object as { spec?: { replicas?: number } }).spec?.replicas ?? 1 };
}
