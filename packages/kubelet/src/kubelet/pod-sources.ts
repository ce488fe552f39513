import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import type { Running } from '@cloudless/kube/lifecycle';
import { core } from '@cloudless/kube/resources';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { type EventSink, nodeReference } from '../events.ts';
import { isMirrorPod, isStaticPod } from '../naming/pod.ts';
import { MirrorPods } from '../podsource/mirror.ts';
import { watchStaticFolder } from '../podsource/static-folder.ts';
import type { PodSet } from './pod-set.ts';
import type { KubeletOptions } from './start.ts';

export interface PodSourcesOptions {
  kubelet: KubeletOptions;
  pods: PodSet;
  events: EventSink;
  node(): Node | undefined;
  /** The API's object of a pod changed, so that its status may need writing again. */
  reconcileStatus(uid: string): void;
  /** The API has said which pods it wants. */
  onSynced(): void;
}

/** Where pods come from: the static folder, and the API; and the mirrors of the one in the other. */
export class PodSources {
  readonly #options: PodSourcesOptions;
  readonly #mirrors: MirrorPods;
  readonly #parts: Running[] = [];
  #apiPods: Informer<Pod> | undefined;
  #staticPods: readonly Pod[] = [];

  constructor(options: PodSourcesOptions) {
    this.#options = options;
    const { client, context, log } = options.kubelet;
    this.#mirrors = new MirrorPods({
      client,
      clock: context.clock,
      log,
      node: () => options.node(),
      stored: (namespace, name) => this.#apiPods?.store.get(`${namespace}/${name}`),
      mirrors: () => (this.#apiPods?.hasSynced ? this.#apiPods.store.list().filter(isMirrorPod) : []),
    });
  }

  /** Every source has said what it wants. */
  get synced(): boolean {
    return this.#apiPods?.hasSynced === true;
  }

  /** Resolves when the folder has been read once. Needs no API. */
  async startStatic(): Promise<void> {
    const { context, config, log } = this.#options.kubelet;
    if (config.staticPodPath === '') return;
    const folder = await watchStaticFolder({
      folder: config.staticPodPath,
      nodeName: context.nodeName,
      clock: context.clock,
      log,
      checkMs: config.fileCheckFrequencyMs,
      onPods: (pods) => {
        this.#staticPods = pods;
        this.#options.pods.putStatic(pods);
        if (this.synced) this.#mirrors.want(pods);
      },
      onBadFile: (path, why) =>
        this.#options.events(
          nodeReference(context.nodeName),
          'Warning',
          'InvalidStaticPod',
          `${path}: ${why}`,
        ),
    });
    this.#parts.push(folder);
  }

  startApi(): void {
    const { client, context, log } = this.#options.kubelet;
    const informer = startInformer({
      client,
      resource: core.pods,
      fieldSelector: `spec.nodeName=${context.nodeName}`,
      clock: context.clock,
      log,
    });
    this.#apiPods = informer;
    this.#parts.push(informer);
    informer.addHandler({
      add: (pod) => this.#changed(pod),
      update: (pod) => this.#changed(pod),
      delete: (pod) => this.#deleted(pod),
    });
    void informer.synced.then(
      () => {
        this.#mirrors.want(this.#staticPods);
        this.#options.onSynced();
      },
      () => undefined,
    );
  }

  /** The API's object of a pod as last seen: itself, or a static pod's mirror. */
  stored(pod: Pod): Pod | undefined {
    const found = this.#apiPods?.store.get(`${pod.metadata.namespace}/${pod.metadata.name}`);
    if (!found) return undefined;
    if (isStaticPod(pod)) return isMirrorPod(found) ? found : undefined;
    return found.metadata.uid === pod.metadata.uid ? found : undefined;
  }

  /** The node came, or a pod went: a mirror may be missing or too many. */
  wakeMirrors(): void {
    this.#mirrors.wake();
  }

  /** No pod comes or goes any more. */
  async stop(): Promise<void> {
    await this.#mirrors.stop();
    await Promise.all(this.#parts.map((part) => part.stop()));
  }

  #changed(pod: Pod): void {
    const { pods } = this.#options;
    const reconcileStatus = (uid: string): void => this.#options.reconcileStatus(uid);
    if (!isMirrorPod(pod)) {
      pods.put(pod);
      reconcileStatus(pod.metadata.uid!);
      return;
    }
    this.#mirrors.wake();
    const { name, namespace } = pod.metadata;
    const own = this.#staticPods.find(
      ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
    );
    if (own) reconcileStatus(own.metadata.uid!);
  }

  #deleted(pod: Pod): void {
    if (isMirrorPod(pod)) this.#mirrors.wake();
    else this.#options.pods.drop(pod.metadata.uid!, pod);
  }
}
