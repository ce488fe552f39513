import type { KubeClient } from '@cloudless/kube/client/client';
import { parseYamlDocuments } from '@cloudless/kube/codec/yaml';
import type { KubeObject, Resource } from '@cloudless/kube/object';

/** A manifest that cannot be applied: which object, and why. */
export class ManifestError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ManifestError';
  }
}

/** An object as it stands in a manifest. */
export type Manifest = KubeObject & Record<string, unknown>;

/** Any object with a type, such as what `apply` returned: enough to find it in the API. */
export interface Named {
  apiVersion?: string | undefined;
  kind?: string | undefined;
  metadata: { name?: string | undefined; namespace?: string | undefined };
}

/**
 * The objects of manifests: YAML or JSON text of any number of documents, objects, `List`s of objects.
 *
 * @throws ManifestError naming the document that is no object of Kubernetes
 */
export function readManifests(manifests: string | object | ReadonlyArray<string | object>): Manifest[] {
  const all = Array.isArray(manifests) ? (manifests as ReadonlyArray<string | object>) : [manifests];
  return all.flatMap((manifest) => {
    const documents = typeof manifest === 'string' ? parseYamlDocuments(manifest) : [manifest];
    return documents.flatMap((document, i) => objectsOf(document, i));
  });
}

function objectsOf(document: unknown, index: number): Manifest[] {
  // A document of comments only.
  if (document === null || document === undefined) return [];
  const { apiVersion, kind, metadata, items } = document as Partial<Manifest>;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    throw new ManifestError(`document ${index + 1} of the manifest has no apiVersion and kind`);
  }
  if (Array.isArray(items) && kind.endsWith('List')) return items.flatMap((item, i) => objectsOf(item, i));
  if (typeof metadata !== 'object' || metadata === null) {
    throw new ManifestError(`document ${index + 1} of the manifest, a ${kind}, has no metadata`);
  }
  return [document as Manifest];
}

interface DiscoveredResource {
  name: string;
  kind: string;
  namespaced: boolean;
}

/** Which resource a kind is, as the API server's own discovery says: custom kinds too, from when they are served. */
export class ResourceFinder {
  readonly #client: KubeClient;
  readonly #known = new Map<string, Resource>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** @throws ManifestError when the API server serves no such kind */
  async find({ apiVersion, kind, metadata }: Named): Promise<Resource> {
    const key = `${apiVersion}/${kind}`;
    let resource = this.#known.get(key);
    if (!resource) {
      await this.#discover(apiVersion ?? '');
      resource = this.#known.get(key);
    }
    if (resource) return resource;
    throw new ManifestError(
      `${kind ?? 'an object'} "${metadata.name ?? ''}": the cluster serves no kind ${kind} in ${apiVersion}; apply its CustomResourceDefinition first`,
    );
  }

  /** Forgets what is known: kinds came or went. */
  forget(): void {
    this.#known.clear();
  }

  async #discover(apiVersion: string): Promise<void> {
    const slash = apiVersion.indexOf('/');
    const group = slash < 0 ? '' : apiVersion.slice(0, slash);
    const version = apiVersion.slice(slash + 1);
    let text: string;
    try {
      text = await this.#client.raw('GET', slash < 0 ? `/api/${version}` : `/apis/${group}/${version}`);
    } catch {
      return;
    }
    const { resources } = JSON.parse(text) as { resources: DiscoveredResource[] };
    for (const { name, kind, namespaced } of resources) {
      if (name.includes('/')) continue;
      this.#known.set(`${apiVersion}/${kind}`, { group, version, plural: name, kind, namespaced });
    }
  }
}
