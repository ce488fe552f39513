import { randomBytes } from 'node:crypto';
import { rm, writeFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDefaultApiServer } from '@cloudless/apiserver/server/default';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import { startControllers } from '@cloudless/controllers';
import { openDatastore } from '@cloudless/datastore';
import { openMemoryDatastore } from '@cloudless/datastore/memory';
import type { KubeClient } from '@cloudless/kube/client/client';
import { systemClock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import type { Running } from '@cloudless/kube/lifecycle';
import { type Logger, logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { nodeUser, serviceAccountUser, type UserInfo } from '@cloudless/kube/user';
import { startScheduler } from '@cloudless/scheduler';
import { kubernetesVersion, ownVersion } from '../kubernetes-version.ts';
import { applyManifest } from './apply.ts';
import {
  adminUser,
  type ClientNodeConfig,
  clientNodeConfig,
  createCredentials,
  type Credentials,
  kubeconfigText,
} from './credentials.ts';
import { ManifestError, type Named, readManifests, ResourceFinder } from './manifests.ts';
import { noStreams, type RunningNode, type SimulatedNode, startNode } from './nodes.ts';
import { type Condition, type Target, type WaitOptions, waitUntil, waitUntilGone } from './wait.ts';

export interface ClusterOptions {
  /** How many simulated nodes, or which. Default 1. Pods run on them as a state machine. */
  nodes?: number | readonly SimulatedNode[];
  /**
   * Whether the controllers run (ReplicaSets make pods, owners' deletion collects, namespaces empty themselves).
   * Default true. Without them nothing makes service accounts either, so pods are admitted without one.
   */
  controllers?: boolean;
  /** Whether the scheduler runs. Default true. */
  scheduler?: boolean;
  /** CustomResourceDefinitions, as objects or YAML; they are served when the start resolves. */
  crds?: ReadonlyArray<string | CustomResourceDefinition>;
  /**
   * Give Services of type LoadBalancer addresses of IPAddressPools, whose kinds are served then. Nothing announces them: the
   * nodes are simulated. Default: no.
   */
  loadBalancer?: boolean;
  /** A file for the datastore, which a later cluster opens again. Default: in memory. */
  datastore?: string;
  /** What `/version` says, such as `v1.36.3`. Default: the release whose behaviour Cloudless follows. */
  version?: string;
  /** Least severe entries that go to standard error: `debug`, `info`, `warn`, `error`, `silent`. Default `error`. */
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Stops the cluster when it aborts. */
  signal?: AbortSignal;
}

export interface ApplyOptions {
  /** For objects that name none. Default `default`. */
  namespace?: string;
  /** Default `test`. */
  fieldManager?: string;
}

/** A cluster in this process. Everything of it ends with `stop()`, or at the end of an `await using` block. */
export interface Cluster extends Running {
  /** `https://127.0.0.1:PORT`: a TLS port for clients of any kind. */
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** Text of an administrator's kubeconfig, its client certificate inside. */
  readonly kubeconfig: string;
  /** For `new KubeConfig().loadFromOptions(…)` of @kubernetes/client-node: the administrator. */
  readonly adminConfig: ClientNodeConfig;
  /** An administrator in this process: no encoding, but every other step of a request. */
  readonly client: KubeClient;
  readonly nodes: readonly RunningNode[];
  /** Writes the administrator's kubeconfig to a private temporary file, once; it goes with the cluster. */
  kubeconfigFile(): Promise<string>;
  /**
   * A client in this process that acts as `user`, with what RBAC grants and no more. `system:serviceaccount:NS:NAME`
   * and `system:node:NAME` belong to the groups that authentication gives them.
   */
  clientFor(user: string | UserInfo): KubeClient;
  /** Text of a kubeconfig of `user`, by client certificate. */
  kubeconfigFor(user: string | UserInfo): Promise<string>;
  /**
   * Server-side apply of YAML or objects, in order, by force; a CustomResourceDefinition is waited for until it is
   * served. Returns the objects as stored.
   */
  apply<T extends KubeObject = KubeObject>(
    manifests: string | object | ReadonlyArray<string | object>,
    options?: ApplyOptions,
  ): Promise<T[]>;
  /**
   * Resolves with the object once it is there and `condition` holds: a function that answers true or asserts without
   * throwing, or the type of a status condition (`Available`). Driven by a watch.
   *
   * @throws WaitTimeoutError with the object's last state
   */
  waitFor<T extends KubeObject>(what: T, condition: Condition<T> | string, options?: WaitOptions): Promise<T>;
  waitFor<T extends KubeObject>(
    what: { resource: Resource<T>; name: string; namespace?: string },
    condition: Condition<T> | string,
    options?: WaitOptions,
  ): Promise<T>;
  /** Resolves once the object is not there. */
  waitForGone(
    what: Named | { resource: Resource; name: string; namespace?: string },
    options?: WaitOptions,
  ): Promise<void>;
}

const serviceCidr = '10.96.0.0/12';
const podCidr = '10.128.0.0/9';
/** RFC 2544's block: an address of the API server that leads nowhere; Endpoints may not be on loopback. */
const advertiseAddress = '198.18.0.1';

/**
 * Starts a cluster in this process: API server with a TLS port on loopback, controllers, scheduler, simulated nodes,
 * over a datastore in memory. Resolves when the nodes are Ready and the `crds` are served. Nothing is global: any
 * number run side by side, and `stop()` leaves no timer, socket, listener or file behind.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  options.signal?.throwIfAborted();
  const cluster = new TestCluster(options);
  try {
    await cluster.start();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

class TestCluster implements Cluster {
  readonly #options: ClusterOptions;
  readonly #log: Logger;
  readonly #parts: Running[] = [];
  /** A name for paths that the simulated kubelets compute and nobody makes. */
  readonly #root = join(tmpdir(), `cloudless-simulated-${randomBytes(6).toString('hex')}`);
  readonly #onAbort = (): void => void this.stop();
  #credentials!: Credentials;
  #api!: ApiServer;
  #finder!: ResourceFinder;
  #file: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;
  client!: KubeClient;
  nodes: readonly RunningNode[] = [];

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#log = logger('cluster').child({}, { level: options.logLevel ?? 'error' });
  }

  async start(): Promise<void> {
    const { nodes = 1, crds = [], signal } = this.#options;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    const [store, credentials] = await Promise.all([
      this.#openStore(),
      createCredentials(systemClock.nowMs()),
    ]);
    this.#parts.push({ stop: () => store.close(), [Symbol.asyncDispose]: () => store.close() });
    this.#credentials = credentials;
    this.#api = await this.#startApi(store);
    this.#parts.push(this.#api);
    this.client = this.#api.clientFor(adminUser);
    this.#finder = new ResourceFinder(this.client);
    await this.#api.ready;
    this.#startControlPlane();
    if (this.#options.loadBalancer) await this.#startLoadBalancer();
    const wanted = typeof nodes === 'number' ? Array.from({ length: nodes }, () => ({})) : nodes;
    await Promise.all([
      this.#startNodes(wanted),
      crds.length === 0 ? undefined : this.apply(crds),
      this.#options.controllers === false ? undefined : this.#accountReady(),
    ]);
    signal?.throwIfAborted();
  }

  #openStore(): Promise<EtcdStore> {
    const { datastore } = this.#options;
    return datastore === undefined
      ? openMemoryDatastore({ log: this.#log })
      : openDatastore({ path: datastore, log: this.#log });
  }

  #startApi(store: EtcdStore): Promise<ApiServer> {
    const { ca, server, admin, serviceAccountKey } = this.#credentials;
    const { version = `${kubernetesVersion}+cloudless${ownVersion}`, controllers } = this.#options;
    return startDefaultApiServer({
      store,
      listen: { host: '127.0.0.1', port: 0 },
      tls: { cert: () => server.cert, key: () => server.key, clientCa: () => ca.cert },
      serviceAccountKey,
      serviceAccountIssuer: 'https://kubernetes.default.svc.cluster.local',
      // Never used: the streams below reach no kubelet.
      kubeletClient: { ...admin, ca: ca.cert },
      streams: noStreams,
      advertiseAddress,
      serviceCidrs: [serviceCidr],
      disableAdmissionPlugins: controllers === false ? ['ServiceAccount'] : [],
      version: { gitVersion: version },
      log: this.#log,
      clock: systemClock,
    });
  }

  #startControlPlane(): void {
    const { controllers = true, scheduler = true } = this.#options;
    const common = { clock: systemClock, log: this.#log };
    if (controllers) {
      this.#parts.push(
        startControllers({
          ...common,
          clientFor: (account) => this.#api.clientFor(serviceAccountUser('kube-system', account)),
          caCertificate: this.#credentials.ca.cert,
          caKey: this.#credentials.ca.key,
          clusterCidrs: [podCidr],
          serviceCidrs: [serviceCidr],
        }),
      );
    }
    if (scheduler) {
      const client = this.#api.clientFor(userOf('system:kube-scheduler'));
      this.#parts.push(startScheduler({ ...common, client }));
    }
  }

  async #startLoadBalancer(): Promise<void> {
    const [{ installDefinitions }, { startController }] = await Promise.all([
      import('@cloudless/loadbalancer/config/definitions'),
      import('@cloudless/loadbalancer/controller/controller'),
    ]);
    await installDefinitions(this.client);
    const client = this.#api.clientFor(serviceAccountUser('kube-system', 'loadbalancer-controller'));
    this.#parts.push(await startController({ client, clock: systemClock, log: this.#log }));
  }

  async #startNodes(wanted: readonly SimulatedNode[]): Promise<void> {
    const nodes = await Promise.all(
      wanted.map((node, index) =>
        startNode({ node, index, api: this.#api, root: this.#root, clock: systemClock, log: this.#log }),
      ),
    );
    this.#parts.push(...nodes);
    this.nodes = nodes;
    await Promise.all(nodes.map(({ name }) => this.waitFor({ resource: core.nodes, name }, 'Ready')));
  }

  /** Pods are refused until their namespace has its service account. */
  async #accountReady(): Promise<void> {
    const account = { resource: core.serviceaccounts, namespace: 'default', name: 'default' };
    await this.waitFor(account, () => true);
  }

  get url(): string {
    return `https://127.0.0.1:${this.#api.address.port}`;
  }

  get ca(): string {
    return this.#credentials.ca.cert;
  }

  get kubeconfig(): string {
    return kubeconfigText(this.url, this.ca, adminUser.name, this.#credentials.admin);
  }

  get adminConfig(): ClientNodeConfig {
    return clientNodeConfig(this.url, this.ca, adminUser.name, this.#credentials.admin);
  }

  kubeconfigFile(): Promise<string> {
    const write = async (): Promise<string> => {
      const folder = await mkdtemp(join(tmpdir(), 'cloudless-cluster-'));
      this.#parts.push(folderRemoval(folder));
      const path = join(folder, 'kubeconfig');
      await writeFile(path, this.kubeconfig, { mode: 0o600 });
      return path;
    };
    return (this.#file ??= write());
  }

  clientFor(user: string | UserInfo): KubeClient {
    return this.#api.clientFor(userOf(user));
  }

  async kubeconfigFor(user: string | UserInfo): Promise<string> {
    const info = userOf(user);
    return kubeconfigText(this.url, this.ca, info.name, await this.#credentials.issue(info));
  }

  async apply<T extends KubeObject = KubeObject>(
    manifests: string | object | ReadonlyArray<string | object>,
    { namespace = 'default', fieldManager = 'test' }: ApplyOptions = {},
  ): Promise<T[]> {
    const applied: KubeObject[] = [];
    for (const manifest of readManifests(manifests)) {
      const resource = await this.#finder.find(manifest);
      const place = resource.namespaced ? (manifest.metadata.namespace ?? namespace) : undefined;
      applied.push(await applyManifest(this.client, resource, manifest, { namespace: place, fieldManager }));
      if (manifest.kind === 'CustomResourceDefinition') await this.#served(manifest);
    }
    return applied as T[];
  }

  async #served(definition: KubeObject): Promise<void> {
    await this.waitFor(definition, 'Established');
    this.#finder.forget();
  }

  async waitFor<T extends KubeObject>(
    what: Named | { resource: Resource<T>; name: string; namespace?: string },
    condition: Condition<T> | string,
    options?: WaitOptions,
  ): Promise<T> {
    return waitUntil(await this.#target<T>(what), condition, options);
  }

  async waitForGone(
    what: Named | { resource: Resource; name: string; namespace?: string },
    options?: WaitOptions,
  ): Promise<void> {
    await waitUntilGone(await this.#target(what), options);
  }

  async #target<T extends KubeObject>(
    what: Named | { resource: Resource<T>; name: string; namespace?: string },
  ): Promise<Target<T>> {
    const common = { client: this.client, clock: systemClock };
    if ('resource' in what) return { ...common, namespace: undefined, ...what };
    const resource = (await this.#finder.find(what)) as Resource<T>;
    const { name, namespace } = what.metadata;
    if (!name) throw new ManifestError(`a ${what.kind} to wait for has no metadata.name`);
    return {
      ...common,
      resource,
      name,
      namespace: resource.namespaced ? (namespace ?? 'default') : undefined,
    };
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    await this.#file;
    for (const part of this.#parts.splice(0).reverse()) await part.stop();
  }
}

function folderRemoval(folder: string): Running {
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return { stop: remove, [Symbol.asyncDispose]: remove };
}

/** A user by name, in the groups that authentication would find. */
function userOf(user: string | UserInfo): UserInfo {
  if (typeof user !== 'string') return user;
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user);
  if (account) return serviceAccountUser(account[1] as string, account[2] as string);
  if (user.startsWith('system:node:')) return nodeUser(user.slice('system:node:'.length));
  return { name: user, groups: ['system:authenticated'] };
}
