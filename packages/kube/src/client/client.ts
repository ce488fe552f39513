import type { DeleteOptions } from '../generated/types/meta-v1.ts';
import type { KubeList, KubeObject, Resource } from '../object.ts';

/** A change as the API reports it. `BOOKMARK` carries only metadata.resourceVersion (and annotations). */
export interface ObjectEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: T;
}

interface Call {
  signal?: AbortSignal | undefined;
}

export interface GetOptions extends Call {
  namespace?: string | undefined;
  subresource?: string | undefined;
}

export interface ListOptions extends Call {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  limit?: number | undefined;
  continue?: string | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

export interface WatchOptions extends Call {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'NotOlderThan' | undefined;
  allowWatchBookmarks?: boolean | undefined;
  sendInitialEvents?: boolean | undefined;
  timeoutSeconds?: number | undefined;
}

export interface WriteOptions extends Call {
  namespace?: string | undefined;
  subresource?: string | undefined;
  dryRun?: boolean | undefined;
  fieldManager?: string | undefined;
  fieldValidation?: 'Ignore' | 'Warn' | 'Strict' | undefined;
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

/** Media types of the patch kinds. */
export const patchMediaTypes: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

/**
 * The Kubernetes API as every part of Cloudless sees it. Two implementations: HTTPS (this package,
 * client/https.ts) and in process (`@cloudless/apiserver`), so that each part runs inside or alone.
 *
 * Objects that come back may be frozen and shared: copy (`structuredClone`) before changing. Failures are
 * `StatusError`s. Every call goes through authentication, authorization and admission, in process too.
 */
export interface KubeClient {
  get<T extends KubeObject>(resource: Resource<T>, name: string, options?: GetOptions): Promise<T>;
  list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<KubeList<T>>;
  /**
   * One watch request, not resumed: ends (returns) when the server closes it, throws `StatusError` (410
   * `Expired` included) or the connection's error. `startReflector` in informer/reflector.ts resumes.
   */
  watch<T extends KubeObject>(resource: Resource<T>, options?: WatchOptions): AsyncIterable<ObjectEvent<T>>;
  /** `object.metadata.namespace` is used when `options.namespace` is absent. */
  create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options?: WriteOptions & { name?: string },
  ): Promise<T>;
  /** Creates through a subresource whose body is of another kind (`token`, `binding`, `eviction`). */
  createSubresource<B, R>(
    resource: Resource,
    name: string,
    subresource: string,
    body: B,
    options?: WriteOptions,
  ): Promise<R>;
  update<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    type: PatchType,
    patch: unknown,
    options?: WriteOptions & { force?: boolean },
  ): Promise<T>;
  /** Returns the object (finalizers or grace pending) or the `Status` of the deletion. */
  delete(
    resource: Resource,
    name: string,
    options?: Call & { namespace?: string | undefined } & DeleteOptions,
  ): Promise<unknown>;
  deleteCollection(resource: Resource, options?: ListOptions & DeleteOptions): Promise<void>;
  /** A path that is no resource (`/version`, `/healthz`, discovery); the body as text. Throws on ≥ 400. */
  raw(
    method: string,
    path: string,
    options?: Call & { body?: string; contentType?: string },
  ): Promise<string>;
}
