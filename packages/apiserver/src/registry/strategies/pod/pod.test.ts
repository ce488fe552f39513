import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ContainerStatus, Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../../../cache/cache.ts';
import type { StrategyContext } from '../../strategy.ts';
import { imageTag } from './image.ts';
import { qosClass } from './qos.ts';
import { pod as strategy } from './strategy.ts';

const nowMs = Date.parse('2026-01-01T01:00:00Z');
const contextOf = (subresource = ''): StrategyContext => ({
  user: { name: 'alice', groups: [] },
  namespace: 'default',
  group: '',
  verb: 'update',
  refusalOf: () => undefined,
  subresource,
  caches: undefined as unknown as Caches,
  nowMs,
  dryRun: false,
});

function podOf(spec: Partial<NonNullable<Pod['spec']>> = {}, status?: PodStatus): Pod {
  const pod: Pod = {
    metadata: { name: 'web', namespace: 'default', creationTimestamp: '2026-01-01T00:55:00Z' },
    spec: { containers: [{ name: 'a', image: 'a:1' }], ...spec },
    ...(status ? { status } : {}),
  };
  strategy.defaults?.(pod);
  return pod;
}

const created = (spec: Partial<NonNullable<Pod['spec']>>): string[] =>
  (strategy.validate?.(contextOf(), podOf(spec)) ?? []).map((error) => `${error.field}: ${error.message}`);

const updated = (before: Pod, change: (pod: Pod) => void, subresource = ''): string[] => {
  const pod = structuredClone(before);
  change(pod);
  strategy.prepareForUpdate?.(contextOf(subresource), pod, before);
  return (strategy.validateUpdate?.(contextOf(subresource), pod, before) ?? []).map(
    (error) => `${error.field}: ${error.message}`,
  );
};

