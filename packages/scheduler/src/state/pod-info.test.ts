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
  const containers = Object.freeze([asking('100m', 8080)]) as Container[];

  it('is computed once for all pods that share their containers', () => {
    const a = podInfo(pod('a', { containers, nodeName: 'one' }));
    const b = podInfo(pod('b', { containers, nodeName: 'two' }));
    assert.equal(a.requests, b.requests);
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

  it('is computed anew where containers may still change', () => {
    const own = [asking('100m')];
    assert.equal(podInfo(pod('d', { containers: own })).requests.get('cpu'), 100);
    own.push(asking('200m'));
    assert.equal(podInfo(pod('d', { containers: own })).requests.get('cpu'), 300);
  });
});
