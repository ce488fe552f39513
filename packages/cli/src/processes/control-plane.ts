import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Audit } from '@cloudless/apiserver/audit/index';
import type { ApiServer, PostStartHook } from '@cloudless/apiserver/server/options';
import { startDefaultApiServer } from '@cloudless/apiserver/server/default';
import { Datastore, metricsText, openDatastore } from '@cloudless/datastore';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { serveHealth } from '@cloudless/kube/health';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import { kubernetesVersion, ownVersion } from '../kubernetes-version.ts';
import { provideClusterDns } from './dns/provide-cluster.ts';
import { outliveMistakes } from './outlive.ts';
import { report, stopRequested } from './report.ts';

const log = logger('control-plane');
const dayMs = 24 * 3600 * 1000;
/** Health and metrics where upstream's controller-manager has the usual port. */
const portBesideUpstream = 10261;

/** A file's text, read again when the file has changed: certificates rotate without a restart. */
function watchedFile(path: string): () => string {
  let seen = '';
  let text = '';
  return () => {
    const stat = statSync(path, { bigint: true });
    const now = `${stat.ino}:${stat.mtimeNs}:${stat.size}`;
    if (now !== seen) {
      text = readFileSync(path, 'utf8');
      seen = now;
    }
    return text;
  };
}

/** The datastore in this process, or the etcd that was given; undefined when the process shall end before it is open. */
async function openStore(
  config: ClusterConfig,
  context: NodeContext,
  stop: Promise<unknown>,
): Promise<EtcdStore | undefined> {
  const { clock } = context;
  const { database, etcd } = config;
  const stopping = new AbortController();
  void stop.then(() => stopping.abort());
  const onWaiting = (why: string): void => report({ type: 'progress', step: `wait for the store: ${why}` });
  const wanted = { clock, signal: stopping.signal, onWaiting };
  if (database !== undefined) {
    report({ type: 'progress', step: 'connect to the database' });
    const { openDatabase } = await import('./database.ts');
    const clusterCa = readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8');
    return openDatabase({ ...wanted, database, clusterCa, log: logger('datastore') });
  }
  if (etcd !== undefined) {
    report({ type: 'progress', step: 'connect to etcd' });
    const { openEtcd } = await import('./etcd.ts');
    return openEtcd({ ...wanted, etcd, log: logger('etcd') });
  }
  report({ type: 'progress', step: 'open the datastore' });
  return openDatastore({ path: context.paths.datastore, clock, log: logger('datastore') });
}

/** Loads what makes certificates when it is needed, which is not at a start: it takes a tenth of a second. */
async function renewCertificates(config: ClusterConfig): Promise<void> {
  const { keepCertificates } = await import('./certificates.ts');
  await keepCertificates(config);
}

/** The control plane process: datastore, API server, controllers, scheduler. Ends in the reverse order. */
export async function runControlPlane(config: ClusterConfig): Promise<void> {
  const context = contextOf(config);
  const stop = stopRequested();
  const parts: Running[] = [];
  const renewal = setInterval(
    () =>
      void renewCertificates(config).catch((error: unknown) =>
        log.error({ err: String(error) }, 'certificates'),
      ),
    dayMs,
  );
  try {
    const store = await openStore(config, context, stop);
    if (!store) return;
    parts.push({ stop: () => store.close(), [Symbol.asyncDispose]: () => store.close() });
    // What could not be made durable must not be served: the process ends, and its next start reads what is on disk.
    const failed =
      store instanceof Datastore ? store.failed.then((error) => Promise.reject(error)) : undefined;
    failed?.catch(() => {});
    const audit = await openAuditLog(config, context);
    if (audit) parts.push({ stop: () => audit.close(), [Symbol.asyncDispose]: () => audit.close() });
    const api = await startApi(config, context, store, audit);
    parts.push(api);
    // Whatever one request does, the others are served.
    outliveMistakes(log);
    report({ type: 'progress', step: 'API server answers' });
    let working = false;
    const metrics: Array<() => string | Promise<string>> =
      store instanceof Datastore ? [() => metricsText(store.figures())] : [];
    const health = {
      // That of upstream's controller-manager, unless it runs here itself.
      port: config.disable.includes('controllers') ? portBesideUpstream : context.ports.controlPlaneHealth,
      isReady: () => working,
      notReady: 'the first objects are being written',
      metrics,
    };
    try {
      parts.push(await serveHealth(health));
    } catch (error) {
      // A port that is taken costs only this; the API server's own are behind its port.
      log.warn(
        { port: health.port, err: String(error) },
        'health and metrics of the control plane are not served',
      );
    }
    const { startControlPlaneClients } = await import('./controllers.ts');
    report({ type: 'progress', step: 'first objects' });
    // The clients' roles are among the first objects.
    const ended = failed ? Promise.race([stop, failed]) : stop;
    const up = await Promise.race([api.ready.then(() => true), ended.then(() => false)]);
    if (up) {
      const clients = startControlPlaneClients(config, context, api);
      parts.push(...clients.parts);
      metrics.push(...clients.metrics);
      working = true;
      report({ type: 'ready' });
    }
    await ended;
    // Whoever balances load hears of it before the controllers are stopped.
    api.announceStop();
  } finally {
    clearInterval(renewal);
    for (const part of parts.reverse()) await part.stop();
  }
}

