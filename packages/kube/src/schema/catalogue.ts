/**
 * The built-in resources of Kubernetes 1.36 as kube-apiserver serves and lists them: names, verbs, subresources,
 * storage versions, and the order of groups and versions. Facts: upstream's own discovery documents and the
 * priorities of its APIServices (cmd/kube-apiserver/app/aggregator.go).
 */
import type { Resource } from '../object.ts';
import { compact, parseApiVersion } from './schema.ts';

export interface SubresourceFacts {
  /** `status`, `scale`, `eviction`, `token`, … */
  readonly name: string;
  /** Kind and group version of its body. */
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly verbs: readonly string[];
}

export interface ResourceFacts extends Resource {
  /** What discovery calls `singularName`. */
  readonly singular: string;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly SubresourceFacts[];
  /** Served by default: stable versions only. */
  readonly served: boolean;
  /** Group and version that upstream stores the kind in; undefined for what is not stored (reviews, bindings). */
  readonly storage: { readonly group: string; readonly version: string } | undefined;
}

export interface GroupVersionFacts {
  readonly group: string;
  readonly version: string;
  /** `apps/v1`, `v1`. */
  readonly apiVersion: string;
  readonly served: boolean;
  /** Priorities of its APIService object; undefined for apiregistration.k8s.io, which has none. */
  readonly groupPriority: number | undefined;
  readonly versionPriority: number | undefined;
}

/** Greater is preferred: v2 over v1, v1 over v1beta1, beta over alpha, others last (apimachinery/pkg/version). */
export function versionRank(version: string): number {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (!match) return 0;
  const stage = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
  return stage * 1_000_000 + Number(match[1]) * 1_000 + Number(match[3] ?? 0);
}

const first = Number.MAX_SAFE_INTEGER;

/**
 * All group versions in the order of kube-apiserver's discovery: the core group, then groups by priority (of their
 * best version; ties by name), each group's versions by theirs. Not served ones are included: filter by `served`.
 */
export const groupVersions: readonly GroupVersionFacts[] = orderedGroupVersions();

function orderedGroupVersions(): GroupVersionFacts[] {
  const facts = Object.entries(compact.groupVersions).map(([apiVersion, fact]): GroupVersionFacts => ({
    ...parseApiVersion(apiVersion),
    apiVersion,
    served: fact.served,
    groupPriority: fact.groupPriority,
    versionPriority: fact.versionPriority,
  }));
  const groupPriority = new Map<string, number>();
  for (const { group, groupPriority: priority } of facts)
    groupPriority.set(group, Math.max(groupPriority.get(group) ?? 0, priority ?? first - 1));
  groupPriority.set('', first);
  return facts.sort(
    (a, b) =>
      (groupPriority.get(b.group) as number) - (groupPriority.get(a.group) as number) ||
      (a.group < b.group ? -1 : a.group > b.group ? 1 : 0) ||
      (b.versionPriority ?? 0) - (a.versionPriority ?? 0) ||
      versionRank(b.version) - versionRank(a.version),
  );
}

const order = new Map(groupVersions.map(({ apiVersion }, index) => [apiVersion, index]));
const apiVersionOf = (group: string, version: string): string =>
  group === '' ? version : `${group}/${version}`;

/** All built-in resources, in the order of `groupVersions`, within one by name. Frozen. */
export const catalogue: readonly ResourceFacts[] = compact.resources
  .map((fact): ResourceFacts =>
    Object.freeze({
      group: fact.group,
      version: fact.version,
      plural: fact.plural,
      kind: fact.kind,
      namespaced: fact.namespaced,
      singular: fact.singular,
      verbs: fact.verbs,
      shortNames: fact.shortNames,
      categories: fact.categories,
      served: compact.groupVersions[apiVersionOf(fact.group, fact.version)]?.served ?? false,
      storage: fact.storage === '' ? undefined : parseApiVersion(fact.storage),
      subresources: Object.entries(fact.subresources).map(([name, { kind, apiVersion, verbs }]) => ({
        name,
        kind,
        ...parseApiVersion(apiVersion),
        verbs,
      })),
    }),
  )
  .sort(
    (a, b) =>
      (order.get(apiVersionOf(a.group, a.version)) ?? 0) -
        (order.get(apiVersionOf(b.group, b.version)) ?? 0) || (a.plural < b.plural ? -1 : 1),
  );

const byPath = new Map(
  catalogue.map((fact) => [`${apiVersionOf(fact.group, fact.version)}/${fact.plural}`, fact]),
);
const byKind = new Map(
  catalogue.map((fact) => [`${apiVersionOf(fact.group, fact.version)}/${fact.kind}`, fact]),
);

/** A built-in resource by the parts of its URL. */
export function resourceOf(group: string, version: string, plural: string): ResourceFacts | undefined {
  return byPath.get(`${apiVersionOf(group, version)}/${plural}`);
}

/** The built-in resource whose objects are of a kind. */
export function resourceOfKind(group: string, version: string, kind: string): ResourceFacts | undefined {
  return byKind.get(`${apiVersionOf(group, version)}/${kind}`);
}

/** The version of a group that discovery prefers: the first one served. */
export function preferredVersion(group: string): string | undefined {
  return groupVersions.find((fact) => fact.group === group && fact.served)?.version;
}
