import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { convert } from './conversion.ts';

const of = (group: string, version: string, kind: string): Resource => ({
  group,
  version,
  kind,
  plural: `${kind.toLowerCase()}s`,
  namespaced: true,
});
const v1 = of('autoscaling', 'v1', 'HorizontalPodAutoscaler');
const v2 = of('autoscaling', 'v2', 'HorizontalPodAutoscaler');
const object = (fields: object): KubeObject => structuredClone(fields) as KubeObject;

const scaler = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'h', annotations: { mine: 'kept' } },
  spec: {
    maxReplicas: 5,
    metrics: [
      {
        type: 'Resource',
        resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 70 } },
      },
      {
        type: 'Resource',
        resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
      },
    ],
    behavior: { scaleDown: { stabilizationWindowSeconds: 60 } },
  },
  status: {
    currentReplicas: 2,
    desiredReplicas: 3,
    currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 40 } } }],
    conditions: [{ type: 'AbleToScale', status: 'True' }],
  },
};

describe('conversion between versions', () => {
  it('shows a v2 autoscaler as v1: CPU in fields, the rest in annotations', () => {
    const old = convert(object(scaler), v2, v1) as KubeObject & { spec: object; status: object };
    assert.equal(old.apiVersion, 'autoscaling/v1');
    assert.deepEqual(old.spec, { maxReplicas: 5, targetCPUUtilizationPercentage: 50 });
    assert.deepEqual(old.status, {
      currentReplicas: 2,
      desiredReplicas: 3,
      currentCPUUtilizationPercentage: 40,
    });
    const annotations = old.metadata.annotations ?? {};
    assert.equal(annotations['mine'], 'kept');
    assert.match(annotations['autoscaling.alpha.kubernetes.io/metrics'] ?? '', /memory/);
  });

  it('loses nothing on the way to v1 and back', () => {
    const back = convert(convert(object(scaler), v2, v1), v1, v2) as unknown as typeof scaler;
    const byName = (a: { resource: { name: string } }, b: { resource: { name: string } }): number =>
      a.resource.name < b.resource.name ? -1 : 1;
    back.spec.metrics.sort(byName);
    const expected = structuredClone(scaler);
    expected.spec.metrics.sort(byName);
    assert.deepEqual(back, expected);
  });

  it('renames the fields of Events both ways', () => {
    const core = of('', 'v1', 'Event');
    const events = of('events.k8s.io', 'v1', 'Event');
    const stored = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e' },
      message: 'm',
      count: 2,
      source: { host: 'n' },
    };
    const shown = convert(object(stored), core, events);
    const { metadata } = stored;
    assert.deepEqual(shown, {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata,
      note: 'm',
      deprecatedCount: 2,
      deprecatedSource: { host: 'n' },
    });
    assert.deepEqual(convert(object(shown), events, core), stored);
  });

  it('changes only the name where versions are alike', () => {
    const beta = of('networking.k8s.io', 'v1beta1', 'IPAddress');
    const stable = of('networking.k8s.io', 'v1', 'IPAddress');
    const address = {
      apiVersion: 'networking.k8s.io/v1beta1',
      kind: 'IPAddress',
      metadata: { name: '10.0.0.1' },
      spec: {},
    };
    assert.deepEqual(convert(object(address), beta, stable), {
      ...address,
      apiVersion: 'networking.k8s.io/v1',
    });
  });
});
