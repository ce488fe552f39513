import type { Condition } from './generated/types/meta-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from './generated/types/policy-v1.ts';
import { formatTime } from './time.ts';

// What the disruption controller and the eviction subresource must say alike of a PodDisruptionBudget.

export const disruptionAllowed = 'DisruptionAllowed';

/** The condition as a budget's status has it. */
export const allowedConditionOf = (status: PodDisruptionBudgetStatus | undefined): Condition | undefined =>
  status?.conditions?.find(({ type }) => type === disruptionAllowed);

/** What the condition must say of so many disruptions. */
function expected(disruptionsAllowed: number): Pick<Condition, 'status' | 'reason'> {
  return disruptionsAllowed > 0
    ? { status: 'True', reason: 'SufficientPods' }
    : { status: 'False', reason: 'InsufficientPods' };
}

/** Whether the condition tells what the rest of the status does, of the budget as it is now. */
export function conditionIsCurrent({ metadata, status }: PodDisruptionBudget): boolean {
  const condition = allowedConditionOf(status);
  if (!condition || (status?.observedGeneration ?? 0) !== (metadata.generation ?? 0)) return false;
  const { status: wanted, reason } = expected(status?.disruptionsAllowed ?? 0);
  return condition.status === wanted && condition.reason === reason;
}

/** The conditions with this one in place; its time changes with its status only (upstream: meta.SetStatusCondition). */
export function withAllowedCondition(
  status: PodDisruptionBudgetStatus,
  nowMs: number,
  said: { status: string; reason: string; message?: string } = expected(status.disruptionsAllowed ?? 0),
): Condition[] {
  const before = allowedConditionOf(status);
  const unchanged = before?.status === said.status ? before.lastTransitionTime : undefined;
  const condition: Condition = {
    type: disruptionAllowed,
    status: said.status,
    reason: said.reason,
    message: said.message ?? '',
    observedGeneration: status.observedGeneration ?? 0,
    lastTransitionTime: unchanged ?? formatTime(nowMs),
  };
  const others = status.conditions ?? [];
  return before ? others.map((each) => (each === before ? condition : each)) : [...others, condition];
}
