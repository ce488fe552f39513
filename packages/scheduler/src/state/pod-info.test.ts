import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Container, Pod, PodSpec } from '@cloudless/kube/types/core-v1';
import { podInfo } from './pod-info.ts';

const pod = (name: string, spec: PodSpec): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec,
});
const asking = (cpu: string, hostPort?: number): Container => ({
  name: 'main',
  image: 'example.org/main:1',
  resources: { requests: { cpu } },
  ...(hostPort === undefined ? {} : { ports: [{ containerPort: 80, hostPort }] }),
});

describe('what a pod takes from its node', () => {
  const containers = [asking('100m', 8080)];

  it('is kept once for all pods that take the same', () => {
    const a = podInfo(pod('a', { containers, nodeName: 'one' }));
    const b = podInfo(pod('b', { containers: structuredClone(containers), nodeName: 'two' }));
    assert.equal(a.requests, b.requests);
    const c = podInfo(pod('c', { containers: [asking('100m', 8081)], nodeName: 'two' }));
    assert.notEqual(a.requests, c.requests);
    assert.deepEqual(c.hostPorts[0]?.port, 8081);
    assert.equal(a.requests.get('cpu'), 100);
    assert.deepEqual(a.hostPorts, [{ ip: '0.0.0.0', protocol: 'TCP', port: 8080 }]);
  });

  it('counts what comes on top of the containers', () => {
    const cpu = (spec: Partial<PodSpec>): number | undefined =>
      podInfo(pod('c', { containers, ...spec })).requests.get('cpu');
    assert.equal(cpu({}), 100);
    assert.equal(cpu({ overhead: { cpu: '50m' } }), 150);
    assert.equal(cpu({ resources: { requests: { cpu: '1' } } }), 1000);
    assert.equal(cpu({ initContainers: [asking('400m')] }), 400);
    assert.equal(cpu({}), 100);
  });
});
