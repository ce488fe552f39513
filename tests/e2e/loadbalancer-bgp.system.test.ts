import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { type Router, startBird } from '../../packages/loadbalancer/src/bgp/testing/routers.ts';
import { missingPeer } from '../../packages/kube/src/testing/peers.ts';
import type { Host } from '../../packages/loadbalancer/src/testing/segment.ts';
import { isolate, type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { builtImage, eventually, TestCluster } from './cluster.ts';
import { Segment } from './segment.ts';

const skip = missingPeer('bird', 'birdcl');
const archive = skip ? '' : builtImage('examples/web/images/back/image.yaml');
if (!skip) isolate();

const vip = '203.0.113.9';
const namespace = 'metallb-system';

const configuration = [
  { kind: 'IPAddressPool', metadata: { name: 'routed' }, spec: { addresses: [`${vip}/32`] } },
  { kind: 'BFDProfile', metadata: { name: 'fast' }, spec: { receiveInterval: 100, transmitInterval: 100 } },
  {
    kind: 'BGPAdvertisement',
    metadata: { name: 'routed' },
    spec: { ipAddressPools: ['routed'], communities: ['64512:100'] },
  },
  {
    apiVersion: 'metallb.io/v1beta2',
    kind: 'BGPPeer',
    metadata: { name: 'router' },
    spec: {
      myASN: 64512,
      peerASN: 64513,
      peerAddress: '192.0.2.254',
      bfdProfile: 'fast',
      passwordSecret: { name: 'router' },
    },
  },
].map((one) => ({ apiVersion: 'metallb.io/v1beta1', ...one, metadata: { ...one.metadata, namespace } }));

// The whole way: objects of the API, the speaker's process, a real router's kernel.
describe('a Service told to a router', { skip }, () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  let segment: Segment;
  let machine: Namespace;
  let router: Router;
  const apply = (...objects: object[]): Promise<string> =>
    kubectl.run(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    });
  const has = (): boolean => router.kernelRoutes().some(({ prefix }) => prefix === `${vip}/32`);

  before(async () => {
    segment = await Segment.make();
    machine = await newNamespace();
    segment.connect(undefined, '192.0.2.10/24');
    segment.connect(machine, '192.0.2.254/24');
    const host = {
      name: 'router',
      netns: machine.path,
      run: (...args: Parameters<Namespace['run']>) => machine.run(...args),
      start: (program: string, args: readonly string[], env?: NodeJS.ProcessEnv) =>
        spawn('nsenter', [`--net=${machine.path}`, program, ...args], { env, stdio: 'ignore' }),
    } as unknown as Host;
    router = await startBird(host, [
      {
        name: 'node1',
        address: '192.0.2.10',
        asn: 64512,
        password: 'shared',
        bfd: { intervalMs: 100, multiplier: 3 },
      },
    ]);
    await cluster.up('--node-ip', '192.0.2.10');
    await cluster.cloudless('image', 'load', archive);
    await eventually('the namespace', () => kubectl.run(['get', 'namespace', namespace]));
    const secret = ['create', 'secret', 'generic', 'router', '-n', namespace];
    await kubectl.run([...secret, '--type=kubernetes.io/basic-auth', '--from-literal=password=shared']);
    await apply(...configuration, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    });
  });
  after(async () => {
    await cluster.remove();
    await router?.stop();
    for (const one of [machine, segment]) one?.close();
  });

  it('is not told while no endpoint serves; the session stands, with BFD up', async () => {
    await eventually('established', async () => {
      const status = await cluster.cloudless('loadbalancer', 'status');
      return /router +192\.0\.2\.254 +Established +\S+ +Up +0/.test(status);
    });
    assert.equal(has(), false);
  });

  it('is told once a pod is ready, with its community, and reached through the router', async () => {
    const image = ['--image=cloudless.local/web-back:1', '--image-pull-policy=Never'];
    await kubectl.run(['run', 'web', '--labels=app=web', ...image]);
    await eventually('the route', async () => has());
    assert.match(await router.show(`show route all for ${vip}`), /BGP\.community: \(64512,100\)/);
    assert.match(
      await eventually('HTTP', async () => machine.run('curl', '-s', '-m', '5', `http://${vip}/healthz`)),
      /ok/,
    );
    const peers = ['get', 'servicebgpstatuses', '-n', namespace, '-o', 'jsonpath={.items[*].status.peers}'];
    await eventually('ServiceBGPStatus', async () => (await kubectl.run(peers)) === '["router"]');
    const status = await cluster.cloudless('loadbalancer', 'status');
    assert.match(status, /203\.0\.113\.9 +default\/web +routed +bgp +node-1[^]*node-1: to router/);
  });

  it('is withdrawn with its pod', async () => {
    await kubectl.run(['delete', 'pod', 'web', '--now']);
    await eventually('no route', async () => !has());
  });
});
