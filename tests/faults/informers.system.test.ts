import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CoreV1Api,
  type Informer as NodeInformer,
  KubeConfig,
  makeInformer,
  type ObjectCache,
  type V1ConfigMap,
} from '@kubernetes/client-node';
import { type HttpsKubeClient, httpsClient } from '@cloudless/kube/client/https';
import type { KubeClient } from '@cloudless/kube/client/client';
import { loadKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { TcpProxy } from '@cloudless/kube/testing/tcp-proxy';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, eventually, TestCluster } from '../e2e/cluster.ts';
import { countsOf, type Gap, InformerRecord } from './informer-record.ts';
import { isOfLedger, Ledger } from './ledger.ts';
import { Load } from './load.ts';
import { randomFrom, seedOfRun } from './random.ts';

isolate();
addUplink();

const changes = Number(process.env['CHANGES'] ?? 10_000);
const namespace = 'informers';
/** Longer than a restart takes, so that only the cut below outlives the history. */
const compaction = '4s';
const writers = 16;
/** What an informer's user does on an error, as the client's own example has it. */
const restartMs = 100;

/** The real client's informer, behind the proxy. */
class ClientNode {
  readonly record = new InformerRecord('client-node');
  lists = 0;
  errors = 0;
  readonly informer: NodeInformer<V1ConfigMap> & ObjectCache<V1ConfigMap>;
  #stopped = false;

  constructor(kubeconfig: string, proxyPort: number) {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const [cluster] = config.clusters;
    assert.ok(cluster);
    Object.assign(cluster, { server: `https://127.0.0.1:${proxyPort}`, tlsServerName: 'kubernetes' });
    const api = config.makeApiClient(CoreV1Api);
    this.informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () => {
      this.lists += 1;
      return api.listNamespacedConfigMap({ namespace });
    });
    this.informer.on('add', (object) => this.record.record('create', object));
    this.informer.on('update', (object) => this.record.record('update', object));
    this.informer.on('delete', (object) => this.record.record('delete', object));
    this.informer.on('error', () => {
      this.errors += 1;
      setTimeout(() => {
        if (!this.#stopped) void this.informer.start();
      }, restartMs);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.informer.stop();
  }
}

/** Our informer, behind the proxy. */
class Own {
  readonly record = new InformerRecord('our informer');
  /** Again, after the first time. */
  lists = 0;
  errors = 0;
  readonly informer: Informer<ConfigMap>;
  readonly #client: HttpsKubeClient;

  constructor(kubeconfig: string, proxyPort: number) {
    this.#client = httpsClient({
      ...loadKubeconfig(kubeconfig),
      server: `https://127.0.0.1:${proxyPort}`,
      tlsServerName: 'kubernetes',
    });
    this.informer = startInformer({
      client: this.#client,
      resource: core.configmaps,
      namespace,
      onError: () => (this.errors += 1),
      log: {
        warn: () => {},
        error: (fields: object) => this.record.fail(fields),
        debug: (_fields: object, message?: string) => {
          if (message?.includes('listing again')) this.lists += 1;
        },
      },
    });
    this.informer.addHandler({
      add: (object) => this.record.record('create', object),
      update: (object) => this.record.record('update', object),
      delete: (object) => this.record.record('delete', object),
    });
  }

  async stop(): Promise<void> {
    await this.informer.stop();
    await this.#client.close();
  }
}

describe('informers', () => {
  const cluster = new TestCluster();
  const random = randomFrom(seedOfRun);
  const ledger = new Ledger();
  const gaps: Gap[] = [];
  let client: HttpsKubeClient;
  let proxy: TcpProxy;
  let load: Load;
  let node: ClientNode;
  let own: Own;

  before(async () => {
    await cluster.up('--runtime', 'simulated', '--etcd-compaction-interval', compaction);
    const options = loadKubeconfig(cluster.kubeconfig);
    client = httpsClient(options);
    await client.create(core.namespaces, { metadata: { name: namespace } });
    const { hostname, port } = new URL(options.server);
    proxy = await TcpProxy.start(() => Number(port), hostname);
    load = new Load({ client, namespace, ledger, writers, random });
    node = new ClientNode(cluster.kubeconfig, proxy.port);
    own = new Own(cluster.kubeconfig, proxy.port);
    await node.informer.start();
    await own.informer.synced;
  });
  after(async () => {
    await load?.stop();
    await node?.stop();
    await own?.stop();
    await proxy?.stop();
    await client?.close();
    await cluster.remove();
  });

  const happened = (): number => [...countsOf(ledger).values()].reduce((sum, count) => sum + count, 0);

  /** Waits until everybody has what there is, and checks how they came to it. */
  async function verify(): Promise<void> {
    await load.pause();
    const { items, metadata } = await client.list(core.configmaps, { namespace });
    const listed = items;
    load.giveBack(ledger.settle(items.filter(isOfLedger), Number(metadata.resourceVersion)));
    await eventually(
      'both informers have seen what happened',
      async () => {
        node.record.verify(ledger, gaps, node.informer.list(), listed);
        own.record.verify(ledger, gaps, own.informer.store.list(), listed);
        return true;
      },
      60_000,
    );
  }

  async function restartControlPlane(): Promise<void> {
    process.kill(await cluster.pidOf('control-plane'), 'SIGKILL');
    await eventually('the API answers', () => client.raw('GET', '/readyz').then(() => true));
  }

  /** `count` changes with a kill somewhere within. */
  async function changesWithKill(count: number): Promise<void> {
    const begun = ledger.acknowledged;
    load.resume(count);
    const at = begun + Math.floor(count * (0.2 + 0.4 * random()));
    await eventually(
      'the moment of the kill',
      async () => load.failure !== undefined || ledger.acknowledged >= at,
    );
    await restartControlPlane();
    await load.finished();
  }

  it(`see each of ${changes} changes once, across restarts and a compaction (SEED=${seedOfRun})`, async (t) => {
    await changesWithKill(Math.floor(changes * 0.4));
    await verify();

    // Cut off while the history goes on, the server starts anew, and the store forgets.
    proxy.refuse();
    const from = countsOf(ledger);
    const last = own.informer.resourceVersion;
    await changesWithKill(Math.floor(changes * 0.1));
    await load.pause();
    const { items, metadata } = await client.list(core.configmaps, { namespace });
    load.giveBack(ledger.settle(items.filter(isOfLedger), Number(metadata.resourceVersion)));
    gaps.push({ from, to: countsOf(ledger) });
    await eventually('the history is compacted', () => isExpired(client, last), 60_000);
    const listsBefore = [node.lists, own.lists];
    assert.deepEqual(listsBefore, [1, 0], 'a restart alone makes nobody list again');
    proxy.heal();
    await verify();
    assert.deepEqual([node.lists, own.lists], [2, 1], 'the compaction makes each list once');

    await changesWithKill(changes - happened());
    await verify();
    while (happened() < changes) {
      load.resume(changes - happened());
      await load.finished();
      await verify();
    }
    assert.deepEqual([node.lists, own.lists], [2, 1]);
    t.diagnostic(
      `${happened()} changes; calls: client-node ${node.record.count}, ours ${own.record.count}; ` +
        `errors survived: ${node.errors}, ${own.errors}`,
    );
  });
});

/** Whether a watch from this version is refused because the history no longer has it. */
async function isExpired(client: KubeClient, resourceVersion: string): Promise<boolean> {
  try {
    for await (const _event of client.watch(core.configmaps, { namespace, resourceVersion })) return false;
    return false;
  } catch (error) {
    return error instanceof StatusError && error.code === 410;
  }
}
