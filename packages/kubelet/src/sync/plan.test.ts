import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { containerHash } from '../naming/hash.ts';
import type { BackoffEntry } from './backoff.ts';
import type { ObservedContainer, ObservedPod } from './observed.ts';
import { planPod, type ProbeKind } from './plan.ts';

const nowMs = Date.parse('2026-01-01T00:00:00Z');

/** `main`, `init:setup`, `sidecar:proxy` become containers of that kind. */
function podOf(containers: string, more: Partial<NonNullable<Pod['spec']>> = {}): Pod {
  const spec: NonNullable<Pod['spec']> = {
    containers: [],
    initContainers: [],
    restartPolicy: 'Always',
    ...more,
  };
  for (const word of containers.split(' ')) {
    const [kind, name] = word.includes(':') ? word.split(':') : ['regular', word];
    const container: Container = { name: name!, image: `${name}:1` };
    if (kind === 'regular') spec.containers.push(container);
    else
      spec.initContainers!.push(kind === 'sidecar' ? { ...container, restartPolicy: 'Always' } : container);
  }
  return { metadata: { name: 'p', namespace: 'ns', uid: 'u' }, spec };
}

/** `main=running setup=exit0 main#1=exit1`: newest runs have the highest number. `-` in front: in a sandbox that is gone. */
function observedOf(pod: Pod, text: string, sandbox: 'ready' | 'dead' | 'none' = 'ready'): ObservedPod {
  const all = [...pod.spec!.containers, ...(pod.spec!.initContainers ?? [])];
  const containers = text
    .split(' ')
    .filter((word) => word !== '')
    .map((word): ObservedContainer => {
      const [left, state] = word.replace(/^-/, '').split('=') as [string, string];
      const [name, attempt = '0'] = left.split('#') as [string, string?];
      const exit = /^exit(\d+)$/.exec(state);
      return {
        id: `${name}-${attempt}`,
        name,
        sandboxId: word.startsWith('-') ? 'old' : 's0',
        attempt: Number(attempt),
        state: exit ? 'exited' : (state as 'running'),
        createdAtMs: nowMs - 60_000 + Number(attempt),
        startedAtMs: nowMs - 60_000,
        finishedAtMs: exit ? nowMs - 1000 : 0,
        exitCode: Number(exit?.[1] ?? 0),
        reason: '',
        message: '',
        image: '',
        imageId: '',
        hash: containerHash(all.find((spec) => spec.name === name)!),
      };
    })
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
  const sandboxes =
    sandbox === 'none'
      ? []
      : [
          {
            id: 's0',
            attempt: 0,
            ready: sandbox === 'ready',
            hostNetwork: false,
            ips: ['10.0.0.1'],
            createdAtMs: 1,
          },
        ];
  return { uid: 'u', namespace: 'ns', name: 'p', sandboxes, containers };
}

/** The plan in a line: `sandbox 1, kill main (liveness), start main#1, wait main CrashLoopBackOff, end`. */
function planned(
  pod: Pod,
  observed: ObservedPod,
  more: { verdicts?: Record<string, 'success' | 'failure'>; backoff?: Record<string, BackoffEntry> } = {},
): string {
  const plan = planPod({
    pod,
    observed,
    nowMs,
    verdicts: (id: string, kind: ProbeKind) => more.verdicts?.[`${id} ${kind}`],
    backoff: new Map(Object.entries(more.backoff ?? {})),
    hashOf: containerHash,
  });
  return [
    ...(plan.killPod ? ['end'] : []),
    ...(plan.createSandbox ? [`sandbox ${plan.createSandbox.attempt}`] : []),
    ...plan.kill.map((kill) => `kill ${kill.container.name} (${kill.reason})`),
    ...plan.start.map((start) => `start ${start.spec.name}#${start.attempt}`),
    ...[...plan.backoff].map(([name, { reason }]) => `wait ${name} ${reason}`),
  ].join(', ');
}

