/**
 * The scheduler: gives every pod without a node one, as kube-scheduler does.
 *
 * Promises: a pod is bound within milliseconds of the change that makes it fit; no node is filled beyond what
 * it has, also while bindings are under way; a pod that fits nowhere is told why, in upstream's words
 * (`FailedScheduling`, condition `PodScheduled`). It needs nothing but the Kubernetes API.
 *
 * ```ts
 * await using scheduler = startScheduler({ client, log: logger('scheduler') });
 * await scheduler.synced;
 * ```
 */
export { type Scheduler, type SchedulerOptions, startScheduler } from './scheduler.ts';
