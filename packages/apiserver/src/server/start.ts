import { running } from '@cloudless/kube/lifecycle';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { UserInfo } from '@cloudless/kube/user';
import type { Audit } from '../audit/index.ts';
import { InProcessClient } from '../client/in-process.ts';
import { type RawRequest, rawRequests } from '../client/raw.ts';
import { Discovery } from '../discovery/discovery.ts';
import { followConfiguration } from '../flowcontrol/configuration.ts';
import { FlowControl } from '../flowcontrol/flow-control.ts';
import { FlowGate } from '../flowcontrol/gate.ts';
import { dumpPriorityLevels, flowControlMetrics } from '../flowcontrol/metrics.ts';
import { Encoder } from '../http/encode.ts';
import { Handler } from '../http/handler.ts';
import type { HealthCheck } from '../http/health.ts';
import { Deadlines, defaultRequestTimeoutMs } from '../http/deadlines.ts';
import { lazyCodecs, parseYaml, readProtobuf } from '../http/lazy-codecs.ts';
import { Paths } from '../http/paths.ts';
import { defaultTimeouts, listenTls, type TlsServer } from '../http/server.ts';
import { RequestMetrics } from '../metrics/requests.ts';
import { serverMetrics } from '../metrics/server.ts';
import { Catalogue } from '../registry/catalogue.ts';
import { Registry } from '../registry/registry.ts';
import { startDefinitions } from '../crd/definitions.ts';
import { Decoder } from '../request/decoder.ts';
import { RegistryVersions } from '../request/object-versions.ts';
import { applyPatch } from '../request/patches.ts';
import { Pipeline } from '../request/pipeline.ts';
import { startCompaction } from '../storage/compaction.ts';
import { keyBytes } from '../storage/keys.ts';
import { runHooks } from './hooks.ts';
import { Shutdown } from './shutdown.ts';
import type { ApiServer, ApiServerOptions, PartContext } from './options.ts';

/** Upstream's loopback identity: what the server itself acts as. */
const loopbackUser: UserInfo = {
  name: 'system:apiserver',
  groups: ['system:masters', 'system:authenticated'],
};
const defaultEventTtlSeconds = 3_600;
const defaultMaxMutating = 200;
const defaultMaxReading = 400;

