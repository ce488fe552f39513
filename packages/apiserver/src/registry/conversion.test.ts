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

  it('flattens requests for devices and wraps devices in v1beta1', () => {
    const version = (kind: string, name: string) => of('resource.k8s.io', name, kind);
    const there = (kind: string, stored: KubeObject) => {
      const shown = convert(object(stored), version(kind, 'v1'), version(kind, 'v1beta1'));
      assert.deepEqual(convert(object(shown), version(kind, 'v1beta1'), version(kind, 'v1')), stored);
      return (shown as unknown as { spec: unknown }).spec;
    };
    const make = (kind: string, spec: object): KubeObject =>
      ({ apiVersion: 'resource.k8s.io/v1', kind, metadata: { name: 'a' }, spec }) as KubeObject;
    const either = { name: 'b', firstAvailable: [{ name: 'c', deviceClassName: 'd' }] };
    const exactly = { deviceClassName: 'd', allocationMode: 'ExactCount', count: 2, adminAccess: false };
    const claim = { devices: { requests: [{ name: 'a', exactly }, either] } };
    const flat = {
      devices: {
        requests: [
          { name: 'a', ...exactly },
          { ...either, deviceClassName: '' },
        ],
      },
    };
    assert.deepEqual(there('ResourceClaim', make('ResourceClaim', claim)), flat);
    const template = { metadata: { labels: { a: 'b' } }, spec: claim };
    assert.deepEqual(there('ResourceClaimTemplate', make('ResourceClaimTemplate', template)), {
      ...template,
      spec: flat,
    });
    const fields = { attributes: { a: { int: 1 } }, nodeName: 'n', taints: [{ key: 'a', effect: 'None' }] };
    const slice = {
      driver: 'd',
      perDeviceNodeSelection: true,
      devices: [{ name: 'x', ...fields }, { name: 'y' }],
    };
    assert.deepEqual(there('ResourceSlice', make('ResourceSlice', slice)), {
      ...slice,
      devices: [
        { name: 'x', basic: fields },
        { name: 'y', basic: {} },
      ],
    });
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
