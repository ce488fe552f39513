import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missingPeer } from '../../packages/kube/src/testing/peers.ts';
import { isolate, type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { builtImage, eventually, TestCluster } from './cluster.ts';
import { arpAnswers, Segment, talk } from './segment.ts';

const skip = missingPeer('arping');
const archive = skip ? '' : builtImage('examples/web/images/back/image.yaml');
if (!skip) isolate();

const nine = '116.203.0.9';
const label = 'node.kubernetes.io/exclude-from-external-load-balancers';

// kubeadm labels every control plane so, and a machine that is all of a cluster is one.
describe('the only node has the label that keeps it out of load balancing', { skip }, () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  let segment: Segment;
  let client: Namespace;
  const answers = (): string[] => arpAnswers(client, nine);
  const messages = (): Promise<string> =>
    kubectl.run(['get', 'events', '-o', 'custom-columns=R:.reason,T:.type,M:.message', '--no-headers']);
  const status = (): Promise<string> => cluster.cloudless('loadbalancer', 'status');

  before(async () => {
    segment = await Segment.make();
    client = await newNamespace();
    segment.connect(undefined, '192.0.2.10/24', '116.203.0.2/24');
    segment.connect(client, '116.203.0.100/24');
    await cluster.up('--node-ip', '192.0.2.10');
    await cluster.cloudless('image', 'load', archive);
    await kubectl.run(['label', 'node', 'node-1', `${label}=`]);
    for (const file of ['service-nine.yaml', 'metallb.yaml'])
      await kubectl.run(['apply', '-f', '-'], { input: talk(file) });
    const image = ['--image=cloudless.local/web-back:1', '--image-pull-policy=Never'];
    await kubectl.run(['run', 'web', '--labels=app=web', ...image]);
  });
  after(async () => {
    await cluster.remove();
    for (const one of [client, segment]) one?.close();
  });

  it('is announced from there all the same, with an Event that names the label', async () => {
    await eventually('ARP', async () => answers().length === 1);
    assert.match(client.run('curl', '-s', '-m', '5', `http://${nine}/healthz`), /ok/);
    const said = await eventually('the Event', async () => {
      const text = await messages();
      return text.includes('excludeLabelOverruled') && text;
    });
    assert.match(said, new RegExp(`excludeLabelOverruled +Warning +.*${label}.*announced all the same`));
    assert.match(await status(), new RegExp(`116\\.203\\.0\\.9 .* node-1 [^]*has the label ${label}`));
  });

  it('with --strict-exclude is silent; status and an Event name the label', async () => {
    await cluster.cloudless('down');
    await cluster.up('--node-ip', '192.0.2.10', '--strict-exclude');
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/web', '--timeout=60s']);
    const said = await eventually('the Event', async () => {
      const text = await messages();
      return text.includes('notAnnounced') && text;
    });
    assert.match(said, new RegExp(`notAnnounced +Warning +.*${label}.*--strict-exclude`));
    assert.deepEqual(answers(), []);
    assert.match(
      await status(),
      new RegExp(`nobody[^]*not announced: every node that could has the label ${label}`),
    );
  });

  it('without the label is announced within the second', async () => {
    await kubectl.run(['label', 'node', 'node-1', `${label}-`]);
    await eventually('ARP', async () => answers().length === 1);
    assert.doesNotMatch(await status(), new RegExp(label));
  });
});
