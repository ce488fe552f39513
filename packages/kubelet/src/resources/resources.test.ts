import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { cgroupParent, cgroupPath, podCgroupName, uidOfFolder } from '../cgroup/names.ts';
import { limitFiles } from '../cgroup/limits.ts';
import { amountOf, podResources } from './amounts.ts';
import { linuxLimits } from './linux.ts';
import { oomScoreAdjustment, qosClassOf } from './qos.ts';

const container = (
  requests?: Record<string, string>,
  limits?: Record<string, string>,
  name = 'main',
): Container => ({
  name,
  resources: { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) },
});
const pod = (containers: Container[], initContainers: Container[] = []): Pod => ({
  metadata: { uid: 'u' },
  spec: { containers, initContainers },
});
const gib = 2 ** 30;

void describe('resources', () => {
  void it('are read from quantities', () => {
    assert.deepEqual(['100m', '1.5', '1Ki', '2Gi', '1e3', '5M', '.5'].map(amountOf), [
      0.1,
      1.5,
      1024,
      2 * gib,
      1000,
      5e6,
      0.5,
    ]);
    for (const bad of ['', 'x', '1kb', '1 Gi']) assert.throws(() => amountOf(bad), /is not a quantity/);
  });
  void it('decide the quality of service', () => {
    assert.equal(qosClassOf(pod([container()])), 'BestEffort');
    assert.equal(qosClassOf(pod([container({ cpu: '1' })])), 'Burstable');
    assert.equal(qosClassOf(pod([container(undefined, { cpu: '1', memory: '1Gi' })])), 'Guaranteed');
    assert.equal(
      qosClassOf(pod([container(undefined, { cpu: '1', memory: '1Gi' }), container()])),
      'Burstable',
    );
  });
  void it('decide who is killed first when memory ends', () => {
    const score = (one: Container, more = {}) =>
      oomScoreAdjustment({ ...pod([one]), ...more }, one, 16 * gib);
    assert.equal(score(container()), 1000);
    assert.equal(score(container(undefined, { cpu: '1', memory: '1Gi' })), -997);
    assert.equal(score(container({ memory: '4Gi' })), 750);
    assert.equal(score(container({ memory: '1' })), 999);
    assert.equal(score(container({ memory: '16Gi' })), 3);
  });
  void it('of a pod are those of its containers or of its largest init container', () => {
    const sidecar: Container = { ...container({ cpu: '100m' }, undefined, 's'), restartPolicy: 'Always' };
    const total = podResources(
      pod(
        [container({ cpu: '1' }), container({ cpu: '500m' }, undefined, 'b')],
        [container({ cpu: '3' }, undefined, 'i'), sidecar],
      ),
    );
    assert.equal(total.requests.get('cpu'), 3);
    const small = podResources(
      pod([container({ cpu: '1' })], [sidecar, container({ cpu: '1' }, undefined, 'i')]),
    );
    assert.ok(Math.abs(small.requests.get('cpu')! - 1.1) < 1e-9);
    assert.equal(
      podResources(pod([container(undefined, { memory: '1Gi' }), container()])).limits.has('memory'),
      false,
    );
  });
  void it('become cgroup values', () => {
    const limits = linuxLimits(
      new Map([['cpu', 0.25]]),
      new Map([
        ['cpu', 0.5],
        ['memory', gib],
      ]),
    );
    assert.deepEqual(limits, {
      cpuShares: 256,
      cpuPeriodMicros: 100_000,
      cpuQuotaMicros: 50_000,
      memoryLimitBytes: gib,
    });
    assert.equal(linuxLimits(new Map(), new Map()).cpuShares, 2);
    assert.equal(linuxLimits(new Map(), new Map([['cpu', 0.001]])).cpuQuotaMicros, 1000);
  });
});

void describe('cgroups', () => {
  const name = podCgroupName(['root'], 'Burstable', '1-2');
  void it('have upstream’s names for both drivers', () => {
    assert.equal(cgroupParent(name, 'cgroupfs'), '/root/kubepods/burstable/pod1-2');
    assert.equal(cgroupParent(name, 'systemd'), 'root-kubepods-burstable-pod1_2.slice');
    assert.equal(
      cgroupPath(podCgroupName([], 'Guaranteed', '1-2'), 'systemd'),
      'kubepods.slice/kubepods-pod1_2.slice',
    );
    assert.equal(uidOfFolder('/sys/fs/cgroup/kubepods.slice/kubepods-burstable-pod1_2.slice'), '1-2');
    assert.equal(uidOfFolder('/sys/fs/cgroup/memory/kubepods/burstable/pod1-2'), '1-2');
    assert.equal(uidOfFolder('/sys/fs/cgroup/kubepods/burstable'), undefined);
  });
  void it('are limited by the files of their version', () => {
    const limits = {
      cpuShares: 1024,
      cpuPeriodMicros: 100_000,
      cpuQuotaMicros: 50_000,
      memoryLimitBytes: gib,
      pids: 100,
    };
    const files = (version: 1 | 2, ...controllers: string[]) =>
      Object.fromEntries(limitFiles({ mountPoint: '', version, controllers: new Set(controllers) }, limits));
    assert.deepEqual(files(2, 'cpu', 'memory', 'pids'), {
      'cpu.weight': '39',
      'cpu.max': '50000 100000',
      'memory.max': String(gib),
      'pids.max': '100',
    });
    assert.deepEqual(files(1, 'cpu'), {
      'cpu.shares': '1024',
      'cpu.cfs_period_us': '100000',
      'cpu.cfs_quota_us': '50000',
    });
    assert.deepEqual(files(1, 'memory'), { 'memory.limit_in_bytes': String(gib) });
    assert.deepEqual(files(2), {});
  });
});
