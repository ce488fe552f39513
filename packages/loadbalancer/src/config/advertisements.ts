import { isDeepStrictEqual } from 'node:util';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { BgpAdvertisement, BgpCommunity, L2Advertisement } from './config.ts';
import { parseCommunity } from './communities.ts';
import type { BgpAdvertisementObject, L2AdvertisementObject } from './kinds.ts';
import type { ParsedPool } from './pools.ts';
import type { Findings, Report } from './problem.ts';
import { shortestPrefix } from './ranges.ts';
import { labelMatches } from './selectors.ts';

/** Advertisements by the name of the pool that they announce. */
export type ByPool<T> = ReadonlyMap<string, readonly T[]>;

type Pools = ReadonlyMap<string, ParsedPool>;

export function parseL2Advertisements(
  objects: readonly L2AdvertisementObject[],
  pools: Pools,
  findings: Findings,
): ByPool<L2Advertisement> {
  const byPool = new Map<string, L2Advertisement[]>();
  for (const object of objects) {
    const report = findings.of('L2Advertisement', object);
    const spec = object.spec ?? {};
    report.unique(spec.interfaces, 'spec.interfaces');
    if (spec.preferredNodeSelectors?.length)
      report.warning(
        'spec.preferredNodeSelectors',
        'preferences are not used: of the nodes that may announce, each address picks one by its hash',
      );
    const advertisement: L2Advertisement = {
      name: object.metadata.name ?? '',
      nodeSelectors: labelMatches(spec.nodeSelectors, 'spec.nodeSelectors', report),
      serviceSelectors: labelMatches(spec.serviceSelectors, 'spec.serviceSelectors', report),
      interfaces: spec.interfaces?.length ? spec.interfaces : 'any',
    };
    for (const pool of selectedPools(spec, pools, report)) append(byPool, pool.name, advertisement);
  }
  return byPool;
}

/** A BGP advertisement beside what its object says, to compare with others of the same pool. */
interface Compared {
  readonly advertisement: BgpAdvertisement;
  readonly nodeSelectors: readonly LabelSelector[];
  readonly report: Report;
}

export function parseBgpAdvertisements(
  objects: readonly BgpAdvertisementObject[],
  pools: Pools,
  names: ReadonlyMap<string, BgpCommunity>,
  peers: ReadonlySet<string>,
  findings: Findings,
): ByPool<BgpAdvertisement> {
  const byPool = new Map<string, Compared[]>();
  for (const object of objects) {
    const report = findings.of('BGPAdvertisement', object);
    const advertisement = parseBgpAdvertisement(object, names, peers, report);
    const compared = { advertisement, nodeSelectors: object.spec?.nodeSelectors ?? [], report };
    for (const pool of selectedPools(object.spec ?? {}, pools, report)) {
      checkAggregation(advertisement, pool, report);
      for (const other of byPool.get(pool.name) ?? []) checkLocalPref(compared, other, pool);
      append(byPool, pool.name, compared);
    }
  }
  return new Map([...byPool].map(([name, list]) => [name, list.map(({ advertisement }) => advertisement)]));
}

function parseBgpAdvertisement(
  object: BgpAdvertisementObject,
  names: ReadonlyMap<string, BgpCommunity>,
  peers: ReadonlySet<string>,
  report: Report,
): BgpAdvertisement {
  const spec = object.spec ?? {};
  const { aggregationLength = 32, aggregationLengthV6 = 128, localPref = 0 } = spec;
  report.unique(spec.communities, 'spec.communities');
  report.unique(spec.peers, 'spec.peers');
  if (aggregationLength < 1 || aggregationLength > 32)
    report.problem('spec.aggregationLength', `${aggregationLength} is not from 1 to 32`);
  if (aggregationLengthV6 < 1 || aggregationLengthV6 > 128)
    report.problem('spec.aggregationLengthV6', `${aggregationLengthV6} is not from 1 to 128`);
  if (localPref < 0) report.problem('spec.localPref', `${localPref} is negative`);
  if (spec.serviceSelectors?.length && (aggregationLength !== 32 || aggregationLengthV6 !== 128))
    report.problem(
      'spec.serviceSelectors',
      'Services cannot be selected together with an aggregation length: the prefix would hold the others too',
    );
  for (const [i, peer] of (spec.peers ?? []).entries())
    if (!peers.has(peer)) report.warning(`spec.peers[${i}]`, `there is no BGPPeer ${peer}`);
  return {
    name: object.metadata.name ?? '',
    aggregationLength,
    aggregationLengthV6,
    localPref,
    communities: communitiesOf(spec.communities ?? [], names, report),
    peers: spec.peers ?? [],
    nodeSelectors: labelMatches(spec.nodeSelectors, 'spec.nodeSelectors', report),
    serviceSelectors: labelMatches(spec.serviceSelectors, 'spec.serviceSelectors', report),
  };
}

