import { tableFamily, tableName, type PartContent } from '../nft/table.ts';
import { frontendKey, type EndpointAddress, type Frontend } from './model.ts';

const at = `${tableFamily} ${tableName}`;

/** A UDP flow that the kernel would go on sending to where it went before. */
export interface StaleFlow {
  ip: string;
  port: number;
  /** The endpoint that is gone; undefined: every flow to the frontend (it had no endpoint until now). */
  endpoint: EndpointAddress | undefined;
}

/** What must happen in the kernel for one change. */
export interface ServiceChange {
  /** nft commands, one transaction; empty when nothing changes. */
  script: string;
  /**
   * A frontend has more endpoints than there are chains: the table must be built anew from
   * {@link ServiceProgram.content} instead of running `script`.
   */
  rebuild: boolean;
  staleFlows: StaleFlow[];
}

/**
 * The service maps as they stand in the kernel, and the scripts that lead from one state to the next. Data maps
 * with one shared chain per number of endpoints: a change of one Service touches only its own elements, however
 * many there are (a chain per Service takes the kernel minutes to replace at 10,000).
 *
 * Pure: the caller runs the scripts. When one fails the caller rebuilds from {@link ServiceProgram.content}.
 */
export class ServiceProgram {
  /** Keys of the frontends of each owner (`namespace/name`). */
  readonly #byOwner = new Map<string, Set<string>>();
  /** Who asks for each frontend. More than one only for moments, as when a Service takes a deleted one's address. */
  readonly #claims = new Map<string, Map<string, Frontend>>();
  /**
   * Chains exist for every number of endpoints up to this. They are made with the table only: nft 1.0 cannot add a
   * rule that looks up a map with a `numgen` in its key once that map is in the kernel.
   */
  #chainsUpTo = 16;

  /** Records `frontends` as the owner's, and returns the change from what the kernel has. */
  set(owner: string, frontends: readonly Frontend[]): ServiceChange {
    const old = this.#byOwner.get(owner) ?? new Set<string>();
    const next = new Map(frontends.map((frontend) => [frontendKey(frontend), frontend]));
    const lines: string[] = [];
    const staleFlows: StaleFlow[] = [];
    for (const key of new Set([...old, ...next.keys()])) {
      const before = this.#frontend(key);
      this.#claim(key, owner, next.get(key));
      const after = this.#frontend(key);
      if (sameFrontend(before, after)) continue;
      if (before) lines.push(...removal(before));
      if (after) lines.push(...addition(after));
      staleFlows.push(...stale(before, after));
    }
    if (next.size === 0) this.#byOwner.delete(owner);
    else this.#byOwner.set(owner, new Set(next.keys()));
    const most = frontends.reduce((count, frontend) => Math.max(count, frontend.endpoints.length), 0);
    const rebuild = most > this.#chainsUpTo;
    while (this.#chainsUpTo < most) this.#chainsUpTo *= 2;
    return { script: lines.join('\n'), rebuild, staleFlows };
  }

  /** Whose frontend counts when several ask for one key: that of the first owner by name. */
  #frontend(key: string): Frontend | undefined {
    let first: string | undefined;
    const claims = this.#claims.get(key);
    for (const owner of claims?.keys() ?? []) if (first === undefined || owner < first) first = owner;
    return first === undefined ? undefined : claims?.get(first);
  }

