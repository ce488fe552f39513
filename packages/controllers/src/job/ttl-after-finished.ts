import { keyOf, splitKey } from '@cloudless/kube/informer/informer';
import { batch } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import { parseTime } from '@cloudless/kube/time';
import type { Job } from '@cloudless/kube/types/batch-v1';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { jobCondition } from './state.ts';

const workers = 5;

/** When a finished Job with a time to live is to go, in milliseconds since the epoch; undefined when it stays. */
function expiresAtMs(job: Job): number | undefined {
  const seconds = job.spec?.ttlSecondsAfterFinished;
  const end = jobCondition(job, 'Complete') ?? jobCondition(job, 'Failed');
  const endedMs = parseTime(end?.lastTransitionTime);
  if (seconds === undefined || Number.isNaN(endedMs) || job.metadata.deletionTimestamp !== undefined)
    return undefined;
  return endedMs + seconds * 1000;
}

/** Deletes finished Jobs after their time (upstream: pkg/controller/ttlafterfinished). */
export function startTtlAfterFinished(context: ControllerContext): Controller {
  const client = context.clientFor('ttl-after-finished-controller');
  const jobs = context.informers.of(batch.jobs);
  const sync = async (key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> => {
    const job = jobs.store.get(key);
    const atMs = job && expiresAtMs(job);
    if (!job || atMs === undefined) return undefined;
    const leftMs = atMs - context.clock.nowMs();
    if (leftMs > 0) return { requeueAfterMs: leftMs };
    const { uid, resourceVersion } = job.metadata;
    const { namespace, name } = splitKey(key);
    try {
      // Bound to what was seen: its time may just have been made longer.
      await client.delete(batch.jobs, name, {
        namespace,
        propagationPolicy: 'Foreground',
        preconditions: { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) },
        signal,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
    return undefined;
  };
  return startQueue(context, { name: 'ttl_jobs_to_delete', workers, waitFor: [jobs], sync }, (queue) => {
    const look = (job: Job): void => {
      if (expiresAtMs(job) !== undefined) queue.add(keyOf(job));
    };
    jobs.addHandler({ add: look, update: look });
  });
}
