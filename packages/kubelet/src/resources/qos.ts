import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { effectiveResources, podResources } from './amounts.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** The quality of service of a pod (upstream: pkg/apis/core/v1/helper/qos): only cpu and memory count. */
export function qosClassOf(pod: Pod): QosClass {
  const containers: Container[] = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  let anything = false;
  let guaranteed = true;
  for (const container of containers) {
    const { requests, limits } = effectiveResources(container);
    for (const name of ['cpu', 'memory']) {
      const request = requests.get(name) ?? 0;
      const limit = limits.get(name) ?? 0;
      if (request > 0 || limit > 0) anything = true;
      if (limit === 0 || request !== limit) guaranteed = false;
    }
  }
  if (!anything) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** Priority from which a pod is critical to the node (system-cluster-critical). */
const criticalPriority = 2_000_000_000;

/** Static pods and pods of a system priority class (upstream: types.IsCriticalPod). */
export function isCritical(pod: Pod): boolean {
  const source = pod.metadata.annotations?.['kubernetes.io/config.source'];
  return (source !== undefined && source !== 'api') || (pod.spec?.priority ?? 0) >= criticalPriority;
}

const guaranteedScore = -997;
const bestEffortScore = 1000;

/** The kernel's out-of-memory score of a container (upstream: pkg/kubelet/qos/policy.go). */
export function oomScoreAdjustment(pod: Pod, container: Container, memoryCapacityBytes: number): number {
  if (isCritical(pod)) return guaranteedScore;
  const qos = qosClassOf(pod);
  if (qos === 'Guaranteed') return guaranteedScore;
  if (qos === 'BestEffort') return bestEffortScore;
  const request =
    effectiveResources(container).requests.get('memory') ?? podResources(pod).requests.get('memory') ?? 0;
  const score = Math.floor(1000 - (1000 * request) / memoryCapacityBytes);
  if (score < 1000 + guaranteedScore) return 1000 + guaranteedScore;
  return score === bestEffortScore ? score - 1 : score;
}
