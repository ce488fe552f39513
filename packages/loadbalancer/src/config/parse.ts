import type { KubeObject } from '@cloudless/kube/object';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { parseBgpAdvertisements, parseL2Advertisements } from './advertisements.ts';
import { parseBfdProfiles } from './bfd-profiles.ts';
import { communityNames } from './communities.ts';
import type { LoadBalancerConfig, Pool } from './config.ts';
import type {
  BfdProfileObject,
  BgpAdvertisementObject,
  BgpPeerObject,
  CommunityObject,
  IPAddressPool,
  L2AdvertisementObject,
} from './kinds.ts';
import { parsePeers } from './peers.ts';
import { parsePools } from './pools.ts';
import { type ConfigurationProblem, Findings } from './problem.ts';

/** The objects that make a configuration; kinds that are left out count as empty. */
export interface ConfigurationObjects {
  readonly ipAddressPools?: readonly IPAddressPool[];
  readonly l2Advertisements?: readonly L2AdvertisementObject[];
  readonly bgpAdvertisements?: readonly BgpAdvertisementObject[];
  readonly bgpPeers?: readonly BgpPeerObject[];
  readonly bfdProfiles?: readonly BfdProfileObject[];
  readonly communities?: readonly CommunityObject[];
}

/** Either a configuration, or all that is wrong. Warnings tell what is allowed but has no effect. */
export type ParsedConfiguration =
  | { readonly config: LoadBalancerConfig; readonly warnings: readonly ConfigurationProblem[] }
  | {
      readonly problems: readonly ConfigurationProblem[];
      readonly warnings: readonly ConfigurationProblem[];
    };

/**
 * Joins and checks the objects of `metallb.io` (upstream: internal/config). The result does not depend on their
 * order. `secrets`: those of type kubernetes.io/basic-auth that peers may name; their content is never reported.
 * `unread`: passwords do not matter here.
 */
export function parseConfiguration(
  objects: ConfigurationObjects,
  secrets: readonly Secret[] | 'unread' = [],
): ParsedConfiguration {
  const findings = new Findings();
  const parsedPools = parsePools(objects.ipAddressPools ?? [], findings);
  const bfdProfiles = parseBfdProfiles(byName(objects.bfdProfiles), findings);
  const peers = parsePeers(byName(objects.bgpPeers), bfdProfiles, secrets, findings);
  const names = communityNames(byName(objects.communities), findings);
  const l2 = parseL2Advertisements(byName(objects.l2Advertisements), parsedPools, findings);
  const bgp = parseBgpAdvertisements(
    byName(objects.bgpAdvertisements),
    parsedPools,
    names,
    new Set(peers.keys()),
    findings,
  );
  const { problems, warnings } = findings;
  if (problems.length > 0) return { problems, warnings };
  const pools = new Map<string, Pool>();
  for (const [name, { labels: _labels, report: _report, ...pool }] of parsedPools) {
    pools.set(name, {
      ...pool,
      l2Advertisements: l2.get(name) ?? [],
      bgpAdvertisements: bgp.get(name) ?? [],
    });
  }
  return { config: { pools, peers, bfdProfiles }, warnings };
}

function byName<T extends KubeObject>(objects: readonly T[] = []): T[] {
  const key = ({ metadata }: T): string => `${metadata.name ?? ''}/${metadata.namespace ?? ''}`;
  return [...objects].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
