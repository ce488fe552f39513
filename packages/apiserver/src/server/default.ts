import type { Clock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { defaultAdmission } from '../admission/index.ts';
import {
  type Authentication,
  defaultAuthentication,
  impersonate,
  oidcPaths,
  signingKey,
} from '../authn/index.ts';
import { defaultAuthorizer, reconcileDefaultPolicy } from '../authz/index.ts';
import type { Audit } from '../audit/index.ts';
import type { Caches } from '../cache/cache.ts';
import { clusterHooks } from '../hooks/index.ts';
import { strategies } from '../registry/strategies/index.ts';
import { reviewEndpoints } from '../reviews/index.ts';
import { lazyStreams } from '../streams/lazy.ts';
import type { KubeletEndpoint, Streams } from '../streams/streams.ts';
import type {
  ApiServer,
  PartContext,
  PortTimeouts,
  PostStartHook,
  ServerTls,
  VersionInfo,
} from './options.ts';
import { startApiServer } from './start.ts';

/** What an API server with upstream's default parts needs to know. */
export interface DefaultApiServerOptions {
  store: EtcdStore;
  listen: { host: string; port: number };
  tls: ServerTls;
  /** PEM of sa.key. */
  serviceAccountKey: string;
  /** `https://kubernetes.default.svc.cluster.local` */
  serviceAccountIssuer: string;
  /** Client certificate for kubelets, PEM, and the CA of their serving certificates. */
  kubeletClient: { cert: string; key: string; ca: string };
  /** PEM of the front-proxy CA, for components that are reached through a proxy. */
  requestHeaderCa?: (() => string) | undefined;
  /** Address at which others reach this server: the `kubernetes` Service leads there. */
  advertiseAddress: string;
  serviceCidrs: readonly string[];
  compactionIntervalMs?: number | undefined;
  /** Admission plugins to leave out, by upstream's names (`--disable-admission-plugins`). */
  disableAdmissionPlugins?: readonly string[];
  /** In place of the way to kubelets over HTTPS: for nodes that are no machines. */
  streams?: Streams;
  /** As in `ApiServerOptions`. */
  runtimeConfig?: Readonly<Record<string, boolean>>;
  /** Run after the default hooks. */
  hooks?: readonly PostStartHook[];
  /** Closed by whoever opened it, after the server has stopped. */
  audit?: Audit | undefined;
  /** As in `ApiServerOptions`. */
  shutdownDelayMs?: number | undefined;
  /** As in `ApiServerOptions`. */
  timeouts?: Partial<PortTimeouts> | undefined;
  /** As in `ApiServerOptions`. */
  requestTimeoutMs?: number;
  version: VersionInfo;
  log: Logger;
  clock: Clock;
  signal?: AbortSignal;
}

/** Starts an API server with authentication, authorization, admission, strategies and hooks as upstream has them by default. */
export async function startDefaultApiServer(options: DefaultApiServerOptions): Promise<ApiServer> {
  const key = signingKey(options.serviceAccountKey);
  const issuer = options.serviceAccountIssuer;
  const nowMs = (): number => options.clock.nowMs();
  let parts: PartContext | undefined;
  let made: Authentication | undefined;
  const authentication = (caches: Caches): Authentication =>
    (made ??= defaultAuthentication({ caches, nowMs, key, issuer }));
  let authz: ReturnType<typeof defaultAuthorizer> | undefined;
  const authorization = ({ caches }: PartContext) => (authz ??= defaultAuthorizer(caches));
  return startApiServer({
    ...options,
    authenticators: ({ caches }) => authentication(caches).authenticators,
    impersonate,
    hooks: [
      { name: 'rbac/bootstrap-roles', run: ({ client }) => reconcileDefaultPolicy(client) },
      ...clusterHooks({
        serviceCidrs: options.serviceCidrs,
        advertiseAddress: options.advertiseAddress,
        port: options.listen.port,
        authentication: {
          clientCa: () => options.tls.clientCa(),
          requestHeaderCa: options.requestHeaderCa,
        },
      }),
      ...(options.hooks ?? []),
    ],
    authorizer(context) {
      parts = context;
      return authorization(context);
    },
    admission: (context, authorizer) =>
      defaultAdmission({ ...context, authorizer, rbac: authorization(context).rbac }).filter(
        ({ name }) => !options.disableAdmissionPlugins?.includes(name),
      ),
    strategies,
    declarations: [],
    endpoints: ({ caches }, authorizer) => reviewEndpoints({ authorizer, ...authentication(caches) }),
    paths: oidcPaths({
      issuer,
      jwksUri: () =>
        `https://${options.advertiseAddress}:${(parts as PartContext).address().port}/openid/v1/jwks`,
      keys: [key],
    }),
    streams:
      options.streams ??
      lazyStreams({
        kubeletEndpoint: (nodeName) => kubeletEndpoint(parts as PartContext, nodeName),
        clientCert: options.kubeletClient.cert,
        clientKey: options.kubeletClient.key,
        kubeletCa: options.kubeletClient.ca,
        log: options.log,
      }),
  });
}

/** Where a node's kubelet listens, as its Node says. */
async function kubeletEndpoint({ caches }: PartContext, nodeName: string): Promise<KubeletEndpoint> {
  const nodes = caches.of(core.nodes);
  await nodes.ready;
  const node = nodes.get('', nodeName);
  if (!node) throw errors.notFound(core.nodes, nodeName);
  const addresses = node.status?.addresses ?? [];
  const host = (['InternalIP', 'Hostname', 'ExternalIP'] as const)
    .map((type) => addresses.find((address) => address.type === type)?.address)
    .find((address) => address !== undefined);
  if (host === undefined) throw errors.unavailable(`node ${nodeName} has told no address of its kubelet`);
  return { host, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10250 };
}
