import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { UserInfo } from '@cloudless/kube/user';
import type { ObjectVersions } from '../admission/object-versions.ts';
import type { AdmissionPlugin } from '../admission/plugin.ts';
import type { Authenticator } from '../authn/authenticator.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Caches } from '../cache/cache.ts';
import type { Audit } from '../audit/index.ts';
import type { Catalogue } from '../registry/catalogue.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import type { RequestInfo } from '../request/info.ts';
import type { ResourceDeclaration, Strategy } from '../registry/strategy.ts';
import type { Streams } from '../streams/streams.ts';

/** What the parts of an API server (authorizer, admission, endpoints, hooks) are built from. */
export interface PartContext {
  readonly caches: Caches;
  /** In-process client of `system:apiserver` in `system:masters` (upstream's loopback client). */
  readonly client: KubeClient;
  /** Where the server listens, the real port included. Known once it does, before any hook runs; throws until then. */
  address(): { readonly host: string; readonly port: number };
  /** What is served. */
  readonly catalogue: Catalogue;
  /** Objects of requests in other versions than the stored one. */
  readonly versions: ObjectVersions;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the server stops. */
  readonly signal: AbortSignal;
}

/** Whom a request goes on as. */
export interface Impersonated {
  readonly user: UserInfo;
  /** The verb that allowed it, such as `impersonate:user-info`; '' for the one without constraints. */
  readonly constraint: string;
}

/**
 * Reads the `Impersonate-*` headers. Returns undefined when there are none; throws `StatusError` 403 when `user` may
 * not impersonate for this request.
 */
export type Impersonate = (
  user: UserInfo,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  authorizer: Authorizer,
  info: RequestInfo,
) => Impersonated | undefined;

/** A request for a path that is no resource, authenticated and authorized. */
export interface PathRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly user: UserInfo;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly signal: AbortSignal;
}

export interface PathResponse {
  status?: number;
  contentType: string;
  headers?: Readonly<Record<string, string>>;
  /** `body` is compressed; clients that do not take it so get it unpacked. */
  encoding?: 'gzip';
  body: string | Uint8Array;
}

/** Serves one non-resource path, such as `/.well-known/openid-configuration`; GET and HEAD only. */
export interface PathHandler {
  readonly path: string;
  /** Also everything below `path` + `/`. */
  readonly subtree?: boolean;
  handle(request: PathRequest): Promise<PathResponse> | PathResponse;
}

/** Runs once after the port is open, in order; `/readyz` waits for all. A hook that throws is tried again. */
export interface PostStartHook {
  /** As shown by `/readyz?verbose`: `poststarthook/NAME`. */
  readonly name: string;
  /** Runs beside the others from the start, instead of in its turn. */
  readonly beside?: boolean;
  run(context: PartContext): Promise<void> | void;
}

/** PEM texts, read again when they may have changed: certificates rotate without a restart. */
export interface ServerTls {
  /** Leaf first, then intermediates. */
  cert(): string;
  key(): string;
  /** CAs that sign client certificates. */
  clientCa(): string;
}

export interface VersionInfo {
  /** `v1.36.0+cloudless0.1.0` */
  readonly gitVersion: string;
  readonly gitCommit?: string;
  readonly buildDate?: string;
}

/** How long clients may take, in milliseconds. */
export interface PortTimeouts {
  /** To finish a TLS handshake. */
  readonly handshakeMs: number;
  /** To send the headers of a request. */
  readonly headersMs: number;
  /** To send a request whole, its body included. */
  readonly bodyMs: number;
  /** A connection without a request. */
  readonly idleMs: number;
}

export interface ApiServerOptions {
  /** Address at which clients reach the server; discovery tells it. */
  advertiseAddress?: string;
  /** Closed by whoever opened it, after the server has stopped. */
  store: EtcdStore;
  listen: { host: string; port: number };
  tls: ServerTls;
  /** Asked in order; the first that answers decides. No answer at all: `system:anonymous`. */
  authenticators(context: PartContext): readonly Authenticator[];
  impersonate?: Impersonate;
  /** `ready` resolves when the authorizer has what it decides from; requests wait for it. */
  authorizer(context: PartContext): { authorizer: Authorizer; ready: Promise<void> };
  /** In the order in which they run. */
  admission(context: PartContext, authorizer: Authorizer): readonly AdmissionPlugin[];
  /** By `GROUP/KIND`: `apps/Deployment`, `/Pod`. */
  strategies: ReadonlyMap<string, Strategy>;
  declarations: readonly ResourceDeclaration[];
  endpoints(context: PartContext, authorizer: Authorizer): readonly Endpoint[];
  paths?: readonly PathHandler[];
  hooks?: readonly PostStartHook[];
  streams: Streams;
  version: VersionInfo;
  log: Logger;
  clock: Clock;
  signal?: AbortSignal;
  /** Default `/registry`. */
  storagePrefix?: string;
  /** Upstream's `--runtime-config`: `{ 'api/all': true }`, `{ 'resource.k8s.io/v1beta2': true }`. */
  runtimeConfig?: Readonly<Record<string, boolean>>;
  /** Their sum is what priority levels share. Upstream's defaults: 200 mutating and 400 read-only requests. */
  maxMutatingInflight?: number;
  maxReadOnlyInflight?: number;
  /** Upstream's `--request-timeout`: the longest that requests may take, long-running ones aside. Default 60 s. */
  requestTimeoutMs?: number;
  /** Seconds an Event is kept. Default 3600. */
  eventTtlSeconds?: number;
  /** Upstream's `--etcd-compaction-interval`. Default 5 minutes. */
  compactionIntervalMs?: number | undefined;
  /** Closed by whoever opened it, after the server has stopped. */
  audit?: Audit | undefined;
  /** Upstream's `--shutdown-delay-duration`: how long `/readyz` fails before connections are refused. Default 0. */
  shutdownDelayMs?: number | undefined;
  /** In place of the defaults, some of them. */
  timeouts?: Partial<PortTimeouts> | undefined;
  /** How long requests under way at a stop may go on. Default 10 s, at most 60 s. */
  drainMs?: number | undefined;
}

export interface ApiServer extends Running {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: { host: string; port: number };
  /** In-process client that acts as `user`: the same authorization and admission, no encoding. */
  clientFor(user: UserInfo): KubeClient;
  readonly caches: Caches;
  /** Resolves once every hook has run: when `/readyz` turns 200. */
  readonly ready: Promise<void>;
  /** Turns `/readyz` to 500 ahead of `stop`, while everything is served on. */
  announceStop(): void;
  /** Prometheus text, as `/metrics` serves it. */
  metrics(): string;
}
