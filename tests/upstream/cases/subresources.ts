import type { Case } from '../case.ts';
import type { Ask } from '../peer.ts';
import type { Tested } from '../resources.ts';

const json = { 'content-type': 'application/json' };
const merge = { 'content-type': 'application/merge-patch+json' };

const post = (path: string, body: object): Ask => ({
  method: 'POST',
  path,
  headers: json,
  body: JSON.stringify(body),
});
const put = (path: string, body: object): Ask => ({
  method: 'PUT',
  path,
  headers: json,
  body: JSON.stringify(body),
});
const patch = (path: string, body: object): Ask => ({
  method: 'PATCH',
  path,
  headers: merge,
  body: JSON.stringify(body),
});

function scaleAsks(item: string): Array<[string, Ask]> {
  const scale = (spec: object, metadata: object = { name: 'sample', namespace: 'default' }): object => ({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata,
    spec,
  });
  const at = `${item}/scale?dryRun=All`;
  return [
    ['scale up', put(at, scale({ replicas: 7 }))],
    ['scale to nothing', put(at, scale({}))],
    ['scale below zero', put(at, scale({ replicas: -1 }))],
    ['scale by text', put(at, scale({ replicas: 'x' }))],
    ['scale of other name', put(at, scale({ replicas: 1 }, { name: 'other' }))],
    [
      'scale old version',
      put(at, scale({ replicas: 1 }, { name: 'sample', namespace: 'default', resourceVersion: '1' })),
    ],
    ['scale other kind', put(at, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'sample' } })],
    ['scale by patch', patch(at, { spec: { replicas: 4 } })],
    ['scale by negative patch', patch(at, { spec: { replicas: -4 } })],
    [
      'scale Table',
      {
        method: 'GET',
        path: `${item}/scale`,
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      },
    ],
    ['scale delete', { method: 'DELETE', path: `${item}/scale` }],
  ];
}

function podAsks(item: string): Array<[string, Ask]> {
  const binding = (target: object, metadata: object = { name: 'sample' }): object => ({
    apiVersion: 'v1',
    kind: 'Binding',
    metadata,
    target,
  });
  const eviction = (more: object): object => ({
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: 'sample', namespace: 'default' },
    ...more,
  });
  return [
    ['bind to nothing', post(`${item}/binding?dryRun=All`, binding({}))],
    ['bind to a pod', post(`${item}/binding?dryRun=All`, binding({ kind: 'Pod', name: 'a' }))],
    ['bind', post(`${item}/binding?dryRun=All`, binding({ kind: 'Node', name: 'a' }))],
    [
      'bind other name',
      post(`${item}/binding?dryRun=All`, binding({ kind: 'Node', name: 'a' }, { name: 'other' })),
    ],
    [
      'bind missing pod',
      post(
        `${item}-nothing/binding?dryRun=All`,
        binding({ kind: 'Node', name: 'a' }, { name: 'sample-nothing' }),
      ),
    ],
    [
      'bind without target',
      post(`${item}/binding?dryRun=All`, { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'sample' } }),
    ],
    ['evict', post(`${item}/eviction?dryRun=All`, eviction({}))],
    [
      'evict with options',
      post(`${item}/eviction`, eviction({ deleteOptions: { dryRun: ['All'], gracePeriodSeconds: 5 } })),
    ],
    [
      'evict bad options',
      post(`${item}/eviction`, eviction({ deleteOptions: { propagationPolicy: 'Sideways' } })),
    ],
    ['evict other name', post(`${item}/eviction?dryRun=All`, eviction({ metadata: { name: 'other' } }))],
    [
      'evict missing',
      post(`${item}-nothing/eviction?dryRun=All`, eviction({ metadata: { name: 'sample-nothing' } })),
    ],
    ['evict v1beta1', post(`${item}/eviction?dryRun=All`, { ...eviction({}), apiVersion: 'policy/v1beta1' })],
    [
      'ephemeral container',
      patch(`${item}/ephemeralcontainers?dryRun=All`, {
        spec: { ephemeralContainers: [{ name: 'debug', image: 'debug', targetContainerName: 'main' }] },
      }),
    ],
    [
      'ephemeral container without image',
      patch(`${item}/ephemeralcontainers?dryRun=All`, { spec: { ephemeralContainers: [{ name: 'debug' }] } }),
    ],
    [
      'ephemeral container of taken name',
      patch(`${item}/ephemeralcontainers?dryRun=All`, {
        spec: { ephemeralContainers: [{ name: 'main', image: 'a' }] },
      }),
    ],
    [
      'ephemeral container with ports',
      patch(`${item}/ephemeralcontainers?dryRun=All`, {
        spec: {
          ephemeralContainers: [
            { name: 'debug', image: 'a', ports: [{ containerPort: 1 }], resources: { limits: { cpu: '1' } } },
          ],
        },
      }),
    ],
    [
      'ephemeral container of no target',
      patch(`${item}/ephemeralcontainers?dryRun=All`, {
        spec: { ephemeralContainers: [{ name: 'debug', image: 'a', targetContainerName: 'nothing' }] },
      }),
    ],
    [
      'resize',
      {
        ...patch(`${item}/resize?dryRun=All`, {
          spec: { containers: [{ name: 'main', resources: { requests: { cpu: '200m' } } }] },
        }),
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
      },
    ],
    [
      'resize QoS',
      {
        ...patch(`${item}/resize?dryRun=All`, {
          spec: { containers: [{ name: 'main', resources: { requests: { cpu: '1', memory: '128Mi' } } }] },
        }),
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
      },
    ],
    [
      'resize of image',
      {
        ...patch(`${item}/resize?dryRun=All`, { spec: { containers: [{ name: 'main', image: 'other' }] } }),
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
      },
    ],
    ['log of unscheduled', { method: 'GET', path: `${item}/log` }],
    ['log bad option', { method: 'GET', path: `${item}/log?tailLines=-1` }],
    ['log unknown container', { method: 'GET', path: `${item}/log?container=nothing` }],
    ['log without container', { method: 'GET', path: `${item}/log?container=` }],
    ['exec without upgrade', { method: 'GET', path: `${item}/exec?command=true&container=main&stdout=true` }],
    ['attach without upgrade', { method: 'GET', path: `${item}/attach?container=main&stdout=true` }],
    ['portforward without upgrade', { method: 'GET', path: `${item}/portforward?ports=80` }],
  ];
}

