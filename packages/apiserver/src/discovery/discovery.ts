import { createHash } from 'node:crypto';
import type { Catalogue, Served, Subresource } from '../registry/catalogue.ts';

interface Aggregated {
  document: object;
  etag: string;
}

/** Discovery documents of the served resources, plain and aggregated; each is made at first use after a change. */
export class Discovery {
  readonly #catalogue: Catalogue;
  readonly #address: () => string;
  readonly #documents = new Map<string, object>();
  #generation = 0;

  /** `address` is where clients reach the server, `HOST:PORT`; asked for when a document is made. */
  constructor(catalogue: Catalogue, address: () => string = () => '') {
    this.#catalogue = catalogue;
    this.#address = address;
  }

  /** The document of a discovery path (`/api`, `/apis`, `/apis/GROUP`, `/api/v1`, `/apis/GROUP/VERSION`). */
  plain(path: string): object | undefined {
    return this.#once(`plain ${path}`, () => this.#plain(path));
  }

  /** Paths of the documents below `/api` and `/apis`. */
  paths(): string[] {
    const versions = [...this.#catalogue.groupVersions.keys()];
    return [
      '/apis/',
      ...this.#groups().map((name) => `/apis/${name}`),
      ...versions.map((each) => (each.includes('/') ? `/apis/${each}` : `/api/${each}`)),
    ];
  }

  /** `APIGroupDiscoveryList` of `/api` or `/apis`, in apidiscovery.k8s.io `v2` or `v2beta1`. */
  aggregated(path: string, version: string): Aggregated | undefined {
    if (path !== '/api' && path !== '/apis') return undefined;
    return this.#once(`${version} ${path}`, () => {
      const document = this.#aggregated(path === '/api', version);
      const etag = createHash('sha512').update(JSON.stringify(document)).digest('hex').toUpperCase();
      return { document, etag };
    }) as Aggregated;
  }

  #once(key: string, make: () => object | undefined): object | undefined {
    if (this.#generation !== this.#catalogue.generation) {
      this.#documents.clear();
      this.#generation = this.#catalogue.generation;
    }
    let document = this.#documents.get(key);
    if (!document) {
      document = make();
      if (document) this.#documents.set(key, document);
    }
    return document;
  }

  #plain(path: string): object | undefined {
    const parts = path.split('/').filter((part) => part !== '');
    const [prefix, group, version] = parts;
    if (prefix === 'api') {
      if (parts.length === 1) {
        const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: this.#address() }];
        return { kind: 'APIVersions', versions: this.#versionsOf(''), serverAddressByClientCIDRs };
      }
      return parts.length === 2 ? this.#resourceList('', group as string) : undefined;
    }
    if (prefix !== 'apis') return undefined;
    if (parts.length === 1) {
      const groups = this.#groups().map((name) => this.#group(name));
      return { kind: 'APIGroupList', apiVersion: 'v1', groups };
    }
    if (parts.length === 2) {
      if (this.#versionsOf(group as string).length === 0) return undefined;
      return { kind: 'APIGroup', apiVersion: 'v1', ...this.#group(group as string) };
    }
    return parts.length === 3 ? this.#resourceList(group as string, version as string) : undefined;
  }

  /** Names of the groups other than the core one, in order. */
  #groups(): string[] {
    const names = new Set<string>();
    for (const key of this.#catalogue.groupVersions.keys()) {
      const slash = key.indexOf('/');
      if (slash > 0) names.add(key.slice(0, slash));
    }
    return [...names];
  }

  #versionsOf(group: string): string[] {
    const versions: string[] = [];
    for (const key of this.#catalogue.groupVersions.keys()) {
      const slash = key.indexOf('/');
      if ((slash < 0 ? '' : key.slice(0, slash)) === group) versions.push(key.slice(slash + 1));
    }
    return versions;
  }

  #group(name: string): { name: string; versions: object[]; preferredVersion: object | undefined } {
    const versions = this.#versionsOf(name).map((version) => ({
      groupVersion: `${name}/${version}`,
      version,
    }));
    return { name, versions, preferredVersion: versions[0] };
  }

  #resourceList(group: string, version: string): object | undefined {
    const groupVersion = group === '' ? version : `${group}/${version}`;
    const all = this.#catalogue.groupVersions.get(groupVersion);
    if (!all) return undefined;
    const resources = all.flatMap((served) => [plainResource(served), ...plainSubresources(served)]);
    return {
      kind: 'APIResourceList',
      ...(group === '' ? {} : { apiVersion: 'v1' }),
      groupVersion,
      resources,
    };
  }

  #aggregated(core: boolean, version: string): object {
    const names = core ? [''] : this.#groups();
    const items = names.map((name) => ({
      metadata: name === '' ? {} : { name },
      versions: this.#versionsOf(name).map((each) => ({
        version: each,
        resources: (this.#catalogue.groupVersions.get(name === '' ? each : `${name}/${each}`) ?? []).map(
          aggregatedResource,
        ),
        freshness: 'Current',
      })),
    }));
    return {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items,
    };
  }
}

/** Upstream's hash of a stored kind (apiserver/pkg/endpoints/discovery/storageversionhash.go). */
function storageVersionHash({ storage }: Served): string {
  // The server of definitions still names the version it stored first.
  const version = storage.group === 'apiextensions.k8s.io' ? 'v1beta1' : storage.version;
  const text = `${storage.group}/${version}/${storage.kind}`;
  return createHash('sha256').update(text).digest().subarray(0, 8).toString('base64');
}

function plainResource(served: Served): object {
  const { resource, shortNames, categories } = served;
  return {
    name: resource.plural,
    singularName: served.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: served.verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(served.computed ? {} : { storageVersionHash: storageVersionHash(served) }),
  };
}

/** Group and version of a body stand in discovery only where they differ from the document's. */
const foreign = (subresource: Subresource, { resource }: Served): boolean =>
  subresource.group !== resource.group || subresource.version !== resource.version;

function plainSubresources(served: Served): object[] {
  return [...served.subresources.values()].map((each) => ({
    name: `${served.resource.plural}/${each.name}`,
    singularName: '',
    namespaced: served.resource.namespaced,
    ...(foreign(each, served) ? { group: each.group, version: each.version } : {}),
    kind: each.kind,
    verbs: each.verbs,
  }));
}

/** Upstream names group and version of custom kinds in full, and of others where they differ from the document's. */
const responseKind = (
  isFull: boolean,
  { group, version, kind }: { group: string; version: string; kind: string },
): object => (isFull ? { group, version, kind } : { group: '', version: '', kind });

function aggregatedResource(served: Served): object {
  const { resource, shortNames, categories } = served;
  const subresources = [...served.subresources.values()].map((each) => ({
    subresource: each.name,
    responseKind: responseKind(served.custom !== undefined || foreign(each, served), each),
    verbs: each.verbs,
  }));
  return {
    resource: resource.plural,
    responseKind: responseKind(served.custom !== undefined, resource),
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: served.singular,
    verbs: served.verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  };
}
