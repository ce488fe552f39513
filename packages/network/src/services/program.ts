import type { PartContent } from '../nft/table.ts';
import { Claims } from './claims.ts';
import { additions, ElementChange, reachable } from './elements.ts';
import { endpointKey } from './endpoints.ts';
import { familyOf } from './ip.ts';
import { type EndpointAddress, type Frontend, frontendKey, type ServedAddress } from './model.ts';
import { type PlaneOptions, planeRules } from './rules.ts';

/** A UDP flow that the kernel would go on sending to where it went before. */
export interface StaleFlow {
  ip: string;
  port: number;
  /** The endpoint that is gone; undefined: every flow to the frontend. */
  endpoint: EndpointAddress | undefined;
}

/** What must happen in the kernel for one change. */
export interface ServiceChange {
  /** nft commands, one transaction; empty when nothing changes. Made when asked for: the first state needs none. */
  readonly script: string;
  /** Chains lack: the table must be built anew from {@link ServiceProgram.content} instead of running `script`. */
  rebuild: boolean;
  staleFlows: StaleFlow[];
  /** Addresses that became or ceased to be a Service's: echo requests on their way go on as they began. */
  movedAddresses: string[];
  /**
   * Keys of frontends with session affinity whose clients may be remembered at endpoints that are gone (`some`), or by
   * rules that no longer hold (`all`).
   */
  staleClients: Map<string, 'some' | 'all'>;
}

type Group = 'all' | 'local';

/**
 * The service maps as they stand in the kernel, and the scripts that lead from one state to the next. Data maps
 * with one shared chain per number of endpoints: a change of one Service touches only its own elements, however
 * many there are (a chain per Service takes the kernel minutes to replace at 10,000).
 *
 * Pure: the caller runs the scripts. When one fails the caller rebuilds from {@link ServiceProgram.content}.
 */
export class ServiceProgram {
  readonly #options: PlaneOptions;
  readonly #frontends = new Claims<Frontend>();
  readonly #addresses = new Claims<ServedAddress>();
  /**
   * Chains exist for every number of endpoints up to these, and sets and rules for these timeouts of affinity. They are made
   * with the table only: nft 1.0 cannot add a rule that looks up a map with a `numgen` in its key once that map is in the kernel.
   */
  readonly #chainsUpTo: Record<`${Group}${4 | 6}`, number> = { all4: 16, local4: 8, all6: 4, local6: 4 };
  readonly #affinitySeconds = new Set([10_800]);

  constructor(options: PlaneOptions = {}) {
    this.#options = options;
  }

  /** Records what `owner` (`namespace/name`) asks for, and returns the change from what the kernel has. */
  set(
    owner: string,
    frontends: readonly Frontend[],
    addresses: readonly ServedAddress[] = [],
  ): ServiceChange {
    const change = new ElementChange();
    const staleFlows: StaleFlow[] = [];
    const movedAddresses: string[] = [];
    const staleClients: ServiceChange['staleClients'] = new Map();
    const wanted = new Map(frontends.map((frontend) => [frontendKey(frontend), frontend]));
    for (const { key, before, after } of this.#frontends.set(owner, wanted, sameFrontend)) {
      change.frontend(before, after);
      staleFlows.push(...flowsLeftBy(before, after));
      if (before?.affinitySeconds !== undefined)
        staleClients.set(key, sameRules(before, after) ? 'some' : 'all');
    }
    const served = new Map(addresses.map((address) => [address.ip, address]));
    for (const { before, after } of this.#addresses.set(owner, served, (a, b) => a.kind === b.kind)) {
      change.address(before, after);
      if (!before || !after) movedAddresses.push((before ?? after)?.ip as string);
    }
    const rebuild = this.#makeRoom(frontends);
    return {
      get script() {
        return change.script();
      },
      rebuild,
      staleFlows,
      movedAddresses,
      staleClients,
    };
  }

  /** Whether chains lack for these frontends; the next {@link content} has them. */
  #makeRoom(frontends: readonly Frontend[]): boolean {
    let lack = false;
    const need = (group: Group, ip: string, count: number): void => {
      const kind = `${group}${familyOf(ip)}` as const;
      lack ||= count > this.#chainsUpTo[kind];
      while (this.#chainsUpTo[kind] < count) this.#chainsUpTo[kind] *= 2;
    };
    for (const { ip, endpoints, outside, affinitySeconds } of frontends) {
      need('all', ip, endpoints.length);
      if (typeof outside !== 'string') need('local', ip, outside.length);
      if (affinitySeconds === undefined || this.#affinitySeconds.has(affinitySeconds)) continue;
      this.#affinitySeconds.add(affinitySeconds);
      lack = true;
    }
    return lack;
  }

  /** What the kernel has, or will have when the scripts so far have run. */
  frontends(): Iterable<Frontend> {
    return this.#frontends.values();
  }

  /** Whether a client may be remembered at `endpoint` of the frontend with this key. */
  isSticky(key: string, endpoint: EndpointAddress): boolean {
    const frontend = this.#frontends.get(key);
    if (frontend?.affinitySeconds === undefined) return false;
    const wanted = endpointKey(endpoint);
    return reachable(frontend).some((one) => endpointKey(one) === wanted);
  }

  /** Everything, for building the table anew. */
  content(): PartContent {
    const elements = additions(this.frontends(), this.#addresses.values());
    const size = {
      endpoints: this.#chainsUpTo,
      affinitySeconds: [...this.#affinitySeconds],
    };
    return { ...planeRules(this.#options, size), elements };
  }
}

function sameList<T>(
  a: readonly T[],
  b: readonly T[],
  same: (one: T, other: T | undefined) => boolean,
): boolean {
  return a === b || (a.length === b.length && a.every((one, i) => same(one, b[i])));
}

const sameEndpoint = (a: EndpointAddress, b: EndpointAddress | undefined): boolean =>
  a.ip === b?.ip && a.port === b.port;

/** Whether clients outside the cluster are treated alike, whatever the endpoints are. */
const sameRules = (a: Frontend, b: Frontend | undefined): boolean =>
  b !== undefined &&
  (typeof a.outside === 'string' ? a.outside === b.outside : typeof b.outside !== 'string');

function sameFrontend(a: Frontend, b: Frontend): boolean {
  return (
    a.affinitySeconds === b.affinitySeconds &&
    sameRules(a, b) &&
    (typeof a.outside === 'string' || sameList(a.outside, b.outside as EndpointAddress[], sameEndpoint)) &&
    (a.sources === undefined) === (b.sources === undefined) &&
    sameList(a.sources ?? [], b.sources ?? [], (one, other) => one === other) &&
    sameList(a.endpoints, b.endpoints, sameEndpoint)
  );
}

/** UDP has no end of connection: a flow keeps its translation until told (upstream: pkg/proxy/conntrack). */
function flowsLeftBy(before: Frontend | undefined, after: Frontend | undefined): StaleFlow[] {
  const frontend = before ?? after;
  if (frontend?.protocol !== 'udp') return [];
  const { ip, port } = frontend;
  const all = [{ ip, port, endpoint: undefined }];
  if (!before || before.endpoints.length === 0) return after && after.endpoints.length > 0 ? all : [];
  // Flows carry the address that they were given by rules that no longer hold.
  if (after && !sameRules(before, after)) return all;
  const kept = new Set(after ? reachable(after).map(endpointKey) : []);
  return reachable(before)
    .filter((endpoint) => !kept.has(endpointKey(endpoint)))
    .map((endpoint) => ({ ip, port, endpoint }));
}
