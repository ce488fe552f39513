import type { Pod } from '@cloudless/kube/types/core-v1';
import type { Rejection } from '../admit/admission.ts';
import { Occupancy } from '../admit/occupancy.ts';
import { podReference } from '../events.ts';
import { isStaticPod } from '../naming/pod.ts';
import { isCritical } from '../resources/qos.ts';
import { labels } from '../runtime/labels.ts';
import type { ObservedPod } from '../sync/observed.ts';
import { PodWorker } from '../worker/worker.ts';
import type { WorkerServices } from '../worker/services.ts';

/** The pods of this node, each with its worker: those of the API, those of files, and those nobody wants. */
export class PodSet {
  readonly #services: WorkerServices;
  readonly #workers = new Map<string, PodWorker>();
  /** Static pods that wait for an earlier version of themselves to end. */
  readonly #queued = new Map<string, Pod>();
  readonly #onGone: (uid: string) => void;
  readonly #reject: (pod: Pod, taken: Occupancy) => Rejection | undefined;
  readonly #taken = new Occupancy();
  #closed = false;

  constructor(options: {
    services: WorkerServices;
    onGone: (uid: string) => void;
    /** Why a new pod of the API may not run beside the others. */
    reject: (pod: Pod, taken: Occupancy) => Rejection | undefined;
  }) {
    this.#services = options.services;
    this.#onGone = options.onGone;
    this.#reject = options.reject;
  }

  get(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  all(): PodWorker[] {
    return [...this.#workers.values()];
  }

  /** A pod of the API is new or has changed. */
  put(pod: Pod): void {
    const uid = pod.metadata.uid!;
    const worker = this.#workers.get(uid);
    if (worker) worker.update(pod);
    else this.#admit(pod);
  }

  drop(uid: string, last?: Pod): void {
    this.#workers.get(uid)?.remove(last);
  }

  /** The whole set of static pods. One that changed waits until its earlier version has ended. */
  putStatic(pods: readonly Pod[]): void {
    const wanted = new Set(pods.map((pod) => pod.metadata.uid!));
    this.#queued.clear();
    for (const worker of this.all()) {
      if (isStaticPod(worker.pod) && !wanted.has(worker.uid)) worker.remove();
    }
    for (const pod of pods) {
      const running = this.#workers.get(pod.metadata.uid!);
      if (running && !isEnding(running)) continue;
      if (this.#sameName(pod)) this.#queued.set(pod.metadata.uid!, pod);
      else this.#start(pod);
    }
  }

  /** Ends what the runtime has and no source wants. */
  endOrphan(observed: ObservedPod, graceSeconds: number): void {
    if (this.#workers.has(observed.uid)) return;
    this.#services.log.info(
      { pod: observed.name, namespace: observed.namespace, uid: observed.uid },
      'ending a pod that no source knows',
    );
    this.#start(podOfObserved(observed, graceSeconds));
    this.drop(observed.uid);
  }

  /** Ends every pod: critical ones last, each part in its time. Nothing is told to the API. */
  async takeDown(limits: { ordinarySeconds: number; criticalSeconds: number }): Promise<void> {
    this.#closed = true;
    this.#queued.clear();
    const workers = this.all();
    const ordinary = workers.filter((worker) => !isCritical(worker.pod));
    const critical = workers.filter((worker) => isCritical(worker.pod));
    await Promise.all(ordinary.map((worker) => worker.takeDown(limits.ordinarySeconds)));
    await Promise.all(critical.map((worker) => worker.takeDown(limits.criticalSeconds)));
  }

  /** Stops looking after pods; they run on. */
  async halt(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.all().map((worker) => worker.halt()));
  }

  /** A pod that ran here before is taken as it is; a new one is looked at first. */
  #admit(pod: Pod): void {
    const known =
      pod.status?.startTime !== undefined || this.#services.view.pod(pod.metadata.uid!) !== undefined;
    const rejection = known ? undefined : this.#reject(pod, this.#taken);
    const worker = this.#start(pod);
    if (!rejection || !worker) return;
    this.#taken.remove(worker.uid);
    this.#services.events(podReference(pod), 'Warning', rejection.reason, rejection.message);
    worker.fail({
      phase: 'Failed',
      reason: rejection.reason,
      message: `Pod was rejected: ${rejection.message}`,
    });
  }

  #sameName(pod: Pod): boolean {
    return this.all().some(
      (worker) =>
        worker.pod.metadata.name === pod.metadata.name &&
        worker.pod.metadata.namespace === pod.metadata.namespace,
    );
  }

  #start(pod: Pod): PodWorker | undefined {
    if (this.#closed) return undefined;
    const uid = pod.metadata.uid!;
    const worker = new PodWorker({
      pod,
      services: this.#services,
      onTerminated: () => this.#taken.remove(uid),
      onGone: () => this.#gone(uid),
    });
    this.#workers.set(uid, worker);
    this.#taken.add(pod);
    // Not before whoever made it has said all there is to say about it.
    queueMicrotask(() => worker.wake());
    return worker;
  }

  #gone(uid: string): void {
    this.#workers.delete(uid);
    this.#onGone(uid);
    for (const [waiting, pod] of this.#queued) {
      if (this.#sameName(pod)) continue;
      this.#queued.delete(waiting);
      this.#start(pod);
    }
  }
}

const isEnding = (worker: PodWorker): boolean =>
  worker.state !== 'running' && worker.pod.metadata.deletionTimestamp !== undefined;

/** A pod as far as the runtime remembers it: enough to end it. */
function podOfObserved(observed: ObservedPod, graceSeconds: number): Pod {
  const names = [...new Set(observed.containers.map(({ name }) => name))];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: observed.name,
      namespace: observed.namespace,
      uid: observed.uid,
      labels: { [labels.podUid]: observed.uid },
      deletionTimestamp: new Date(0).toISOString(),
      deletionGracePeriodSeconds: graceSeconds,
    },
    spec: { containers: names.map((name) => ({ name })) },
  };
}
