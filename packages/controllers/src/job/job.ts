import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { batch, core } from '@cloudless/kube/resources';
import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { Job, JobStatus } from '@cloudless/kube/types/batch-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import {
  claim,
  controllerOf,
  controllerReference,
  controllerUid,
  controllerUidIndex,
  orphansIn,
} from '../owner/controller-ref.ts';
import { Expectations } from '../owner/expectations.ts';
import { isPodTerminal } from '../pods/condition.ts';
import { PodControl, isNamespaceTerminating, slowStart } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { FailureBackoff } from './backoff.ts';
import { formatIndexes, indexOf, pendingIndexes } from './indexes.ts';
import { jobPodTemplate } from './pod-template.ts';
import {
  type JobState,
  type Verdict,
  deadlineLeftMs,
  isFinished,
  isIndexed,
  isTracked,
  jobCondition,
  stateOf,
  trackingFinalizer,
  verdictOf,
  wantedActive,
  withJobCondition,
} from './state.ts';

const workers = 5;
/** Pods made at a time (upstream: MaxPodCreateDeletePerSync). */
const burstPods = 500;

/** Runs Jobs to their end (upstream: pkg/controller/job). */
export function startJobController(context: ControllerContext): Controller {
  const client = context.clientFor('job-controller');
  const events = recorderFor(context, 'job-controller', client);
  const jobs = context.informers.of(batch.jobs);
  const pods = context.informers.of(core.pods);
  pods.addIndex(controllerUidIndex, controllerUid);
  const controller = new JobController(client, events, context.clock, jobs, pods);
  return startQueue(
    context,
    {
      name: 'job',
      workers,
      waitFor: [jobs, pods],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

class JobController {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #clock: Clock;
  readonly #jobs: Informer<Job>;
  readonly #pods: Informer<Pod>;
  readonly #podControl: PodControl;
  readonly #expectations: Expectations;
  readonly #backoff: FailureBackoff;

  constructor(
    client: KubeClient,
    events: EventRecorder,
    clock: Clock,
    jobs: Informer<Job>,
    pods: Informer<Pod>,
  ) {
    this.#client = client;
    this.#events = events;
    this.#clock = clock;
    this.#jobs = jobs;
    this.#pods = pods;
    this.#podControl = new PodControl(client, events);
    this.#expectations = new Expectations(clock);
    this.#backoff = new FailureBackoff(clock);
  }

  wire(queue: WorkQueue): void {
    this.#jobs.addHandler({
      add: (job) => queue.add(keyOf(job)),
      update: (job) => queue.add(keyOf(job)),
      delete: (job) => {
        this.#expectations.forget(keyOf(job));
        this.#backoff.forget(job.metadata.uid ?? '');
        // Its pods still carry our finalizer.
        for (const pod of this.#pods.store.byIndex(controllerUidIndex, job.metadata.uid ?? '')) {
          if (isTracked(pod)) queue.add(`orphan:${keyOf(pod)}`);
        }
        queue.add(keyOf(job));
      },
    });
    const look = (pod: Pod, seen: 'added' | 'changed' | 'gone'): void => {
      const controller = controllerOf(pod);
      if (!controller) {
        if (isTracked(pod)) queue.add(`orphan:${keyOf(pod)}`);
        for (const job of this.#jobs.store.byIndex(namespaceIndex, pod.metadata.namespace ?? '')) {
          if (selectorOf(job)?.matches(pod.metadata.labels)) queue.add(keyOf(job));
        }
        return;
      }
      if (controller.kind !== batch.jobs.kind) return;
      const job = this.#jobs.store.get(`${pod.metadata.namespace ?? ''}/${controller.name}`);
      if (job?.metadata.uid !== controller.uid) {
        if (isTracked(pod) && seen !== 'gone') queue.add(`orphan:${keyOf(pod)}`);
        return;
      }
      if (seen === 'gone' || pod.metadata.deletionTimestamp !== undefined) {
        this.#expectations.deletionObserved(keyOf(job), pod.metadata.uid ?? '');
      } else if (seen === 'added') this.#expectations.creationObserved(keyOf(job));
      queue.add(keyOf(job));
    };
    this.#pods.addHandler({
      add: (pod) => look(pod, 'added'),
      update: (pod) => look(pod, 'changed'),
      delete: (pod) => look(pod, 'gone'),
    });
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    if (key.startsWith('orphan:')) return this.#freeOrphan(key.slice('orphan:'.length), signal);
    const job = this.#jobs.store.get(key);
    if (!job) {
      this.#expectations.forget(key);
      return undefined;
    }
    const selector = selectorOf(job);
    if (!selector || isFinished(job) || job.metadata.deletionTimestamp !== undefined) return undefined;
    if (job.spec?.managedBy !== undefined && job.spec.managedBy !== 'kubernetes.io/job-controller')
      return undefined;
    if (job.spec?.backoffLimitPerIndex !== undefined) {
      const message = 'spec.backoffLimitPerIndex is not supported by this cluster; use backoffLimit';
      this.#events.event(job, 'Warning', 'UnsupportedField', message);
      return undefined;
    }
    const pods = await claim(
      { client: this.#client, ownerResource: batch.jobs, owner: job, selector, resource: core.pods, signal },
      [
        ...this.#pods.store.byIndex(controllerUidIndex, job.metadata.uid ?? ''),
        ...this.#pods.store.byIndex(controllerUidIndex, orphansIn(job.metadata.namespace)),
      ],
    );
    return this.#step(key, job, pods, signal);
  }

  async #step(
    key: string,
    job: Job,
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<void | { requeueAfterMs: number }> {
    const nowMs = this.#clock.nowMs();
    const state = stateOf(job, pods);
    this.#backoff.note(job.metadata.uid ?? '', state.newlyFailed, state.newlySucceeded);
    const verdict = verdictOf(job, state, nowMs);
    let waitMs: number | undefined;
    let active = state.active.length;
    let failure: unknown;
    if (verdict || job.spec?.suspend) {
      if (this.#expectations.satisfied(key)) {
        await this.#end(key, job, state.active, signal);
        state.terminating += active;
        active = 0;
      }
    } else if (this.#expectations.satisfied(key)) {
      const outcome = await this.#manage(key, job, state, signal);
      ({ waitMs, error: failure } = outcome);
      active += outcome.change;
    }
    const status = this.#status(job, state, active, verdict, nowMs);
    await this.#write(job, status, signal);
    await this.#release(pods, state, signal);
    if (failure) throw failure;
    const leftMs = deadlineLeftMs({ ...job, status }, nowMs);
    const waits = [waitMs, leftMs].filter((ms) => ms !== undefined && ms > 0) as number[];
    return waits.length > 0 && !verdict ? { requeueAfterMs: Math.min(...waits) } : undefined;
  }

  /** Brings the number of working pods to what is wanted. */
  async #manage(
    key: string,
    job: Job,
    state: JobState,
    signal: AbortSignal,
  ): Promise<{ change: number; waitMs?: number; error?: unknown }> {
    const wanted = wantedActive(job, state);
    const surplus = state.active.length - wanted;
    if (surplus > 0) {
      const youngest = [...state.active].sort(lessDone).slice(0, surplus);
      await this.#end(key, job, youngest, signal);
      return { change: -surplus };
    }
    // Those that are going count until they have, where the Job wants replacements for failed ones only.
    const waits =
      (job.spec?.podReplacementPolicy ?? (job.spec?.podFailurePolicy ? 'Failed' : '')) === 'Failed';
    const missing = Math.min(burstPods, -surplus - (waits ? state.terminating : 0));
    if (missing <= 0) return { change: 0 };
    const waitMs = this.#backoff.waitMs(job.metadata.uid ?? '');
    if (waitMs > 0) return { change: 0, waitMs };
    const busy = new Set([...state.completedIndexes, ...state.active.flatMap((pod) => indexOf(pod) ?? [])]);
    const indexes = isIndexed(job) ? pendingIndexes(job.spec?.completions ?? 0, busy, missing) : undefined;
    const count = indexes?.length ?? missing;
    this.#expectations.expectCreations(key, count);
    const reference = controllerReference(batch.jobs, job);
    const { succeeded, error } = await slowStart(count, async () => {
      const index = indexes?.shift();
      const name = `${job.metadata.name}-`;
      try {
        await this.#podControl.create(jobPodTemplate(job, index), job, reference, {
          signal,
          generateName: index === undefined ? name : `${name}${index}-`,
        });
      } catch (failure) {
        if (!isNamespaceTerminating(failure)) throw failure;
        this.#expectations.creationObserved(key);
      }
    });
    for (let i = succeeded; i < count; i++) this.#expectations.creationObserved(key);
    return { change: succeeded, error };
  }

  async #end(key: string, job: Job, pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    if (pods.length === 0) return;
    this.#expectations.expectDeletions(
      key,
      pods.map((pod) => pod.metadata.uid ?? ''),
    );
    const results = await Promise.allSettled(
      pods.map(async (pod) => {
        try {
          await this.#podControl.delete(pod, job, signal);
        } catch (error) {
          this.#expectations.deletionObserved(key, pod.metadata.uid ?? '');
          if (!isNotFound(error)) throw error;
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  #status(job: Job, state: JobState, active: number, verdict: Verdict | undefined, nowMs: number): JobStatus {
    const { uncounted } = state;
    const pending = uncounted.succeeded.length + uncounted.failed.length;
    const suspended = job.spec?.suspend === true;
    const startTime = suspended ? undefined : (job.status?.startTime ?? formatTime(nowMs));
    const indexed = isIndexed(job);
    const succeeded = indexed ? state.succeeded : state.succeeded - uncounted.succeeded.length;
    const failed = state.failed - uncounted.failed.length;
    const status: JobStatus = {
      ...(active > 0 ? { active } : {}),
      ready: state.ready,
      terminating: state.terminating,
      ...(succeeded > 0 ? { succeeded } : {}),
      ...(failed > 0 ? { failed } : {}),
      ...(startTime === undefined ? {} : { startTime }),
      ...(indexed && state.completedIndexes.size > 0
        ? { completedIndexes: formatIndexes(state.completedIndexes) }
        : {}),
      uncountedTerminatedPods: {
        ...(uncounted.succeeded.length > 0 ? { succeeded: uncounted.succeeded } : {}),
        ...(uncounted.failed.length > 0 ? { failed: uncounted.failed } : {}),
      },
      ...(job.status?.conditions ? { conditions: job.status.conditions } : {}),
    };
    if (!verdict) return this.#suspension(job, status, nowMs);
    const interim = verdict.type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
    const { reason, message } = verdict;
    status.conditions = withJobCondition(status, interim, 'True', reason, message, nowMs);
    // The last word comes when every pod has ended and is counted.
    if (active + state.terminating + pending > 0) return status;
    status.conditions = withJobCondition(status, verdict.type, 'True', reason, message, nowMs);
    if (verdict.type === 'Complete') status.completionTime = formatTime(nowMs);
    return status;
  }

  #suspension(job: Job, status: JobStatus, nowMs: number): JobStatus {
    const was = jobCondition(job, 'Suspended') !== undefined;
    if (job.spec?.suspend && !was) {
      const conditions = withJobCondition(
        status,
        'Suspended',
        'True',
        'JobSuspended',
        'Job suspended',
        nowMs,
      );
      return { ...status, conditions };
    }
    if (!job.spec?.suspend && was) {
      const conditions = withJobCondition(status, 'Suspended', 'False', 'JobResumed', 'Job resumed', nowMs);
      return { ...status, conditions, startTime: formatTime(nowMs) };
    }
    return status;
  }

  async #write(job: Job, status: JobStatus, signal: AbortSignal): Promise<void> {
    if (semanticEqual(job.status, status)) return;
    try {
      await this.#client.update(batch.jobs, { ...job, status }, { subresource: 'status', signal });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    this.#tell(job, status);
  }

  /** Events for what the written status says for the first time. */
  #tell(job: Job, status: JobStatus): void {
    const now = (type: string, value = 'True'): JobStatus['conditions'] =>
      (status.conditions ?? []).filter(
        (one) =>
          one.type === type &&
          one.status === value &&
          !(job.status?.conditions ?? []).some((old) => old.type === type && old.status === value),
      );
    if (now('Complete')?.length) this.#events.event(job, 'Normal', 'Completed', 'Job completed');
    const failed = now('Failed')?.[0];
    if (failed) this.#events.event(job, 'Warning', failed.reason ?? '', failed.message ?? '');
    if (now('Suspended')?.length) this.#events.event(job, 'Normal', 'Suspended', 'Job suspended');
    if (now('Suspended', 'False')?.length) this.#events.event(job, 'Normal', 'Resumed', 'Job resumed');
  }

  /** What the status has taken in may go; not before, or it would be forgotten. */
  async #release(pods: readonly Pod[], state: JobState, signal: AbortSignal): Promise<void> {
    const counted = new Set([...state.uncounted.succeeded, ...state.uncounted.failed, ...state.ignored]);
    const ended = pods.filter(
      (pod) =>
        isTracked(pod) &&
        (counted.has(pod.metadata.uid ?? '') ||
          (isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined)),
    );
    const results = await Promise.allSettled(ended.map((pod) => this.#free(pod, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #free(pod: Pod, signal: AbortSignal): Promise<void> {
    const { name = '', namespace, uid, resourceVersion } = pod.metadata;
    const finalizers = (pod.metadata.finalizers ?? []).filter((one) => one !== trackingFinalizer);
    const metadata = { uid, resourceVersion, finalizers: finalizers.length === 0 ? null : finalizers };
    try {
      await this.#client.patch(core.pods, name, 'merge', { metadata }, { namespace, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** A pod whose Job is gone is nobody's to count. */
  async #freeOrphan(key: string, signal: AbortSignal): Promise<void> {
    const pod = this.#pods.store.get(key);
    if (!pod || !isTracked(pod)) return;
    const controller = controllerOf(pod);
    const job = controller && this.#jobs.store.get(`${pod.metadata.namespace ?? ''}/${controller.name}`);
    if (job && job.metadata.uid === controller.uid) return;
    await this.#free(pod, signal);
  }
}

/** Those that have done least come first: unscheduled, pending, not ready, young. */
function lessDone(a: Pod, b: Pod): number {
  const rank = (pod: Pod): number => (pod.spec?.nodeName ? 1 : 0) + (pod.status?.phase === 'Running' ? 1 : 0);
  const created = (pod: Pod): string => pod.metadata.creationTimestamp ?? '';
  return rank(a) - rank(b) || (created(a) < created(b) ? 1 : -1);
}

function selectorOf(job: Job): Selector | undefined {
  try {
    const selector = selectorFromObject(job.spec?.selector);
    return selector.isEmpty ? undefined : selector;
  } catch {
    return undefined;
  }
}
