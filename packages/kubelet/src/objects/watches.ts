import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap, Pod, Secret } from '@cloudless/kube/types/core-v1';
import { VolumeError } from '../volumes/host-path.ts';
import type { ObjectWatches } from '../worker/services.ts';
import { type ObjectName, referencesOf } from './references.ts';

interface Watched {
  informer: Informer<ConfigMap | Secret>;
  /** Uid of each pod that needs it, and whom to tell of changes. */
  holders: Map<string, () => void>;
}

/** How long a first look may take before the pod is told that the API does not answer. */
const firstLookMs = 5000;

/**
 * ConfigMaps and Secrets by a watch of each single object, as a node may see only those its pods refer to
 * (upstream: util/manager watch_based_manager.go). One watch an object, however many pods use it.
 */
export class SingleObjectWatches implements ObjectWatches {
  readonly #options: { client: KubeClient; clock: Clock; log: Logger };
  readonly #watched = new Map<string, Watched>();
  readonly #heldBy = new Map<string, Set<string>>();

  constructor(options: { client: KubeClient; clock: Clock; log: Logger }) {
    this.#options = options;
  }

  hold(pod: Pod, onChange: () => void): void {
    const uid = pod.metadata.uid!;
    const wanted = new Map(referencesOf(pod).map((name) => [keyOf(name), name]));
    const before = this.#heldBy.get(uid) ?? new Set();
    for (const key of before) if (!wanted.has(key)) this.#drop(key, uid);
    for (const [key, name] of wanted) this.#watch(key, name).holders.set(uid, onChange);
    this.#heldBy.set(uid, new Set(wanted.keys()));
  }

  release(uid: string): void {
    for (const key of this.#heldBy.get(uid) ?? []) this.#drop(key, uid);
    this.#heldBy.delete(uid);
  }

  async configMap(namespace: string, name: string): Promise<ConfigMap | undefined> {
    return this.#read({ kind: 'configmaps', namespace, name });
  }

  async secret(namespace: string, name: string): Promise<Secret | undefined> {
    return await this.#read({ kind: 'secrets', namespace, name });
  }

  async stop(): Promise<void> {
    const all = [...this.#watched.values()];
    this.#watched.clear();
    this.#heldBy.clear();
    await Promise.all(all.map(({ informer }) => informer.stop()));
  }

  #watch(key: string, name: ObjectName): Watched {
    let watched = this.#watched.get(key);
    if (watched) return watched;
    const { client, clock, log } = this.#options;
    const informer = startInformer<ConfigMap | Secret>({
      client,
      resource: name.kind === 'secrets' ? core.secrets : core.configmaps,
      namespace: name.namespace,
      fieldSelector: `metadata.name=${name.name}`,
      clock,
      log,
    });
    const holders = new Map<string, () => void>();
    const tell = (): void => {
      for (const onChange of holders.values()) onChange();
    };
    informer.addHandler({ add: (_, initial) => (initial ? undefined : tell()), update: tell, delete: tell });
    watched = { informer, holders };
    this.#watched.set(key, watched);
    return watched;
  }

  #drop(key: string, uid: string): void {
    const watched = this.#watched.get(key);
    if (!watched) return;
    watched.holders.delete(uid);
    if (watched.holders.size > 0) return;
    this.#watched.delete(key);
    void watched.informer.stop();
  }

  async #read(name: ObjectName): Promise<ConfigMap | Secret | undefined> {
    const watched = this.#watched.get(keyOf(name));
    if (!watched)
      throw new VolumeError(
        `${name.kind} "${name.namespace}/${name.name}" is not referred to by any pod here`,
      );
    if (!watched.informer.hasSynced) await this.#firstLook(name, watched.informer);
    return watched.informer.store.list()[0];
  }

  async #firstLook(name: ObjectName, informer: Informer<ConfigMap | Secret>): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = this.#options.clock.setTimeout(() => {
      const why =
        informer.lastError instanceof Error ? informer.lastError.message : 'the API does not answer';
      reject(
        new VolumeError(`failed to sync ${name.kind === 'secrets' ? 'secret' : 'configmap'} cache: ${why}`),
      );
    }, firstLookMs);
    try {
      await Promise.race([informer.synced, promise]);
    } finally {
      timer.cancel();
    }
  }
}

const keyOf = (name: ObjectName): string => `${name.kind}/${name.namespace}/${name.name}`;
