import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { type AdmissionFacts, rejectionOf } from './admission.ts';
import { Occupancy } from './occupancy.ts';

const node: Node = { metadata: { name: 'a', labels: { disk: 'ssd', size: '8' } } };
const pod = (spec: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'n', uid: 'u' },
  spec: { containers: [{ name: 'main' }], ...spec },
});
const asking = (requests: Record<string, string>): Pod =>
  pod({ containers: [{ name: 'main', resources: { requests } }] });
const facts = (more: Partial<AdmissionFacts> = {}): AdmissionFacts => ({
  node,
  allocatable: new Map([
    ['cpu', 2],
    ['memory', 2 ** 30],
    ['pods', 3],
  ]),
  taken: new Occupancy(),
  appArmor: false,
  allowedUnsafeSysctls: [],
  ...more,
});
/** Facts of a node on which these pods run. */
const takenBy = (pods: Pod[]): Partial<AdmissionFacts> => {
  const taken = new Occupancy();
  for (const [index, each] of pods.entries())
    taken.add({ ...each, metadata: { ...each.metadata, uid: `${index}` } });
  return { taken };
};
const affinity = (key: string, operator: string, values?: string[]) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] }],
      },
    },
  },
});

void describe('admission of a pod to its node', () => {
  void it('takes what fits', () => assert.equal(rejectionOf(asking({ cpu: '2' }), facts()), undefined));

  void it('rejects what the node has no room for, in upstream’s words', () => {
    assert.deepEqual(rejectionOf(asking({ cpu: '1500m' }), facts(takenBy([asking({ cpu: '1' })]))), {
      reason: 'OutOfcpu',
      message: "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
    });
    assert.equal(rejectionOf(asking({ memory: '2Gi' }), facts())?.reason, 'OutOfmemory');
    assert.equal(rejectionOf(pod(), facts(takenBy([pod(), pod(), pod()])))?.reason, 'OutOfpods');
  });

  void it('takes critical and static pods all the same', () => {
    const critical = asking({ cpu: '9' });
    critical.spec!.priority = 2_000_000_000;
    assert.equal(rejectionOf(critical, facts()), undefined);
    const fromFile = asking({ cpu: '9' });
    fromFile.metadata.annotations = { 'kubernetes.io/config.source': 'file' };
    assert.equal(rejectionOf(fromFile, facts()), undefined);
  });

  void it('checks the node’s labels', () => {
    assert.equal(rejectionOf(pod({ nodeSelector: { disk: 'hdd' } }), facts())?.reason, 'NodeAffinity');
    for (const [key, operator, values, fits] of [
      ['disk', 'In', ['ssd', 'nvme'], true],
      ['disk', 'NotIn', ['ssd'], false],
      ['gpu', 'NotIn', ['x'], true],
      ['gpu', 'Exists', undefined, false],
      ['gpu', 'DoesNotExist', undefined, true],
      ['size', 'Gt', ['7'], true],
      ['size', 'Lt', ['7'], false],
    ] as const) {
      const rejected = rejectionOf(pod(affinity(key, operator, values ? [...values] : undefined)), facts());
      assert.equal(rejected === undefined, fits, `${key} ${operator}`);
    }
  });

  void it('gives a host port once', () => {
    const with80 = pod({ containers: [{ name: 'm', ports: [{ containerPort: 80, hostPort: 80 }] }] });
    const at = (hostIP: string) =>
      pod({ containers: [{ name: 'm', ports: [{ containerPort: 80, hostPort: 80, hostIP }] }] });
    assert.equal(rejectionOf(with80, facts(takenBy([at('10.0.0.1')])))?.reason, 'NodePorts');
    assert.equal(rejectionOf(at('10.0.0.2'), facts(takenBy([at('10.0.0.1')]))), undefined);
  });

  void it('gives back what a pod that ended had taken', () => {
    const { taken } = takenBy([asking({ cpu: '2' })]);
    assert.equal(rejectionOf(asking({ cpu: '1' }), facts({ taken: taken! }))?.reason, 'OutOfcpu');
    taken!.remove('0');
    assert.equal(rejectionOf(asking({ cpu: '1' }), facts({ taken: taken! })), undefined);
  });

  void it('lets only safe or allowed sysctls pass', () => {
    const wants = (name: string) => pod({ securityContext: { sysctls: [{ name, value: '1' }] } });
    assert.equal(rejectionOf(wants('net.ipv4.tcp_syncookies'), facts()), undefined);
    assert.deepEqual(rejectionOf(wants('net.core.somaxconn'), facts()), {
      reason: 'SysctlForbidden',
      message: 'forbidden sysctl: "net.core.somaxconn" not allowlisted',
    });
    assert.equal(
      rejectionOf(wants('net.core.somaxconn'), facts({ allowedUnsafeSysctls: ['net.core.*'] })),
      undefined,
    );
  });

  void it('refuses what it would run with less than was asked for', () => {
    assert.equal(rejectionOf(pod({ hostUsers: false }), facts())?.reason, 'UnsupportedPod');
    assert.equal(rejectionOf(pod({ resourceClaims: [{ name: 'gpu' }] }), facts())?.reason, 'UnsupportedPod');
  });

  void it('does not pretend to have AppArmor', () => {
    const wants = pod({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } });
    assert.equal(rejectionOf(wants, facts())?.reason, 'AppArmor');
    assert.equal(rejectionOf(wants, facts({ appArmor: true })), undefined);
  });
});
