/**
 * The Kubernetes API over any etcd v3 store: what kube-apiserver is to upstream.
 *
 * Promises: kubectl, client-go and controller-runtime cannot tell it from upstream's for built-in kinds; objects lie
 * in the store under upstream's keys as JSON that upstream's server reads; what is answered is durable; a watch from
 * any version the store still has misses and doubles nothing; clients in this process go through the same
 * authorization and admission as those over TLS.
 *
 * ```ts
 * await using server = await startApiServer({ store, listen: { host: '127.0.0.1', port: 6443 }, tls, ...rooms });
 * await server.ready;
 * const pods = await server.clientFor(user).list(core.pods, { namespace: 'default' });
 * ```
 */
export { startApiServer } from './server/start.ts';
export type {
  ApiServer,
  ApiServerOptions,
  Impersonate,
  PartContext,
  PathHandler,
  PathRequest,
  PathResponse,
  PostStartHook,
  ServerTls,
  VersionInfo,
} from './server/options.ts';
export type { Endpoint, EndpointContext } from './registry/endpoint.ts';