/** Loads the audit log only where one was asked for. */
async function openAuditLog(config: ClusterConfig, context: NodeContext): Promise<Audit | undefined> {
  if (!config.audit) return undefined;
  const { openAudit } = await import('@cloudless/apiserver/audit/index');
  return await openAudit({ ...config.audit, clock: context.clock, log: logger('audit') });
}

function startApi(
  config: ClusterConfig,
  context: NodeContext,
  store: EtcdStore,
  audit: Audit | undefined,
): Promise<ApiServer> {
  const { pki } = context.paths;
  const text = (name: string): string => readFileSync(join(pki, name), 'utf8');
  return startDefaultApiServer({
    store,
    listen: { host: '0.0.0.0', port: config.ports.apiserver },
    tls: {
      cert: watchedFile(join(pki, 'apiserver.crt')),
      key: watchedFile(join(pki, 'apiserver.key')),
      clientCa: watchedFile(join(pki, 'ca.crt')),
    },
    serviceAccountKey: text('sa.key'),
    serviceAccountIssuer: `https://kubernetes.default.svc.${config.clusterDomain}`,
    kubeletClient: {
      cert: text('apiserver-kubelet-client.crt'),
      key: text('apiserver-kubelet-client.key'),
      ca: text('ca.crt'),
    },
    requestHeaderCa: watchedFile(join(pki, 'front-proxy-ca.crt')),
    advertiseAddress: config.nodeIp,
    serviceCidrs: [config.serviceCidr],
    compactionIntervalMs: config.compactionIntervalMs,
    audit,
    shutdownDelayMs: config.shutdownDelayMs,
    hooks: hooksOf(config, context, text('ca.crt')),
    version: { gitVersion: `${kubernetesVersion}+cloudless${ownVersion}` },
    log: logger('apiserver'),
    clock: context.clock,
  });
}

/** What of the cluster our own parts need beside what every API server writes. */
function hooksOf(config: ClusterConfig, context: NodeContext, ca: string): PostStartHook[] {
  const hooks: PostStartHook[] = [];
  const { clock } = context;
  if (!config.disable.includes('dns')) {
    hooks.push({
      name: 'cloudless/cluster-dns',
      run: ({ client, signal }) => provideClusterDns({ client, config, ca, signal }),
    });
    hooks.push({
      name: 'cloudless/external-dns',
      run: ({ client, signal }) => {
        // As below: what nobody may ever ask for keeps no start.
        void import('./dns/provide-external.ts').then(({ provideExternalDns }) =>
          provideExternalDns({ client, config, signal, clock, log: logger('dns') }),
        );
      },
    });
  }
  if (!config.disable.includes('loadbalancer'))
    hooks.push({
      name: 'cloudless/loadbalancer',
      run: ({ client, signal }) => {
        // The API serves meanwhile: a start does not wait for definitions that are in use later.
        void import('./load-balancer/provide.ts').then(({ provideLoadBalancer }) =>
          provideLoadBalancer({ client, signal, clock, log: logger('loadbalancer') }),
        );
      },
    });
  return hooks;
}
