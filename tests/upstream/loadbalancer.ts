// `KUBE_APISERVER=… ETCD=… node --test tests/upstream/loadbalancer.ts`: our definitions of metallb.io and our controller on
// upstream's own API server. It must accept what ours accepts, refuse the same in the same sentences, and be written to.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { parseYamlDocuments } from '@cloudless/kube/codec/yaml';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { metallb } from '@cloudless/loadbalancer/config/kinds';
import { startController } from '@cloudless/loadbalancer/controller/controller';
import { badObjects, goodObjects } from '../loadbalancer/objects.ts';
import { type Servers, startServers } from './servers.ts';

const kubeApiserver = process.env['KUBE_APISERVER'] ?? '';
if (kubeApiserver === '')
  throw new Error('KUBE_APISERVER must name a kube-apiserver program, see tests/upstream/README.md');

const resources: readonly Resource[] = [core.services, core.namespaces, ...Object.values(metallb)];
const silent = {
  info: () => undefined,
  warn: () => undefined,
  debug: () => undefined,
  error: () => undefined,
};

describe('the load balancer on upstream’s API server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-upstream-lb-'));
  let servers: Servers;
  let client: ReturnType<typeof clientFromKubeconfig>;
  const apply = (object: KubeObject): Promise<KubeObject> => {
    const resource = resources.find(({ kind }) => kind === object.kind) as Resource;
    const version = object.apiVersion?.split('/')[1] ?? resource.version;
    const namespace = resource.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    return client.patch({ ...resource, version }, object.metadata.name ?? '', 'apply', object, {
      namespace,
      fieldManager: 'test',
      force: true,
    });
  };

  before(async () => {
    const etcd = process.env['ETCD'] ?? 'etcd';
    servers = await startServers({ kubeApiserver, etcd, folder, runtimeConfig: {} });
    client = clientFromKubeconfig(servers.kubeconfigs.upstream);
    assert.equal((await installDefinitions(client)).applied.length, 9);
  });
  after(async () => {
    await client[Symbol.asyncDispose]();
    await servers[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [what, object] of goodObjects)
    it(`accepts ${what}`, async () => {
      await apply(object as KubeObject);
    });
  for (const [what, object, sentence] of badObjects)
    it(`refuses ${what}`, async () => {
      await assert.rejects(apply(object as KubeObject), (error: Error) => {
        assert.ok(error.message.includes(sentence), `${error.message}\nlacks: ${sentence}`);
        return true;
      });
    });

  it('has the addresses of the talk’s files written into status and annotation', async () => {
    for (const { resource, name } of [
      { resource: metallb.bgpPeers, name: 'it' },
      { resource: metallb.ipAddressPools, name: 'it' },
    ])
      // oxlint-disable-next-line no-await-in-loop -- two
      await client.delete(resource, name, { namespace: 'default' });
    await using controller = await startController({ client, log: silent });
    for (const file of ['service-nine', 'metallb', 'transmission']) {
      const text = readFileSync(join(import.meta.dirname, '..', 'talk', `${file}.yaml`), 'utf8');
      // oxlint-disable-next-line no-await-in-loop -- in order
      for (const object of parseYamlDocuments(text)) await apply(object as KubeObject);
    }
    const wanted = { 'transmission-torrent': '116.203.0.10', web: '116.203.0.9' };
    for (const [name, address] of Object.entries(wanted)) {
      const signal = AbortSignal.timeout(20_000);
      const options = { namespace: 'default', fieldSelector: `metadata.name=${name}`, signal };
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      for await (const { object } of client.watch(core.services, options))
        if (object.status?.loadBalancer?.ingress?.[0]?.ip === address) {
          assert.ok(object.metadata.annotations?.['metallb.io/ip-allocated-from-pool']);
          break;
        }
    }
    assert.match(controller.metrics(), /^metallb_allocator_addresses_in_use_total{pool="outofcloud"} 1$/m);
  });
});