  #claim(key: string, owner: string, frontend: Frontend | undefined): void {
    const claims = this.#claims.get(key) ?? new Map<string, Frontend>();
    if (frontend) claims.set(owner, frontend);
    else claims.delete(owner);
    if (claims.size === 0) this.#claims.delete(key);
    else this.#claims.set(key, claims);
  }

  /** What the kernel has, or will have when the scripts so far have run. */
  *frontends(): Iterable<Frontend> {
    for (const key of this.#claims.keys()) yield this.#frontend(key) as Frontend;
  }

  /** Everything, for building the table anew. */
  content(): PartContent {
    const elements: string[] = [];
    for (const frontend of this.frontends()) elements.push(...addition(frontend));
    const refuse = [
      'ip daddr . meta l4proto . th dport @services-unavailable4 meta l4proto tcp reject with tcp reset',
      'ip daddr . meta l4proto . th dport @services-unavailable4 reject',
    ];
    return {
      part: 'services',
      declarations: `  map services-frontends4 { typeof ip daddr . meta l4proto . th dport : verdict; }
  map services-endpoints4 { typeof ip daddr . meta l4proto . th dport . numgen random mod 65536 : ip daddr . th dport; }
  set services-unavailable4 { typeof ip daddr . meta l4proto . th dport; }
${this.#chains()}`,
      rules: {
        'services-refuse-prerouting': refuse,
        'services-refuse-output': refuse,
        'services-prerouting': ['ip daddr . meta l4proto . th dport vmap @services-frontends4'],
        'services-output': ['ip daddr . meta l4proto . th dport vmap @services-frontends4'],
      },
      elements,
    };
  }

  #chains(): string {
    const chains: string[] = [];
    for (let count = 1; count <= this.#chainsUpTo; count++) {
      for (const [kind, index] of [
        ['spread', `numgen random mod ${count}`],
        ['affine', `jhash ip saddr mod ${count}`],
      ])
        chains.push(`  chain services-${kind}-${count} {
    dnat ip to ip daddr . meta l4proto . th dport . ${index} map @services-endpoints4
  }`);
    }
    return chains.join('\n');
  }
}

/** Chains are shared by every frontend with as many endpoints. */
function chainName(frontend: Frontend): string {
  return `services-${frontend.affinity === 'client' ? 'affine' : 'spread'}-${frontend.endpoints.length}`;
}

function sameFrontend(a: Frontend | undefined, b: Frontend | undefined): boolean {
  if (!a || !b) return a === b;
  return (
    a.affinity === b.affinity &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every(
      (endpoint, i) => endpoint.ip === b.endpoints[i]?.ip && endpoint.port === b.endpoints[i]?.port,
    )
  );
}

function addition(frontend: Frontend): string[] {
  const key = frontendKey(frontend);
  if (frontend.endpoints.length === 0) return [`add element ${at} services-unavailable4 { ${key} }`];
  const targets = frontend.endpoints.map(
    (endpoint, i) => `${key} . ${i} : ${endpoint.ip} . ${endpoint.port}`,
  );
  return [
    `add element ${at} services-endpoints4 { ${targets.join(', ')} }`,
    `add element ${at} services-frontends4 { ${key} : goto ${chainName(frontend)} }`,
  ];
}

function removal(frontend: Frontend): string[] {
  const key = frontendKey(frontend);
  if (frontend.endpoints.length === 0) return [`delete element ${at} services-unavailable4 { ${key} }`];
  const targets = frontend.endpoints.map((_, i) => `${key} . ${i}`);
  return [
    `delete element ${at} services-frontends4 { ${key} }`,
    `delete element ${at} services-endpoints4 { ${targets.join(', ')} }`,
  ];
}

/** UDP has no end of connection: a flow keeps its translation until told (upstream: pkg/proxy/conntrack). */
function stale(before: Frontend | undefined, after: Frontend | undefined): StaleFlow[] {
  const frontend = before ?? after;
  if (frontend?.protocol !== 'udp') return [];
  const { ip, port } = frontend;
  if (!before || before.endpoints.length === 0)
    return after && after.endpoints.length > 0 ? [{ ip, port, endpoint: undefined }] : [];
  const kept = new Set(after?.endpoints.map((endpoint) => `${endpoint.ip}:${endpoint.port}`));
  return before.endpoints
    .filter((endpoint) => !kept.has(`${endpoint.ip}:${endpoint.port}`))
    .map((endpoint) => ({ ip, port, endpoint }));
}
