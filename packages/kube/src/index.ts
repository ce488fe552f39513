/**
 * The vocabulary that every part of Cloudless shares: Kubernetes' types, schema and codecs, the client and what
 * is built on it, the storage contract (etcd v3), and the context of a node. Import by subpath:
 *
 * ```ts
 * import { core } from '@cloudless/kube/resources';
 * import { errors } from '@cloudless/kube/status';
 * ```
 */
export {
  type KubeList,
  type KubeObject,
  type Resource,
  apiVersionOf,
  groupResourceOf,
  pathOf,
} from './object.ts';
export { StatusError, errors } from './status.ts';