function communitiesOf(
  texts: readonly string[],
  names: ReadonlyMap<string, BgpCommunity>,
  report: Report,
): BgpCommunity[] {
  const communities: BgpCommunity[] = [];
  for (const [i, text] of texts.entries()) {
    const community = names.get(text) ?? parseCommunity(text);
    if (!community)
      report.problem(
        `spec.communities[${i}]`,
        text.includes(':')
          ? `"${text}" is no community; write it as 65535:65282 or large:1:2:3`
          : `no Community object defines ${text}`,
      );
    // Two names may stand for one value; it is announced once.
    else if (!communities.some((one) => isDeepStrictEqual(one, community))) communities.push(community);
  }
  return communities;
}

/** The pools an advertisement names or selects; all when it does neither. */
function selectedPools(
  spec: { ipAddressPools?: string[]; ipAddressPoolSelectors?: LabelSelector[] },
  pools: Pools,
  report: Report,
): ParsedPool[] {
  report.unique(spec.ipAddressPools, 'spec.ipAddressPools');
  const matches = labelMatches(spec.ipAddressPoolSelectors, 'spec.ipAddressPoolSelectors', report);
  const byName = new Set(spec.ipAddressPools);
  for (const [i, name] of (spec.ipAddressPools ?? []).entries())
    if (!pools.has(name)) report.warning(`spec.ipAddressPools[${i}]`, `there is no IPAddressPool ${name}`);
  const all = byName.size === 0 && !spec.ipAddressPoolSelectors?.length;
  return [...pools.values()].filter(
    (pool) => all || byName.has(pool.name) || matches.some((match) => match(pool.labels)),
  );
}

/** An aggregate must not hold addresses that the pool does not have (upstream: validateBGPAdvPerPool). */
function checkAggregation(advertisement: BgpAdvertisement, pool: ParsedPool, report: Report): void {
  for (const range of pool.ranges) {
    const [field, length] =
      range.family === 4
        ? (['aggregationLength', advertisement.aggregationLength] as const)
        : (['aggregationLengthV6', advertisement.aggregationLengthV6] as const);
    const shortest = shortestPrefix(range);
    if (length < shortest)
      report.problem(
        `spec.${field}`,
        `a prefix of length ${length} holds addresses beyond ${range.text} of ${pool.report.text}; it must be at least ${shortest}`,
      );
  }
}

/** One prefix can have one preference only at one peer of one node (upstream: validateBGPAdvPerPool). */
function checkLocalPref(one: Compared, other: Compared, pool: ParsedPool): void {
  const [a, b] = [one.advertisement, other.advertisement];
  // Which Services both select cannot be told here.
  if (a.serviceSelectors.length > 0 || b.serviceSelectors.length > 0) return;
  if (a.localPref === b.localPref) return;
  const families = new Set(pool.ranges.map(({ family }) => family));
  const samePrefix =
    (families.has(4) && a.aggregationLength === b.aggregationLength) ||
    (families.has(6) && a.aggregationLengthV6 === b.aggregationLengthV6);
  const samePeer =
    a.peers.length === 0 || b.peers.length === 0 || a.peers.some((peer) => b.peers.includes(peer));
  // Different selectors are taken to select different nodes: nodes come and go, the configuration stays.
  const sameNode =
    one.nodeSelectors.length === 0 ||
    other.nodeSelectors.length === 0 ||
    isDeepStrictEqual(one.nodeSelectors, other.nodeSelectors);
  if (samePrefix && samePeer && sameNode)
    one.report.problem(
      'spec.localPref',
      `${a.localPref} contradicts ${b.localPref} of ${other.report.text}, which announces the same prefixes of ${pool.report.text} to the same peers`,
    );
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}