void describe('planPod', () => {
  const cases: Array<
    [sentence: string, pod: Pod, state: string, sandbox: 'ready' | 'dead' | 'none', plan: string]
  > = [
    ['a new pod gets a sandbox', podOf('main'), '', 'none', 'sandbox 0'],
    ['with a sandbox its containers start', podOf('main other'), '', 'ready', 'start main#0, start other#0'],
    ['what runs is left alone', podOf('main'), 'main=running', 'ready', ''],
    ['what ended starts again', podOf('main'), 'main=exit1', 'ready', 'start main#1'],
    [
      'success is not repeated under OnFailure',
      podOf('main', { restartPolicy: 'OnFailure' }),
      'main=exit0',
      'ready',
      'end',
    ],
    [
      'failure is repeated under OnFailure',
      podOf('main', { restartPolicy: 'OnFailure' }),
      'main=exit1',
      'ready',
      'start main#1',
    ],
    [
      'nothing is repeated under Never',
      podOf('main other', { restartPolicy: 'Never' }),
      'main=exit1 other=running',
      'ready',
      '',
    ],
    [
      'a finished Never pod is ended',
      podOf('main', { restartPolicy: 'Never' }),
      'main=exit1',
      'ready',
      'end',
    ],
    ['a dead sandbox is replaced', podOf('main'), 'main=running', 'dead', 'end, sandbox 1'],
    [
      'a dead sandbox of a Never pod is not',
      podOf('main', { restartPolicy: 'Never' }),
      'main=running',
      'dead',
      'end',
    ],
    ['in a new sandbox containers go on counting', podOf('main'), '-main#2=exit137', 'ready', 'start main#3'],
    ['init containers come first', podOf('init:setup main'), '', 'ready', 'start setup#0'],
    ['an init container that runs is waited for', podOf('init:setup main'), 'setup=running', 'ready', ''],
    ['the next init container follows', podOf('init:a init:b main'), 'a=exit0', 'ready', 'start b#0'],
    [
      'after the last one regular containers start',
      podOf('init:a init:b main'),
      'a=exit0 b=exit0',
      'ready',
      'start main#0',
    ],
    ['a failed init container is tried again', podOf('init:a main'), 'a=exit1', 'ready', 'start a#1'],
    [
      'under Never it ends the pod',
      podOf('init:a main', { restartPolicy: 'Never' }),
      'a=exit1',
      'ready',
      'end',
    ],
    ['initialization is not repeated once done', podOf('init:a main'), 'a=exit1 main=running', 'ready', ''],
    [
      'a sidecar starts and the next container with it',
      podOf('sidecar:proxy main'),
      'proxy=running',
      'ready',
      'start main#0',
    ],
    [
      'a sidecar that ended starts again',
      podOf('sidecar:proxy main'),
      'proxy=exit0 main=running',
      'ready',
      'start proxy#1',
    ],
    [
      'a sidecar in front of a running init container too',
      podOf('sidecar:proxy init:a main'),
      'proxy=exit1 a=running',
      'ready',
      'start proxy#1',
    ],
    [
      'sidecars do not keep a finished pod',
      podOf('sidecar:proxy main', { restartPolicy: 'Never' }),
      'proxy=running main=exit0',
      'ready',
      'end',
    ],
    [
      'a container of unknown state is ended',
      podOf('main'),
      'main=unknown',
      'ready',
      'kill main (unknown-state), start main#1',
    ],
  ];
  for (const [sentence, pod, state, sandbox, plan] of cases) {
    void it(sentence, () => assert.equal(planned(pod, observedOf(pod, state, sandbox)), plan));
  }

  void it('ends what fails its liveness or startup probe', () => {
    const pod = podOf('main other');
    const observed = observedOf(pod, 'main=running other=running');
    const verdicts = { 'main-0 liveness': 'failure', 'other-0 startup': 'failure' } as const;
    assert.equal(
      planned(pod, observed, { verdicts }),
      'kill main (liveness), kill other (startup), start main#1, start other#1',
    );
  });

  void it('waits for a sidecar to start up', () => {
    const pod = podOf('sidecar:proxy main');
    pod.spec!.initContainers![0]!.startupProbe = { exec: { command: ['x'] } };
    const observed = observedOf(pod, 'proxy=running');
    assert.equal(planned(pod, observed), '');
    assert.equal(planned(pod, observed, { verdicts: { 'proxy-0 startup': 'success' } }), 'start main#0');
  });

  void it('replaces a container whose image changed', () => {
    const pod = podOf('main');
    const observed = observedOf(pod, 'main=running');
    pod.spec!.containers[0]!.image = 'main:2';
    assert.equal(planned(pod, observed), 'kill main (definition-changed), start main#1');
  });

  void it('holds back a restart until its time', () => {
    const pod = podOf('main');
    const observed = observedOf(pod, 'main=exit1');
    const backoff = { main: { delayMs: 10_000, updatedAtMs: nowMs - 5000 } };
    assert.equal(planned(pod, observed, { backoff }), 'wait main CrashLoopBackOff');
    const over = { main: { delayMs: 500, updatedAtMs: nowMs - 5000 } };
    assert.equal(planned(pod, observed, { backoff: over }), 'start main#1');
  });

  void it('follows per-container restart rules', () => {
    const pod = podOf('main', { restartPolicy: 'Never' });
    pod.spec!.containers[0]!.restartPolicyRules = [
      { action: 'Restart', exitCodes: { operator: 'In', values: [42] } },
    ];
    assert.equal(planned(pod, observedOf(pod, 'main=exit42')), 'start main#1');
    assert.equal(planned(pod, observedOf(pod, 'main=exit1')), 'end');
  });
});
