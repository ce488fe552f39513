import type { Endpoint, EndpointPort, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { canonicalJson, semanticEqual } from '../runtime/compare.ts';

/** Endpoints that share one list of ports. */
export interface PortGroup {
  ports: EndpointPort[];
  endpoints: Endpoint[];
}

export interface Packing {
  /** Ports and endpoints of slices to make. */
  create: Array<{ ports: EndpointPort[]; endpoints: Endpoint[] }>;
  /** Slices that get other ports or endpoints. */
  update: Array<{ slice: EndpointSlice; ports: EndpointPort[]; endpoints: Endpoint[] }>;
  delete: EndpointSlice[];
  unchanged: EndpointSlice[];
}

export const portsKey = (ports: readonly EndpointPort[] | undefined): string =>
  canonicalJson([...(ports ?? [])].map(canonicalJson).sort());

const endpointKey = (endpoint: Endpoint): string =>
  `${endpoint.targetRef?.uid ?? ''} ${endpoint.addresses.join()}`;

interface Draft {
  slice: EndpointSlice;
  endpoints: Endpoint[];
  changed: boolean;
}

/**
 * Which slices to write so that together they hold `wanted` (upstream: endpointslice/reconciler.go): an endpoint
 * stays in the slice it is in, new ones fill slices that are written anyway, then the fullest that has room for
 * all, then new slices. As few writes as that allows; slices are not repacked.
 */
export function pack(
  existing: readonly EndpointSlice[],
  wanted: readonly PortGroup[],
  maxPerSlice: number,
): Packing {
  const result: Packing = { create: [], update: [], delete: [], unchanged: [] };
  const byPorts = new Map<string, EndpointSlice[]>();
  for (const slice of existing) {
    const key = portsKey(slice.ports);
    byPorts.set(key, [...(byPorts.get(key) ?? []), slice]);
  }
  for (const group of wanted) {
    const key = portsKey(group.ports);
    packGroup(byPorts.get(key) ?? [], group, maxPerSlice, result);
    byPorts.delete(key);
  }
  // Slices of ports that no endpoint has any more.
  for (const slices of byPorts.values()) result.delete.push(...slices);
  recycle(result);
  return result;
}

function packGroup(slices: readonly EndpointSlice[], group: PortGroup, max: number, result: Packing): void {
  const left = new Map(group.endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]));
  const drafts = slices.map((slice) => kept(slice, left));
  const remaining = [...left.values()];
  for (const draft of drafts) {
    if (!draft.changed || draft.endpoints.length === 0) continue;
    draft.endpoints.push(...remaining.splice(0, Math.max(0, max - draft.endpoints.length)));
  }
  const emptied = drafts.filter((draft) => draft.endpoints.length === 0);
  for (const draft of emptied) {
    if (remaining.length === 0) break;
    draft.endpoints.push(...remaining.splice(0, max));
    draft.changed = true;
  }
  while (remaining.length > 0) {
    const target = remaining.length < max ? bestFit(drafts, remaining.length, max) : undefined;
    if (target) {
      target.endpoints.push(...remaining.splice(0));
      target.changed = true;
    } else result.create.push({ ports: group.ports, endpoints: remaining.splice(0, max) });
  }
  for (const { slice, endpoints, changed } of drafts) {
    if (endpoints.length === 0) result.delete.push(slice);
    else if (changed) result.update.push({ slice, ports: group.ports, endpoints });
    else result.unchanged.push(slice);
  }
}

/** What of a slice stays, with what changed about it; taken out of `left`. */
function kept(slice: EndpointSlice, left: Map<string, Endpoint>): Draft {
  let changed = false;
  const endpoints: Endpoint[] = [];
  for (const endpoint of slice.endpoints ?? []) {
    const key = endpointKey(endpoint);
    const now = left.get(key);
    if (!now) {
      changed = true;
      continue;
    }
    left.delete(key);
    if (!semanticEqual(endpoint, now)) changed = true;
    endpoints.push(now);
  }
  return { slice, endpoints, changed };
}

/** The fullest slice that has room for `count` more. */
function bestFit(drafts: readonly Draft[], count: number, max: number): Draft | undefined {
  let best: Draft | undefined;
  for (const draft of drafts) {
    if (draft.endpoints.length === 0 || draft.endpoints.length + count > max) continue;
    if (!best || draft.endpoints.length > best.endpoints.length) best = draft;
  }
  return best;
}

/** A slice to delete and one to make are one write: the old is rewritten. */
function recycle(result: Packing): void {
  while (result.create.length > 0 && result.delete.length > 0) {
    const made = result.create.shift();
    const slice = result.delete.shift();
    if (made && slice) result.update.push({ slice, ...made });
  }
}
