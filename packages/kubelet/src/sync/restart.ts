import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { isSidecar } from '../naming/pod.ts';
import type { ObservedContainer } from './observed.ts';

/**
 * Whether a container that ended runs again (upstream: kuberuntime ShouldContainerBeRestarted and KEP-5307's
 * per-container rules). A container that never ran "runs again" too.
 */
export function shouldRun(pod: Pod, spec: Container, last: ObservedContainer | undefined): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  if (last === undefined) return true;
  if (last.state === 'running') return false;
  if (last.state !== 'exited') return true;
  return restartsAfter(pod, spec, last.exitCode);
}

/** The restart policy applied to one exit code: container's rules, then the container's policy, then the pod's. */
export function restartsAfter(pod: Pod, spec: Container, exitCode: number): boolean {
  if (isSidecar(spec)) return true;
  for (const rule of spec.restartPolicyRules ?? []) {
    const values = rule.exitCodes?.values ?? [];
    const listed = values.includes(exitCode);
    const matches = rule.exitCodes?.operator === 'NotIn' ? !listed : listed;
    if (matches && rule.action.startsWith('Restart')) return true;
  }
  const policy = spec.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always';
  if (policy === 'Never') return false;
  return policy === 'Always' || exitCode !== 0;
}
