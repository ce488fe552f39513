import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CoreV1Api, type Informer as NodeInformer, KubeConfig, makeInformer, type ObjectCache, type V1ConfigMap } from '@kubernetes/client-node';
import { type HttpsKubeClient, httpsClient } from '@cloudless/kube/client/https';
import type { KubeClient } from '@cloudless/kube/client/client';
import { loadKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, eventually, TestCluster } from '../e2e/cluster.ts';
import { CuttableProxy } from './cuttable-proxy.ts';
import { countsOf, type Gap, InformerRecord } from './informer-record.ts';
import { Ledger } from './ledger.ts';
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
  lists = 0;
  errors = 0;
  readonly informer: Informer<ConfigMap>;
  readonly #client: HttpsKubeClient;

  constructor(kubeconfig: string, proxyPort: number) {
    const options = loadKubeconfig(kubeconfig);
    this.#client = httpsClient({
      ...options,
      server: `https://127.0.0.1:${proxyPort}`,
      tlsServerName: 'kubernetes',
    });
    this.informer = startInformer({
      client: this.#counting(this.#client),
      resource: core.configmaps,
      namespace,
      onError: () => (this.errors += 1),
    });
    this.informer.addHandler({
      add: (object) => this.record.record('create', object),
      update: (object) => this.record.record('update', object),
      delete: (object) => this.record.record('delete', object),
    });
  }

  /** Counts whole states that arrived: streamed lists, and lists proper. */
  #counting(client: KubeClient): KubeClient {
    const counted = Object.create(client) as KubeClient;
    const { watch, list } = client;
    // oxlint-disable-next-line typescript/no-this-alias -- the generator below has its own
    const own = this;
    counted.list = async (resource, options) => {
      const result = await list.call(client, resource, options);
      own.lists += 1;
      return result as never;
    };
    counted.watch = async function* (resource, options) {
      for await (const event of watch.call(client, resource, options)) {
        if (event.object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true') own.lists += 1;
        yield event as never;
      }
    };
    return counted;
  }

  async stop(): Promise<void> {
    await this.informer.stop();
    await this.#client.close();
  }
}
