import type { UserInfo } from '@cloudless/kube/user';

/** Verbs of resource requests (upstream: apiserver/pkg/endpoints/request/requestinfo.go). */
export type Verb =
  | 'get'
  | 'list'
  | 'watch'
  | 'create'
  | 'update'
  | 'patch'
  | 'delete'
  | 'deletecollection'
  /** exec, attach, portforward, proxy. */
  | 'connect';

/** What a URL and method mean. For non-resource requests `verb` is the lower-case method and `path` counts. */
export interface RequestInfo {
  isResource: boolean;
  verb: string;
  path: string;
  /** `api` or `apis`; empty for non-resource requests. */
  apiPrefix: string;
  group: string;
  version: string;
  namespace: string;
  /** Plural. */
  resource: string;
  subresource: string;
  name: string;
}

/** What an authorizer judges (upstream: authorizer.Attributes). */
export interface Attributes extends RequestInfo {
  user: UserInfo;
  labelSelector?: string;
  fieldSelector?: string;
}
