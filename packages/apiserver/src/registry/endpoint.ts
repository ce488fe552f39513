import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { UserInfo } from '@cloudless/kube/user';
import type { Annotate } from '../admission/plugin.ts';
import type { Caches } from '../cache/cache.ts';

/** What a custom endpoint knows of its request: authenticated, authorized, decoded and admitted already. */
export interface EndpointContext {
  readonly user: UserInfo;
  /** The resource of the URL (the parent, when there is a subresource). */
  readonly resource: Resource;
  /** '' for cluster-scoped resources. */
  readonly namespace: string;
  /** Name of the parent object; '' for virtual resources such as `tokenreviews`. */
  readonly name: string;
  readonly subresource: string;
  readonly query: URLSearchParams;
  readonly dryRun: boolean;
  readonly caches: Caches;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** Adds a `Warning` header to the response. */
  warn(text: string): void;
  /** Adds an annotation to the audit event; absent when nothing is audited. */
  readonly annotate?: Annotate | undefined;
}

/**
 * A resource or subresource that is computed, not stored: `POST` with a body of its own kind, answered with an
 * object of its own making (upstream: rest.Creater of `serviceaccounts/token`, `tokenreviews`,
 * `selfsubjectaccessreviews`, …). Refuses by throwing `StatusError`.
 */
export interface Endpoint {
  readonly resource: Resource;
  /** '' for a virtual resource, `token` for `serviceaccounts/NAME/token`. */
  readonly subresource: string;
  /** Kind of the body; a body without apiVersion and kind is taken to be of it. */
  readonly body: { readonly group: string; readonly version: string; readonly kind: string };
  /** `body` is owned by the request and may be changed and returned. The result is answered with 201. */
  handle(context: EndpointContext, body: KubeObject): Promise<object> | object;
}
