import type { BgpAdvertisement, BgpCommunity, BgpPeer } from '../config/config.ts';
import { communityText } from './adj-rib-out.ts';
import type { BgpRoute } from './bgp.ts';
import { decodePrefixes, encodePrefix } from './wire/prefix.ts';

/** A Service that this node may advertise: its node is among the candidates and the advertisements are for both. */
export interface AdvertisedService {
  /** `namespace/name`. */
  readonly key: string;
  readonly addresses: readonly string[];
  readonly advertisements: readonly BgpAdvertisement[];
}

/** What this node tells its peers. */
export interface PeerRoutes {
  /** By the peers' names, in an order that the same input always gives; every peer has an entry. */
  readonly routes: ReadonlyMap<string, readonly BgpRoute[]>;
  /** Names of the peers that hear of a Service, sorted. Services that nobody hears of are not in it. */
  readonly peersOf: ReadonlyMap<string, readonly string[]>;
  /** Services that are told to nobody because of advertisements that contradict each other, and the sentence. */
  readonly refused: ReadonlyMap<string, string>;
}

/** A route with where it comes from. */
interface Claim {
  readonly prefix: string;
  readonly peer: string;
  readonly localPref: number;
  readonly communities: readonly BgpCommunity[];
  readonly advertisement: string;
  readonly service: string;
}

/** What is told of one prefix to one peer, all its claims together. */
interface Merged {
  readonly first: Claim;
  /** The advertisements' own lists: most prefixes have one, and share it with many others. */
  readonly communities: Set<readonly BgpCommunity[]>;
}

/**
 * Turns Services and their advertisements into the routes of each peer. Pure. An address becomes the prefix of the
 * advertisement's aggregation length; a prefix that several Services or advertisements share is one route with the
 * communities of all, and is there as long as one of them is. Two values of local preference for one prefix and peer
 * contradict each other: the Service that brings the second one is refused as a whole, as upstream refuses it within one
 * Service (speaker's checkBGPAdvConflicts); among Services that share a prefix, where upstream takes either, in the
 * order of their names.
 */
export function routesForPeers(
  services: readonly AdvertisedService[],
  peers: readonly Pick<BgpPeer, 'name'>[],
): PeerRoutes {
  const tables = new Map(peers.map(({ name }) => [name, new Map<string, Merged>()]));
  const peersOf = new Map<string, readonly string[]>();
  const refused = new Map<string, string>();
  for (const service of [...services].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const claims = claimsOf(service, peers);
    const conflict = conflictOf(claims, tables);
    if (conflict !== undefined) refused.set(service.key, conflict);
    else if (claims.length > 0) {
      for (const claim of claims) add(claim, tables);
      peersOf.set(service.key, [...new Set(claims.map(({ peer }) => peer))].sort());
    }
  }
  const union = communityUnions();
  const routes = new Map([...tables].map(([peer, table]) => [peer, routesOf(table, union)]));
  return { routes, peersOf, refused };
}

function claimsOf(service: AdvertisedService, peers: readonly Pick<BgpPeer, 'name'>[]): Claim[] {
  const claims: Claim[] = [];
  for (const advertisement of service.advertisements) {
    const prefixes = new Set(service.addresses.map((address) => aggregate(address, advertisement)));
    for (const { name } of peers) {
      if (advertisement.peers.length > 0 && !advertisement.peers.includes(name)) continue;
      for (const prefix of prefixes)
        claims.push({
          prefix,
          peer: name,
          localPref: advertisement.localPref,
          communities: advertisement.communities,
          advertisement: advertisement.name,
          service: service.key,
        });
    }
  }
  return claims;
}

/** The prefix of an advertisement that an address (canonical text) lies in, in its canonical text. */
export function aggregate(
  address: string,
  lengths: Pick<BgpAdvertisement, 'aggregationLength' | 'aggregationLengthV6'>,
): string {
  const length = address.includes(':') ? lengths.aggregationLengthV6 : lengths.aggregationLength;
  if (length === (address.includes(':') ? 128 : 32)) return `${address}/${length}`;
  const { bytes, family } = encodePrefix(`${address}/${length}`);
  const [prefix] = decodePrefixes(bytes, family) as [string];
  return prefix;
}

function conflictOf(claims: readonly Claim[], tables: Map<string, Map<string, Merged>>): string | undefined {
  const own = new Map<string, Claim>();
  for (const claim of claims) {
    const key = `${claim.peer} ${claim.prefix}`;
    const other = own.get(key) ?? tables.get(claim.peer)?.get(claim.prefix)?.first;
    if (other !== undefined && other.localPref !== claim.localPref)
      return (
        `BGPAdvertisements ${other.advertisement} and ${claim.advertisement} have different localPref ` +
        `(${other.localPref} and ${claim.localPref}) for ${claim.prefix} to peer ${claim.peer}` +
        (other.service === claim.service ? '' : `, which Service ${other.service} shares`)
      );
    own.set(key, other ?? claim);
  }
  return undefined;
}

function add(claim: Claim, tables: Map<string, Map<string, Merged>>): void {
  const table = tables.get(claim.peer) as Map<string, Merged>;
  const merged = table.get(claim.prefix);
  if (merged) merged.communities.add(claim.communities);
  else table.set(claim.prefix, { first: claim, communities: new Set([claim.communities]) });
}

type Union = (lists: ReadonlySet<readonly BgpCommunity[]>) => readonly BgpCommunity[];

/** Joins lists of communities, each once and in order; one list alone gives the same array every time. */
function communityUnions(): Union {
  const known = new Map<readonly BgpCommunity[], readonly BgpCommunity[]>();
  const join = (communities: readonly BgpCommunity[]): readonly BgpCommunity[] => {
    const byText = new Map(communities.map((one) => [communityText(one), one]));
    return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  };
  return (lists) => {
    const [only] = lists;
    if (lists.size > 1 || only === undefined) return join([...lists].flat());
    let joined = known.get(only);
    if (!joined) known.set(only, (joined = join(only)));
    return joined;
  };
}

function routesOf(table: Map<string, Merged>, union: Union): BgpRoute[] {
  return [...table].map(([prefix, { first, communities }]) => ({
    prefix,
    localPref: first.localPref,
    communities: union(communities),
  }));
}
