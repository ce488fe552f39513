import type { Job, PodFailurePolicyRule } from '@cloudless/kube/types/batch-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { keyOf } from '@cloudless/kube/informer/informer';

/** What a Job's podFailurePolicy says of a failed pod (upstream: job/pod_failure_policy.go). */
export interface FailureVerdict {
  /** Counts against backoffLimit. */
  counts: boolean;
  /** The whole Job fails, for this reason. */
  failsJob?: string;
}

function exitCodeMatch(
  rule: PodFailurePolicyRule,
  pod: Pod,
): { container: string; code: number } | undefined {
  const asked = rule.onExitCodes;
  if (!asked) return undefined;
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { name, state } of statuses) {
    if (asked.containerName !== undefined && asked.containerName !== name) continue;
    const code = state?.terminated?.exitCode;
    if (code === undefined || code === 0) continue;
    if (asked.values.includes(code) === (asked.operator === 'In')) return { container: name, code };
  }
  return undefined;
}

export function failureVerdict(job: Job, pod: Pod): FailureVerdict {
  const rules = job.spec?.podFailurePolicy?.rules ?? [];
  for (const [i, rule] of rules.entries()) {
    const exit = exitCodeMatch(rule, pod);
    const condition = (rule.onPodConditions ?? []).find((pattern) =>
      pod.status?.conditions?.some(
        (one) => one.type === pattern.type && one.status === (pattern.status ?? 'True'),
      ),
    );
    if (!exit && !condition) continue;
    if (rule.action === 'Ignore') return { counts: false };
    if (rule.action !== 'FailJob') return { counts: true };
    const what = exit
      ? `Container ${exit.container} for pod ${keyOf(pod)} failed with exit code ${exit.code} matching FailJob rule at index ${i}`
      : `Pod ${keyOf(pod)} has condition ${condition?.type} matching FailJob rule at index ${i}`;
    return { counts: true, failsJob: what };
  }
  return { counts: true };
}
