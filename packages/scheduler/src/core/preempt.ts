import type { NodeState } from '../state/node-state.ts';
import type { PodInfo } from '../state/pod-info.ts';
import { type Refusal, resolvable } from './filter/filter.ts';
import { fitErrorMessage } from './fit-error.ts';
import { type Misfit, prepareFilters } from './schedule.ts';
import type { Snapshot } from './snapshot.ts';

/** Where a pod would fit if these were evicted. */
export interface Eviction {
  readonly node: NodeState;
  /** Highest priority first. */
  readonly victims: readonly PodInfo[];
}

export type Preemption =
  | { readonly type: 'evict'; readonly eviction: Eviction }
  /** `message`: upstream's, for the end of the pod's FailedScheduling text. */
  | { readonly type: 'no-help'; readonly message: string; readonly keepsNomination: boolean };

const notHelpful: Refusal = { reasons: ['Preemption is not helpful for scheduling'], resolvable: false };
const noVictims = resolvable('No preemption victims found for incoming pod');

/**
 * Whether evicting pods of lower priority makes room, and where it hurts least (upstream:
 * plugins/defaultpreemption, framework/preemption). Pure. PodDisruptionBudgets are not consulted.
 */
export function preempt(pod: PodInfo, snapshot: Snapshot, misfit: Misfit): Preemption {
  const ineligible = ineligibility(pod, snapshot);
  if (ineligible !== undefined) {
    return { type: 'no-help', message: `preemption: ${ineligible}`, keepsNomination: true };
  }
  const evictions: Eviction[] = [];
  const refusals: Refusal[] = [];
  for (const [node, refusal] of misfit.refusals) {
    const attempt = refusal.resolvable ? evictFrom(node, pod, snapshot) : notHelpful;
    if ('victims' in attempt) evictions.push(attempt);
    else refusals.push(attempt);
  }
  const [eviction] = evictions.sort(byHarm);
  if (eviction !== undefined) return { type: 'evict', eviction };
  const message = `preemption: ${fitErrorMessage(snapshot.nodes.length, refusals)}`;
  return { type: 'no-help', message, keepsNomination: false };
}

function ineligibility(pod: PodInfo, snapshot: Snapshot): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
  const nominated = pod.pod.status?.nominatedNodeName;
  const node = nominated ? snapshot.nodes.find(({ name }) => name === nominated) : undefined;
  const dying = [...(node?.pods.values() ?? [])].some(
    (running) => running.priority < pod.priority && isPreempted(running),
  );
  return dying ? 'not eligible due to a terminating pod on the nominated node.' : undefined;
}

/** A victim of an earlier preemption that is still ending. */
function isPreempted({ pod }: PodInfo): boolean {
  return (
    pod.metadata.deletionTimestamp !== undefined &&
    (pod.status?.conditions ?? []).some(
      ({ type, status, reason }) =>
        type === 'DisruptionTarget' && status === 'True' && reason === 'PreemptionByScheduler',
    )
  );
}

/** The fewest and least important pods whose eviction makes the pod fit, or why none do. */
function evictFrom(node: NodeState, pod: PodInfo, snapshot: Snapshot): Eviction | Refusal {
  const lower = [...node.pods.values()].filter(({ priority }) => priority < pod.priority).sort(byImportance);
  if (lower.length === 0) return noVictims;
  const without = (victims: readonly PodInfo[]): Refusal | undefined => {
    const reduced = node.without(new Set(victims.map(({ uid }) => uid)));
    return refusalOn(reduced, pod, {
      ...snapshot,
      nodes: snapshot.nodes.map((other) => (other === node ? reduced : other)),
    });
  };
  const refusal = without(lower);
  if (refusal !== undefined) return refusal;
  // Spare as many as possible, the most important first.
  let victims: PodInfo[] = lower;
  for (const candidate of lower) {
    const fewer = victims.filter((victim) => victim !== candidate);
    if (without(fewer) === undefined) victims = fewer;
  }
  return { node, victims };
}

function refusalOn(node: NodeState, pod: PodInfo, snapshot: Snapshot): Refusal | undefined {
  for (const { test } of prepareFilters(pod, snapshot)) {
    const refusal = test(node);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

const startOf = ({ pod }: PodInfo): number => Date.parse(pod.status?.startTime ?? '') || Infinity;

/** Higher priority first, then longer running. */
function byImportance(a: PodInfo, b: PodInfo): number {
  return b.priority - a.priority || startOf(a) - startOf(b);
}

/** Lowest highest priority, lowest sum of priorities, fewest victims, youngest most important victim. */
function byHarm(a: Eviction, b: Eviction): number {
  const highest = ({ victims }: Eviction): number => victims[0]?.priority ?? -Infinity;
  // Shifted as upstream does, so that fewer victims of negative priority are better too.
  const sum = ({ victims }: Eviction): number =>
    victims.reduce((total, { priority }) => total + priority + 2 ** 31, 0);
  const earliest = ({ victims }: Eviction): number =>
    Math.min(...victims.filter(({ priority }) => priority === victims[0]?.priority).map(startOf));
  return (
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    Math.sign(earliest(b) - earliest(a)) ||
    0
  );
}
