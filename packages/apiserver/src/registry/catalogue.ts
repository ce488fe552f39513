import { apiVersionOf, type Resource } from '@cloudless/kube/object';
import { builtinResources, storageResourceOf, storageVersionOf } from './builtin.ts';
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

const storedVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const readWrite = ['get', 'patch', 'update'];

/** Verbs of subresources, and their kind where it is not the parent's. */
const subresourceFacts: Readonly<
  Record<string, { verbs: readonly string[]; kind?: readonly [group: string, version: string, kind: string] }>
> = {
  approval: { verbs: readWrite },
  attach: { verbs: ['create', 'get'], kind: ['', 'v1', 'PodAttachOptions'] },
  binding: { verbs: ['create'], kind: ['', 'v1', 'Binding'] },
  ephemeralcontainers: { verbs: readWrite },
  eviction: { verbs: ['create'], kind: ['policy', 'v1', 'Eviction'] },
  exec: { verbs: ['create', 'get'], kind: ['', 'v1', 'PodExecOptions'] },
  finalize: { verbs: ['update'] },
  log: { verbs: ['get'] },
  portforward: { verbs: ['create', 'get'], kind: ['', 'v1', 'PodPortForwardOptions'] },
  resize: { verbs: readWrite },
  scale: { verbs: readWrite, kind: ['autoscaling', 'v1', 'Scale'] },
  status: { verbs: readWrite },
  token: { verbs: ['create'], kind: ['authentication.k8s.io', 'v1', 'TokenRequest'] },
};

const isStable = (version: string): boolean => /^v\d+$/.test(version);

/**
 * Whether upstream's defaults and `runtimeConfig` (its `--runtime-config`) serve a group version: stable ones are
 * on, alpha and beta off; `api/all`, `api/ga`, `api/beta`, `api/alpha`, `GROUP/VERSION` and
 * `GROUP/VERSION/PLURAL` switch, the more exact last.
 */
function isServed(
  resource: { group: string; version: string; plural: string },
  config: Readonly<Record<string, boolean>>,
): boolean {
  const { version } = resource;
  const stage = isStable(version) ? 'api/ga' : version.includes('alpha') ? 'api/alpha' : 'api/beta';
  const groupVersion = apiVersionOf(resource);
  const full = resource.group === '' ? `api/${version}` : groupVersion;
  return (
    config[`${groupVersion}/${resource.plural}`] ??
    config[full] ??
    config[stage] ??
    config['api/all'] ??
    isStable(version)
  );
}

/** What the server serves: lookup by URL and by kind, and the order of discovery. */
export class Catalogue {
  readonly #byPath = new Map<string, Served>();
  readonly #byKind = new Map<string, Served>();
  /** Served group versions in order, with their resources. */
  readonly groupVersions: ReadonlyMap<string, readonly Served[]>;

  constructor(
    declarations: readonly ResourceDeclaration[],
    runtimeConfig: Readonly<Record<string, boolean>> = {},
  ) {
    const declared = new Map(
      declarations.map((each) => [`${each.resource.group}/${each.resource.plural}`, each]),
    );
    const all = builtinResources();
    const groupVersions = new Map<string, Served[]>();
    for (const fact of all) {
      if (!isServed(fact, runtimeConfig)) continue;
      const { group, version, plural, kind, namespaced } = fact;
      const resource: Resource = Object.freeze({ group, version, plural, kind, namespaced });
      const storageKey = storageResourceOf(resource);
      const storageVersion = storageVersionOf(storageKey);
      const storage = all.find(
        (other) =>
          `${other.group}/${other.plural}` === storageKey &&
          (!storageVersion || other.version === storageVersion),
      );
      const declaration = declared.get(`${group}/${plural}`);
      const served: Served = {
        resource,
        storage: storage
          ? Object.freeze({ ...resource, group: storage.group, version: storage.version })
          : resource,
        verbs: fact.computed
          ? ['create']
          : storedVerbs.filter((verb) => kind !== 'Namespace' || verb !== 'deletecollection'),
        computed: fact.computed,
        singular: declaration?.singular ?? kind.toLowerCase(),
        shortNames: declaration?.shortNames ?? [],
        categories: declaration?.categories ?? [],
        subresources: new Map(fact.subresources.map((name) => [name, subresourceOf(resource, name)])),
      };
      this.#byPath.set(`${group}/${version}/${plural}`, served);
      this.#byKind.set(`${group}/${version}/${kind}`, served);
      const key = apiVersionOf(resource);
      const list = groupVersions.get(key);
      if (list) list.push(served);
      else groupVersions.set(key, [served]);
    }
    this.groupVersions = groupVersions;
  }

  find(group: string, version: string, plural: string): Served | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  byKind(group: string, version: string, kind: string): Served | undefined {
    return this.#byKind.get(`${group}/${version}/${kind}`);
  }

  /** Every served resource. */
  *all(): Generator<Served> {
    yield* this.#byPath.values();
  }
}

function subresourceOf(parent: Resource, name: string): Subresource {
  const facts = subresourceFacts[name] ?? { verbs: readWrite };
  const [group, version, kind] = facts.kind ?? [parent.group, parent.version, parent.kind];
  return { name, group, version, kind, verbs: facts.verbs };
}
