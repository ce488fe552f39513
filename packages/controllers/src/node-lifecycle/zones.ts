import type { Clock } from '@cloudless/kube/clock';
import type { Node } from '@cloudless/kube/types/core-v1';
import { TokenBucket } from '@cloudless/kube/workqueue/workqueue';
import { readyCondition } from './taints.ts';

/** How a zone fares (upstream: nodelifecycle.ZoneState). */
export type ZoneState = 'normal' | 'partial' | 'full';

/** Nodes tainted NoExecute per second in a zone (upstream: --node-eviction-rate). */
const evictionsPerSecond = 0.1;
/** The same in a large zone of which much is down (--secondary-node-eviction-rate). */
const secondaryPerSecond = 0.01;
/** Share of unready nodes from which on a zone is partially disrupted (--unhealthy-zone-threshold). */
const unhealthyShare = 0.55;
/** Nodes above which a zone counts as large (--large-cluster-size-threshold). */
const largeZone = 50;

const exclusionLabel = 'node.kubernetes.io/exclude-disruption';

export function zoneOf(node: Node): string {
  const labels = node.metadata.labels ?? {};
  const region = labels['topology.kubernetes.io/region'] ?? '';
  return `${region}:${labels['topology.kubernetes.io/zone'] ?? ''}`;
}

/** State of a zone by its nodes (upstream: ComputeZoneState). */
export function zoneState(ready: number, unready: number): ZoneState {
  if (ready === 0 && unready > 0) return 'full';
  if (unready > 2 && unready / (ready + unready) >= unhealthyShare) return 'partial';
  return 'normal';
}

/** What one node changed for the cluster as a whole. */
export type PaceChange = 'all-down' | 'recovered' | 'changed' | 'same';

interface ZoneCount {
  ready: number;
  unready: number;
}

interface CountedNode {
  /** Undefined: a node that is left out. */
  zone: string | undefined;
  isReady: boolean;
}

/**
 * How fast pods may be driven off unready nodes. When many nodes fail at once it is more likely the network or
 * this process: slower; when all are down, not at all.
 */
export class EvictionPace {
  readonly #clock: Clock;
  readonly #zones = new Map<string, { state: ZoneState; perSecond: number; bucket: TokenBucket<string> }>();
  readonly #nodes = new Map<string, CountedNode>();
  readonly #counts = new Map<string, ZoneCount>();
  #allDown = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Every node of the cluster is unready: nobody is driven off. */
  get allDown(): boolean {
    return this.#allDown;
  }

  /** Takes in one node as it is now; says what that changed for the cluster as a whole. Costs the same in any cluster. */
  seen(node: Node): PaceChange {
    const { name = '' } = node.metadata;
    const isExcluded = node.metadata.labels?.[exclusionLabel] !== undefined;
    const zone = isExcluded ? undefined : zoneOf(node);
    const isReady = readyCondition(node)?.status === 'True';
    const before = this.#nodes.get(name);
    if (before && before.zone === zone && before.isReady === isReady) return 'same';
    this.#nodes.set(name, { zone, isReady });
    return this.#recount(before, { zone, isReady });
  }

  /** The node is gone. */
  forget(name: string): PaceChange {
    const before = this.#nodes.get(name);
    this.#nodes.delete(name);
    return this.#recount(before, undefined);
  }

  #recount(before: CountedNode | undefined, after: CountedNode | undefined): PaceChange {
    const zones = new Set<string>();
    for (const [node, by] of [
      [before, -1],
      [after, 1],
    ] as const) {
      if (node?.zone === undefined) continue;
      const count = this.#counts.get(node.zone) ?? { ready: 0, unready: 0 };
      count[node.isReady ? 'ready' : 'unready'] += by;
      this.#counts.set(node.zone, count);
      zones.add(node.zone);
    }
    let changed = false;
    for (const zone of zones) {
      const { ready, unready } = this.#counts.get(zone) as ZoneCount;
      if (ready + unready > 0) {
        if (this.#set(zone, zoneState(ready, unready), ready + unready)) changed = true;
        continue;
      }
      this.#counts.delete(zone);
      this.#zones.delete(zone);
    }
    const wereAllDown = this.#allDown;
    this.#allDown = this.#zones.size > 0 && [...this.#zones.values()].every((zone) => zone.state === 'full');
    if (this.#allDown !== wereAllDown) return this.#allDown ? 'all-down' : 'recovered';
    return changed ? 'changed' : 'same';
  }

  /** Milliseconds until this node's zone may lose another node: 0 takes the turn; undefined: not as things are. */
  waitMs(node: Node): number | undefined {
    const zone = this.#zones.get(zoneOf(node));
    if (this.#allDown || !zone || zone.perSecond === 0) return undefined;
    return zone.bucket.tryTake() ? 0 : 1000 / zone.perSecond;
  }

  #set(zone: string, state: ZoneState, size: number): boolean {
    // A zone that is down as a whole is left at the full rate: the others can take its pods.
    const partial = size > largeZone ? secondaryPerSecond : 0;
    const perSecond = state === 'partial' ? partial : evictionsPerSecond;
    const current = this.#zones.get(zone);
    if (current?.state === state && current.perSecond === perSecond) return false;
    const bucket =
      current?.perSecond === perSecond ? current.bucket : new TokenBucket<string>(perSecond, 1, this.#clock);
    this.#zones.set(zone, { state, perSecond, bucket });
    return true;
  }
}
