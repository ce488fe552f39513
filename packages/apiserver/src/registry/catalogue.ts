import { apiVersionOf, type Resource } from '@cloudless/kube/object';
import { catalogue as builtIn, groupVersions, type ResourceFacts } from '@cloudless/kube/schema/catalogue';
import type { ResourceDeclaration } from './strategy.ts';

/** Kind of a subresource's body, and what may be done with it. */
export interface Subresource {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

/** One resource in one served version. */
export interface Served {
  readonly resource: Resource;
  /** The resource and version whose keys and values hold it. */
  readonly storage: Resource;
  readonly verbs: readonly string[];
  /** Computed by an endpoint; nothing is stored. */
  readonly computed: boolean;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: ReadonlyMap<string, Subresource>;
}

/** Known to Kubernetes, but not served here yet: they are left out of discovery, and a request gets 404. */
const notServedYet: ReadonlySet<string> = new Set(['componentstatuses', 'proxy']);
/** Versions whose conversion to the stored one is more than another name. */
const withoutConversion: ReadonlySet<string> = new Set(['resource.k8s.io/v1beta1']);

/**
 * Whether upstream's defaults and `runtimeConfig` (its `--runtime-config`) serve a resource: stable versions are on,
 * alpha and beta off; `api/all`, `api/ga`, `api/beta`, `api/alpha`, `GROUP/VERSION` and `GROUP/VERSION/PLURAL`
 * switch, the more exact last.
 */
function isServed(fact: ResourceFacts, config: Readonly<Record<string, boolean>>): boolean {
  const { version } = fact;
  const groupVersion = apiVersionOf(fact);
  if (notServedYet.has(fact.plural) || withoutConversion.has(groupVersion)) return false;
  const stage = version.includes('alpha') ? 'api/alpha' : version.includes('beta') ? 'api/beta' : 'api/ga';
  const full = fact.group === '' ? `api/${version}` : groupVersion;
  return (
    config[`${groupVersion}/${fact.plural}`] ??
    config[full] ??
    config[stage] ??
    config['api/all'] ??
    fact.served
  );
}

/** What the server serves: lookup by URL and by kind, and the order of discovery. */
export class Catalogue {
  readonly #byPath = new Map<string, Served>();
  readonly #byKind = new Map<string, Served>();
  /** Served group versions in order of preference, with their resources. */
  readonly groupVersions: ReadonlyMap<string, readonly Served[]>;

  constructor(
    declarations: readonly ResourceDeclaration[] = [],
    runtimeConfig: Readonly<Record<string, boolean>> = {},
  ) {
    const declared = new Map(
      declarations.map((each) => [`${each.resource.group}/${each.resource.plural}`, each]),
    );
    const byGroupVersion = new Map<string, Served[]>(groupVersions.map(({ apiVersion }) => [apiVersion, []]));
    for (const fact of builtIn) {
      if (!isServed(fact, runtimeConfig)) continue;
      const served = servedOf(fact, declared.get(`${fact.group}/${fact.plural}`));
      const groupVersion = apiVersionOf(fact);
      this.#byPath.set(`${groupVersion}/${fact.plural}`, served);
      this.#byKind.set(`${groupVersion}/${fact.kind}`, served);
      byGroupVersion.get(groupVersion)?.push(served);
    }
    for (const [groupVersion, all] of byGroupVersion)
      if (all.length === 0) byGroupVersion.delete(groupVersion);
    this.groupVersions = byGroupVersion;
  }

  find(group: string, version: string, plural: string): Served | undefined {
    return this.#byPath.get(group === '' ? `${version}/${plural}` : `${group}/${version}/${plural}`);
  }

  byKind(group: string, version: string, kind: string): Served | undefined {
    return this.#byKind.get(group === '' ? `${version}/${kind}` : `${group}/${version}/${kind}`);
  }

  /** Every served resource. */
  *all(): Generator<Served> {
    yield* this.#byPath.values();
  }
}

function servedOf(fact: ResourceFacts, declaration: ResourceDeclaration | undefined): Served {
  const { group, version, plural, kind, namespaced, storage } = fact;
  const resource: Resource = Object.freeze({ group, version, plural, kind, namespaced });
  const subresources = fact.subresources.filter((each) => !notServedYet.has(each.name));
  return {
    resource,
    storage: storage
      ? Object.freeze({ ...resource, group: storage.group, version: storage.version })
      : resource,
    verbs: fact.verbs,
    computed: storage === undefined,
    singular: declaration?.singular ?? fact.singular,
    shortNames: declaration?.shortNames ?? fact.shortNames,
    categories: declaration?.categories ?? fact.categories,
    subresources: new Map(subresources.map((each) => [each.name, each])),
  };
}