describe('a new pod', () => {
  const one = { name: 'a', image: 'a' };
  const table: Array<[string, Partial<NonNullable<Pod['spec']>>, string[]]> = [
    ['with one container is fine', {}, []],
    ['needs a container', { containers: [] }, ['spec.containers: Required value']],
    [
      'has containers of different names',
      { containers: [one, one] },
      ['spec.containers[1].name: Duplicate value: "a"'],
    ],
    [
      'has no padded images',
      { containers: [{ name: 'a', image: ' a' }] },
      ['spec.containers[0].image: Invalid value: " a": must not have leading or trailing whitespace'],
    ],
    [
      'mounts volumes that it has',
      { containers: [{ ...one, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] },
      ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
    ],
    [
      'has one source a volume',
      { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }] },
      ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
    ],
    [
      'does not ask for more than its limit',
      { containers: [{ ...one, resources: { requests: { cpu: '2' }, limits: { cpu: '1500m' } } }] },
      [
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m',
      ],
    ],
    [
      'does not take one host port twice',
      {
        containers: [
          { ...one, ports: [{ containerPort: 80, hostPort: 80 }] },
          { name: 'b', image: 'b', ports: [{ containerPort: 81, hostPort: 80 }] },
        ],
      },
      ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      'has probes with one handler',
      { containers: [{ ...one, livenessProbe: {} }] },
      ['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    ],
    [
      'has no probes in ordinary init containers',
      { initContainers: [{ name: 'i', image: 'i', readinessProbe: { tcpSocket: { port: 1 } } }] },
      [
        'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
      ],
    ],
    [
      'has no ephemeral containers',
      { ephemeralContainers: [{ name: 'e', image: 'e' }] },
      ['spec.ephemeralContainers: Forbidden: cannot be set on create'],
    ],
    [
      'knows its restart policies',
      { restartPolicy: 'Sometimes' },
      [
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
      ],
    ],
    [
      'runs as a user that exists',
      { securityContext: { runAsUser: 2 ** 31 } },
      [
        'spec.securityContext.runAsUser: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive',
      ],
    ],
    [
      'shows exactly a number that no double holds',
      { activeDeadlineSeconds: 9007199254740993n as unknown as number },
      [
        'spec.activeDeadlineSeconds: Invalid value: 9007199254740993: must be between 1 and 2147483647, inclusive',
      ],
    ],
    [
      'tolerates with an operator that fits',
      { tolerations: [{ operator: 'Exists', value: 'x' }] },
      ['spec.tolerations[0].operator: Invalid value: "x": value must be empty when `operator` is \'Exists\''],
    ],
  ];
  for (const [sentence, spec, expected] of table)
    it(sentence, () => assert.deepEqual(created(spec), expected));

  it('starts pending, with its quality of service', () => {
    const pod = podOf({}, { phase: 'Running', podIP: '192.0.2.1' });
    strategy.prepareForCreate?.(contextOf(), pod);
    assert.deepEqual(pod.status, { phase: 'Pending', qosClass: 'BestEffort' });
  });

  it('takes requests from limits, and rounds them up', () => {
    const pod = podOf({
      containers: [{ ...one, resources: { limits: { cpu: '0.0001', memory: '1024Mi' } } }],
    });
    assert.deepEqual(pod.spec?.containers[0]?.resources, {
      limits: { cpu: '1m', memory: '1Gi' },
      requests: { cpu: '1m', memory: '1Gi' },
    });
    assert.equal(qosClass(pod), 'Guaranteed');
  });

  it('keeps 64-bit numbers exact', () => {
    const pod = podOf({ terminationGracePeriodSeconds: 9007199254740993n as unknown as number });
    assert.equal(pod.spec?.terminationGracePeriodSeconds, 9007199254740993n);
    assert.deepEqual(strategy.validate?.(contextOf(), pod), []);
  });
});

describe('an image', () => {
  const table: Array<[string, string]> = [
    ['nginx', 'latest'],
    ['nginx:1.25', '1.25'],
    ['localhost:5000/a/b', 'latest'],
    ['localhost:5000/a/b:c', 'c'],
    [`a@sha256:${'0'.repeat(64)}`, ''],
    ['Not A Reference', ''],
    ['', ''],
  ];
  for (const [image, tag] of table)
    it(`${image || 'of no name'} has the tag '${tag}'`, () => assert.equal(imageTag(image), tag));
});

describe('a pod that exists', () => {
  const before = podOf(
    { nodeName: 'n', tolerations: [{ key: 'a', operator: 'Exists' }] },
    { qosClass: 'BestEffort' },
  );

  it('may change its image', () => {
    assert.deepEqual(
      updated(before, (pod) => (pod.spec!.containers[0]!.image = 'a:2')),
      [],
    );
  });

  it('may change nothing else, and is told what differs', () => {
    const [message = ''] = updated(before, (pod) => (pod.spec!.containers[0]!.command = ['x']));
    assert.match(
      message,
      /^spec: Forbidden: pod updates may not change fields other than `spec\.containers\[\*\]\.image`,`spec\.initContainers\[\*\]\.image`,`spec\.activeDeadlineSeconds`,`spec\.tolerations` \(only additions to existing tolerations\),`spec\.terminationGracePeriodSeconds` \(allow it to be set to 1 if it was previously negative\)\n\+ containers\[0\]\.command: \["x"\]$/,
    );
  });

  it('may gain tolerations and lose none', () => {
    assert.deepEqual(
      updated(before, (pod) => pod.spec!.tolerations!.push({ key: 'b', operator: 'Exists' })),
      [],
    );
    assert.deepEqual(
      updated(before, (pod) => (pod.spec!.tolerations = [])),
      ['spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds'],
    );
  });

  it('may not gain a container', () => {
    assert.deepEqual(
      updated(before, (pod) => pod.spec!.containers.push({ ...pod.spec!.containers[0]!, name: 'b' })),
      ['spec.containers: Forbidden: pod updates may not add or remove containers'],
    );
  });

  it('takes ephemeral containers through their own subresource, and nothing beside them', () => {
    const pod = structuredClone(before);
    pod.spec!.ephemeralContainers = [{ name: 'debug', image: 'debug' }];
    pod.spec!.containers[0]!.image = 'other';
    strategy.defaults?.(pod);
    strategy.prepareForUpdate?.(contextOf('ephemeralcontainers'), pod, before);
    assert.equal(pod.spec?.containers[0]?.image, 'a:1');
    assert.deepEqual(strategy.validateUpdate?.(contextOf('ephemeralcontainers'), pod, before), []);
    const removed = updated(pod, (now) => delete now.spec!.ephemeralContainers, 'ephemeralcontainers');
    assert.deepEqual(removed, [
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n',
    ]);
  });

  it('may be resized within its class', () => {
    const burstable = podOf({
      containers: [{ name: 'a', image: 'a', resources: { requests: { cpu: '1' } } }],
    });
    assert.deepEqual(
      updated(
        burstable,
        (pod) => (pod.spec!.containers[0]!.resources = { requests: { cpu: '2' } }),
        'resize',
      ),
      [],
    );
    assert.match(
      updated(burstable, (pod) => (pod.spec!.containers[0]!.resources = {}), 'resize').join(),
      /Pod QOS Class may not change as a result of resizing.*resource requests cannot be removed/,
    );
  });

  it('does not come back to life container by container', () => {
    const ended: ContainerStatus = {
      name: 'a',
      image: 'a',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: { terminated: { exitCode: 0 } },
    };
    const over = podOf({ restartPolicy: 'OnFailure' }, { containerStatuses: [ended] });
    const pod = structuredClone(over);
    pod.status!.containerStatuses![0]!.state = { running: {} };
    assert.deepEqual(
      (strategy.validateStatusUpdate?.(contextOf('status'), pod, over) ?? []).map((error) => error.message),
      ['Forbidden: may not be transitioned to non-terminated state'],
    );
  });

  it('has grace only where it runs', () => {
    const grace = (pod: Pod, asked?: number): number | undefined => strategy.gracePeriodSeconds?.(pod, asked);
    assert.equal(grace(podOf()), 0, 'not bound yet');
    assert.equal(grace(before), 30);
    assert.equal(grace(before, 5), 5);
    assert.equal(grace(podOf({ nodeName: 'n' }, { phase: 'Succeeded' })), 0);
    assert.equal(grace(podOf({ nodeName: 'n', terminationGracePeriodSeconds: -1 })), 1);
  });
});

describe('the row of a pod', () => {
  const status = (name: string, rest: Partial<ContainerStatus>): ContainerStatus => ({
    name,
    image: '',
    imageID: '',
    ready: false,
    restartCount: 0,
    ...rest,
  });
  const running = status('a', { ready: true, state: { running: {} } });
  const inits = [
    { name: 'i', image: 'i' },
    { name: 'j', image: 'j' },
  ];
  const table: Array<[string, Pod, [string, string, string]]> = [
    ['runs', podOf({}, { phase: 'Running', containerStatuses: [running] }), ['1/1', 'Running', '0']],
    ['waits to be bound', podOf({}, { phase: 'Pending' }), ['0/1', 'Pending', '0']],
    [
      'crashes again and again',
      podOf(
        {},
        {
          phase: 'Running',
          containerStatuses: [
            status('a', {
              restartCount: 3,
              state: { waiting: { reason: 'CrashLoopBackOff' } },
              lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:55:00Z' } },
            }),
          ],
        },
      ),
      ['0/1', 'CrashLoopBackOff', '3 (5m ago)'],
    ],
    [
      'prepares',
      podOf(
        { initContainers: inits },
        {
          phase: 'Pending',
          initContainerStatuses: [
            status('i', { state: { terminated: { exitCode: 0 } } }),
            status('j', { state: { running: {} } }),
          ],
        },
      ),
      ['0/1', 'Init:1/2', '0'],
    ],
    [
      'fails to prepare',
      podOf(
        { initContainers: inits },
        {
          phase: 'Pending',
          initContainerStatuses: [status('i', { state: { terminated: { exitCode: 7 } } })],
        },
      ),
      ['0/1', 'Init:ExitCode:7', '0'],
    ],
    [
      'is done',
      podOf(
        {},
        {
          phase: 'Succeeded',
          containerStatuses: [status('a', { state: { terminated: { exitCode: 0, reason: 'Completed' } } })],
        },
      ),
      ['0/1', 'Completed', '0'],
    ],
    [
      'goes',
      Object.assign(podOf({}, { phase: 'Running', containerStatuses: [running] }), {
        metadata: { name: 'web', deletionTimestamp: '2026-01-01T01:00:00Z' },
      }),
      ['1/1', 'Terminating', '0'],
    ],
    ['was evicted', podOf({}, { phase: 'Failed', reason: 'Evicted' }), ['0/1', 'Evicted', '0']],
    [
      'is gated',
      podOf(
        {},
        {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
        },
      ),
      ['0/1', 'SchedulingGated', '0'],
    ],
    [
      'has a sidecar',
      podOf(
        { initContainers: [{ name: 's', image: 's', restartPolicy: 'Always' }] },
        {
          phase: 'Running',
          initContainerStatuses: [status('s', { ready: true, started: true, state: { running: {} } })],
          containerStatuses: [running],
        },
      ),
      ['2/2', 'Running', '0'],
    ],
  ];
  for (const [sentence, pod, expected] of table) {
    it(`says that it ${sentence}`, () => {
      assert.deepEqual(strategy.table?.cells(pod, nowMs).slice(1, 4), expected);
    });
  }

  it('has the columns of kubectl, the wide ones last', () => {
    assert.deepEqual(
      strategy.table?.columns.map((column) => `${column.name}${column.priority}`),
      [
        'Name0',
        'Ready0',
        'Status0',
        'Restarts0',
        'Age0',
        'IP1',
        'Node1',
        'Nominated Node1',
        'Readiness Gates1',
      ],
    );
    assert.equal(strategy.table?.cells(podOf(), nowMs)[4], '5m');
  });
});
