import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, core, storage } from '@cloudless/kube/resources';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

const podSpec = { containers: [{ name: 'c', image: 'i' }] };
const kinds: Array<{ resource: Resource; spec: unknown; labelsStay: boolean; annotationsStay: boolean }> = [
  { resource: core.pods, spec: podSpec, labelsStay: false, annotationsStay: false },
  {
    resource: apps.deployments,
    spec: {
      selector: { matchLabels: { app: 'x' } },
      template: { metadata: { labels: { app: 'x' } }, spec: podSpec },
    },
    labelsStay: true,
    annotationsStay: false,
  },
  {
    resource: storage.volumeattachments,
    spec: { attacher: 'a.example.com', nodeName: 'n', source: { persistentVolumeName: 'v' } },
    labelsStay: true,
    annotationsStay: true,
  },
];

describe('a write to /status', () => {
  let test: TestServer;
  let client: KubeClient;
  before(async () => {
    test = await startTestServer();
    client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
  });
  after(() => test[Symbol.asyncDispose]());

  for (const { resource, spec, labelsStay, annotationsStay } of kinds) {
    const stays = (is: boolean): string => (is ? 'leaves' : 'changes');
    it(`${stays(labelsStay)} labels and ${stays(annotationsStay)} annotations of ${resource.plural}`, async () => {
      const namespace = resource.namespaced ? 'default' : undefined;
      const metadata = { name: 'x', labels: { kept: '1' }, annotations: { kept: '1' } };
      const made = await client.create(resource, { metadata, spec } as KubeObject, { namespace });
      const changed = {
        ...made,
        metadata: { ...made.metadata, labels: { new: '2' }, annotations: { new: '2' } },
      };
      const answer = await client.update(resource, changed, { namespace, subresource: 'status' });
      const stored = await client.get(resource, 'x', { namespace });
      for (const { metadata: after } of [answer, stored]) {
        assert.deepEqual(after.labels, labelsStay ? { kept: '1' } : { new: '2' });
        assert.deepEqual(after.annotations, annotationsStay ? { kept: '1' } : { new: '2' });
      }
    });
    it(`leaves the owners of ${resource.plural}`, async () => {
      const namespace = resource.namespaced ? 'default' : undefined;
      const owner = { apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u' };
      const old = await client.get(resource, 'x', { namespace });
      const changed = { ...old, metadata: { ...old.metadata, ownerReferences: [owner] } };
      const answer = await client.update(resource, changed, { namespace, subresource: 'status' });
      assert.equal(answer.metadata.ownerReferences, undefined);
    });
  }
});
