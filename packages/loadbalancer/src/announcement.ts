/**
 * An address that one node of several should answer for. Keyed by address, not shaped like a Service: virtual IPs of
 * Services, the control plane's own and egress addresses are all announced through this, and a file can ask for one
 * before any API is up.
 */
export interface Announcement {
  /** IPv4 or IPv6, in its canonical text. */
  address: string;
  /** Who asks. Several sources may ask for one address (Services that share it). */
  source: AnnouncementSource;
  /** Nodes that could answer; `any`: every live speaker. */
  candidates: readonly string[] | 'any';
  /** Interfaces to answer on; `any`: those whose subnet or default route fits. */
  interfaces: readonly string[] | 'any';
  /**
   * The address whose text decides the election in place of `address`: a Service of two families has one owner, that of
   * its first address (upstream: speaker/layer2_controller.go).
   */
  electedBy?: string;
}

export interface AnnouncementSource {
  kind: 'service' | 'control-plane' | 'egress' | 'file';
  /** `namespace/name`, or the file's path. */
  name: string;
}

/** What is to be announced for one address, all sources together. */
export interface AddressPlan {
  address: string;
  /** Sorted; `any` when no source restricts. */
  candidates: readonly string[] | 'any';
  interfaces: readonly string[] | 'any';
  sources: readonly AnnouncementSource[];
  /** Sources left out because no node could serve them together with the ones before. */
  refused: readonly AnnouncementSource[];
  /** The address that the election hashes; absent: `address`. That of the first source which names one. */
  electedBy?: string;
}

const sourceKey = (source: AnnouncementSource): string => `${source.kind}/${source.name}`;

/** The addresses of one speaker, by source and merged by address. Pure; listeners hear of merged changes only. */
export class AnnouncementTable {
  readonly #bySource = new Map<string, readonly Announcement[]>();
  /** By address, then by source. */
  readonly #asked = new Map<string, Map<string, Announcement[]>>();
  readonly #plans = new Map<string, AddressPlan>();
  readonly #listeners = new Set<(address: string, plan: AddressPlan | undefined) => void>();

  /** Replaces everything that `source` asks for; an empty list withdraws it. */
  set(source: AnnouncementSource, announcements: readonly Omit<Announcement, 'source'>[]): void {
    const key = sourceKey(source);
    const old = this.#bySource.get(key) ?? [];
    const next = announcements.map((announcement) => ({ ...announcement, source }));
    if (next.length === 0) this.#bySource.delete(key);
    else this.#bySource.set(key, next);
    for (const { address } of old) this.#asked.get(address)?.delete(key);
    for (const announcement of next) this.#ask(key, announcement);
    for (const address of new Set([...old, ...next].map((announcement) => announcement.address)))
      this.#update(address);
  }

  get(address: string): AddressPlan | undefined {
    return this.#plans.get(address);
  }

  plans(): Iterable<AddressPlan> {
    return this.#plans.values();
  }

  /** Hears of each address whose plan changed; `undefined`: withdrawn. Returns the way to unsubscribe. */
  subscribe(listener: (address: string, plan: AddressPlan | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #ask(key: string, announcement: Announcement): void {
    const bySource = this.#asked.get(announcement.address) ?? new Map<string, Announcement[]>();
    this.#asked.set(announcement.address, bySource);
    bySource.set(key, [...(bySource.get(key) ?? []), announcement]);
  }

  #update(address: string): void {
    const bySource = this.#asked.get(address) ?? new Map<string, Announcement[]>();
    if (bySource.size === 0) this.#asked.delete(address);
    const asked = [...bySource.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, list]) => list);
    const plan = asked.length === 0 ? undefined : merge(address, asked);
    if (JSON.stringify(plan) === JSON.stringify(this.#plans.get(address))) return;
    if (plan) this.#plans.set(address, plan);
    else this.#plans.delete(address);
    for (const listener of this.#listeners) listener(address, plan);
  }
}

/** A node must be a candidate of every source; a source that would leave none is refused. */
function merge(address: string, asked: readonly Announcement[]): AddressPlan {
  let candidates: readonly string[] | 'any' = 'any';
  let interfaces: readonly string[] | 'any' = 'any';
  const sources: AnnouncementSource[] = [];
  const refused: AnnouncementSource[] = [];
  let electedBy: string | undefined;
  for (const announcement of asked) {
    const together = intersect(candidates, announcement.candidates);
    const links = intersect(interfaces, announcement.interfaces);
    if (sources.length > 0 && (together.length === 0 || links.length === 0)) {
      refused.push(announcement.source);
      continue;
    }
    candidates = together;
    interfaces = links;
    sources.push(announcement.source);
    electedBy ??= announcement.electedBy;
  }
  const plan = { address, candidates, interfaces, sources, refused };
  return electedBy === undefined || electedBy === address ? plan : { ...plan, electedBy };
}

function intersect(a: readonly string[] | 'any', b: readonly string[] | 'any'): readonly string[] | 'any' {
  if (a === 'any') return b === 'any' ? b : [...b].sort();
  return b === 'any' ? a : a.filter((item) => b.includes(item));
}