function tokenAsks(item: string): Array<[string, Ask]> {
  const request = (spec: object): object => ({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec,
  });
  return [
    ['token', post(`${item}/token`, request({ audiences: ['a'], expirationSeconds: 3600 }))],
    ['token by default', post(`${item}/token`, request({}))],
    ['token too short', post(`${item}/token`, request({ expirationSeconds: 5 }))],
    ['token too long', post(`${item}/token`, request({ expirationSeconds: 2 ** 33 }))],
    [
      'token bound to nothing',
      post(`${item}/token`, request({ boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'nothing' } })),
    ],
    [
      'token bound to a Deployment',
      post(
        `${item}/token`,
        request({ boundObjectRef: { kind: 'Deployment', apiVersion: 'apps/v1', name: 'a' } }),
      ),
    ],
    ['token of missing', post(`${item}-nothing/token`, request({}))],
  ];
}

function approvalAsks(item: string): Array<[string, Ask]> {
  const conditions = (...all: object[]): object => ({ status: { conditions: all } });
  const at = `${item}/approval?dryRun=All`;
  return [
    ['approve', patch(at, conditions({ type: 'Approved', status: 'True', reason: 'a', message: 'b' }))],
    [
      'approve and deny',
      patch(at, conditions({ type: 'Approved', status: 'True' }, { type: 'Denied', status: 'True' })),
    ],
    ['approve with False', patch(at, conditions({ type: 'Approved', status: 'False' }))],
    ['approve without type', patch(at, conditions({ status: 'True' }))],
    [
      'approve twice',
      patch(at, conditions({ type: 'Approved', status: 'True' }, { type: 'Approved', status: 'True' })),
    ],
    ['certificate by status', patch(`${item}/status?dryRun=All`, { status: { certificate: 'eA==' } })],
    [
      'approve by status',
      patch(`${item}/status?dryRun=All`, conditions({ type: 'Approved', status: 'True' })),
    ],
    ['fail by status', patch(`${item}/status?dryRun=All`, conditions({ type: 'Failed', status: 'True' }))],
  ];
}

/** Requests to the subresources that are more than another view of the object. */
export function subresourceCases(tested: Tested): Case[] {
  const { item, label, facts } = tested;
  const has = (name: string): boolean => facts.subresources.some((each) => each.name === name);
  const asks = [
    ...(has('scale') ? scaleAsks(item) : []),
    ...(has('binding') ? podAsks(item) : []),
    ...(has('token') ? tokenAsks(item) : []),
    ...(has('approval') ? approvalAsks(item) : []),
    ...(has('finalize')
      ? ([
          ['finalize', put(`${item}/finalize?dryRun=All`, { ...tested.base, spec: { finalizers: [] } })],
          [
            'finalize badly',
            put(`${item}/finalize?dryRun=All`, { ...tested.base, spec: { finalizers: ['bad'] } }),
          ],
          [
            'finalize other',
            put(`${item}/finalize?dryRun=All`, { ...tested.base, metadata: { name: 'other' } }),
          ],
        ] as Array<[string, Ask]>)
      : []),
  ];
  return asks.map(([word, ask]) => ({
    name: `${label} ${word}`,
    family: 'subresource',
    kind: label,
    asks: [ask],
  }));
}