/**
 * Starts an API server over `options.store` and opens its TLS port. Resolves when the port answers; `ready` follows
 * when the post-start hooks have run. Throws when the port or the certificates cannot be used.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, clock, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const shutdown = new Shutdown({ clock, delayMs: options.shutdownDelayMs, drainMs: options.drainMs });
  const catalogue = new Catalogue(options.declarations, options.runtimeConfig);
  const registry = new Registry({
    store,
    catalogue,
    strategies: options.strategies,
    defaultsOf: defaultsFrom(options),
    readProtobuf,
    storagePrefix: options.storagePrefix ?? '/registry',
    eventTtlSeconds: options.eventTtlSeconds ?? defaultEventTtlSeconds,
    clock,
    log,
    signal,
  });
  // The client is part of what the pipeline is built from: it finds the pipeline when it is first used.
  let clientFor: ApiServer['clientFor'] = () => {
    throw new Error('the API server is still being put together');
  };
  let server: TlsServer | undefined;
  const decoder = new Decoder({
    parseYaml,
    readProtobuf,
    customKind: ({ group, version, kind }) => {
      const served = catalogue.byKind(group, version, kind);
      return served && registry.customKind(served.resource);
    },
  });
  const context: PartContext = {
    caches: registry.caches,
    catalogue,
    versions: new RegistryVersions(registry, decoder),
    get client() {
      return clientFor(loopbackUser);
    },
    address() {
      if (!server) throw new Error('the API server does not listen yet');
      return server.address;
    },
    clock,
    log,
    signal,
  };
  const { authorizer, ready: authorizerReady } = options.authorizer(context);
  const pipeline = new Pipeline({
    registry,
    decoder,
    patch: applyPatch,
    authorizer,
    authorizerReady,
    endpoints: options.endpoints(context, authorizer),
    isComplete: () => definitions.isSynced,
  });
  let raw: RawRequest | undefined;
  const encoder = new Encoder(
    () => lazyCodecs,
    () => clock.nowMs(),
  );
  const inProcessAudit = await auditInProcess(options.audit, registry, encoder);
  clientFor = (user) =>
    new InProcessClient(
      pipeline,
      user,
      (...request) => {
        if (!raw) throw new Error('the API server is still being put together');
        return raw(...request);
      },
      inProcessAudit,
    );
  registry.useAdmission(options.admission(context, authorizer));
  registry.useAuthorizer(authorizer);

  const metrics = new RequestMetrics();
  const flowControl = new FlowControl(
    (options.maxReadOnlyInflight ?? defaultMaxReading) + (options.maxMutatingInflight ?? defaultMaxMutating),
    clock,
  );
  const gate = new FlowGate(flowControl, registry);
  const requestTimeoutMs = options.requestTimeoutMs ?? defaultRequestTimeoutMs;
  const deadlines = new Deadlines(requestTimeoutMs, clock);
  const definitions = startDefinitions(registry, context, loopbackUser);
  const hooks = runHooks(
    [
      { name: 'crd-informer-synced', run: () => definitions.synced },
      {
        name: 'priority-and-fairness-config-consumer',
        beside: true,
        run: (parts) => followConfiguration(parts, flowControl),
      },
      ...(options.hooks ?? []),
    ],
    context,
    authorizerReady,
  );
  const metricsText = (): string =>
    metrics.text() +
    serverMetrics({ registry, gate, version: options.version }) +
    flowControlMetrics(flowControl) +
    (options.audit?.metrics() ?? '');
  const paths = new Paths({
    encoder,
    discovery: new Discovery(catalogue, () => {
      const { advertiseAddress: host } = options;
      if (host === undefined) return '';
      return `${host.includes(':') ? `[${host}]` : host}:${context.address().port}`;
    }),
    async openApi() {
      const { OpenApi } = await import('../openapi/openapi.ts');
      return (openApi ??= new OpenApi({
        catalogue,
        gitVersion: options.version.gitVersion,
        paths: (options.paths ?? []).map((handler) => handler.path),
      }));
    },
    version: options.version,
    live: liveChecks(options),
    ready: [...hooks.checks, shutdown.check],
    onHealthFailure: (name, error) => log.warn({ err: error, check: name }, 'a health check failed'),
    metrics: metricsText,
    handlers: [
      ...(options.paths ?? []),
      {
        path: '/debug/api_priority_and_fairness/dump_priority_levels',
        handle: () => ({ contentType: 'text/plain; charset=utf-8', body: dumpPriorityLevels(flowControl) }),
      },
    ],
    signal,
  });
  let openApi: import('../openapi/openapi.ts').OpenApi | undefined;
  raw = rawRequests(pipeline, paths);

  const { impersonate, streams } = options;
  const authenticators = options.authenticators(context);
  const handler = new Handler({
    pipeline,
    encoder,
    paths,
    authenticators,
    impersonate,
    streams,
    gate,
    deadlines,
    requestTimeoutMs,
    metrics,
    audit: options.audit,
    clock,
    log,
    bodyMs: timeouts.bodyMs,
    draining: shutdown.draining,
    signal,
  });
  const listening = await listenTls({
    listen: options.listen,
    tls: options.tls,
    handler,
    timeouts,
    clock,
    log,
  }).catch((error: unknown) => {
    stopping.abort();
    throw error;
  });
  server = listening;
  startCompaction({
    store,
    clock,
    log,
    signal,
    intervalMs: options.compactionIntervalMs,
    onCompacted: (revision) => void (registry.compactedRevision = revision),
  });
  flowControl.start();
  const ready = hooks.start();
  const handle = running(async () => {
    options.signal?.removeEventListener('abort', onAbort);
    await shutdown.begin();
    await listening.close(handler.idle(), shutdown.drainMs);
    flowControl.stop();
    deadlines.stop();
    stopping.abort();
    await definitions.stop();
    await hooks.ended;
  });
  const onAbort = (): void => void handle.stop();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  return Object.assign(handle, {
    address: listening.address,
    clientFor,
    caches: registry.caches,
    ready,
    announceStop: () => shutdown.announce(),
    metrics: metricsText,
  });
}

/** Defaults of a kind: declared ones are part of decoding, these are its strategy's. */
function defaultsFrom(options: ApiServerOptions): (resource: Resource) => (object: KubeObject) => void {
  const none = (): void => {};
  return (resource) => {
    const strategy = options.strategies.get(`${resource.group}/${resource.kind}`);
    return strategy?.defaults ? (object) => strategy.defaults?.(object) : none;
  };
}

/** Loads what audits clients in this process only where there is an audit. */
async function auditInProcess(audit: Audit | undefined, registry: Registry, encoder: Encoder) {
  if (!audit) return undefined;
  const { InProcessAudit } = await import('../client/in-process-audit.ts');
  return new InProcessAudit(audit, registry, encoder);
}

function liveChecks({ store }: ApiServerOptions): HealthCheck[] {
  return [
    { name: 'ping', check: () => {} },
    { name: 'log', check: () => {} },
    {
      name: 'etcd',
      check: async () => {
        await store.range({ key: keyBytes('/health'), limit: 1, countOnly: true });
      },
    },
  ];
}
