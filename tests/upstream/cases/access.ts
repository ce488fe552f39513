import type { Case } from '../case.ts';
import type { Ask } from '../peer.ts';
import { claimReporter } from '../prepare.ts';
import { another, collectionOf, type Tested } from '../resources.ts';

const json = { 'content-type': 'application/json' };
const nobody = { 'impersonate-user': 'nobody' };
const node = { 'impersonate-user': 'system:node:worker', 'impersonate-group': 'system:nodes' };
const account = {
  'impersonate-user': 'system:serviceaccount:default:web',
  'impersonate-group': 'system:serviceaccounts',
};
const people = { nobody, node, account };

/** What those without rights hear about a kind. */
export function accessCases(tested: Tested): Case[] {
  const { label, facts, collection, item, second } = tested;
  const body = JSON.stringify(second);
  const merge = { 'content-type': 'application/merge-patch+json' };
  const asks: Array<[string, Ask]> = [
    ['list', { method: 'GET', path: collection }],
    ['get', { method: 'GET', path: item }],
    [
      'watch',
      {
        method: 'GET',
        path: `${collection}?watch=1&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Dnothing`,
      },
    ],
    ['create', { method: 'POST', path: `${collection}?dryRun=All`, headers: json, body }],
    ['update', { method: 'PUT', path: `${item}?dryRun=All`, headers: json, body }],
    ['patch', { method: 'PATCH', path: `${item}?dryRun=All`, headers: merge, body: '{}' }],
    ['delete', { method: 'DELETE', path: `${item}?dryRun=All` }],
    ['deletecollection', { method: 'DELETE', path: `${collection}?dryRun=All&labelSelector=a%3Db` }],
    ['status', { method: 'PATCH', path: `${item}/status?dryRun=All`, headers: merge, body: '{}' }],
    ...(facts.namespaced
      ? [
          ['list all', { method: 'GET', path: collectionOf(facts).replace('/namespaces/default', '') }] as [
            string,
            Ask,
          ],
        ]
      : []),
  ];
  return Object.entries(people).flatMap(([who, headers]) =>
    asks.map(([word, ask]) => ({
      name: `${label} access ${who} ${word}`,
      family: 'access',
      kind: label,
      asks: [{ ...ask, headers: { ...ask.headers, ...headers } }],
    })),
  );
}

/** Who reports on a claim: each part of its status has its own right. */
export function claimCases(tested: Tested): Case[] {
  const { label, facts, collection } = tested;
  if (facts.kind !== 'ResourceClaim' || facts.storage?.version !== facts.version) return [];
  const other = another(tested, 'reported', 61);
  if (!other) return [];
  const merge = { 'content-type': 'application/merge-patch+json' };
  const patch = (status: object, headers: Record<string, string> = {}): Ask => ({
    method: 'PATCH',
    path: `${other.item}/status`,
    headers: { ...merge, ...headers },
    body: JSON.stringify({ status }),
  });
  const reporter = { 'impersonate-user': claimReporter };
  const result = (driver: string) => ({ request: 'gpu', driver, pool: 'p', device: 'd' });
  const allocation = { devices: { results: [result('gpu.example.com'), result('net.example.com')] } };
  const device = (driver: string) => ({ driver, pool: 'p', device: 'd', data: { some: 'data' } });
  const asks: Ask[] = [
    { method: 'POST', path: collection, headers: json, body: JSON.stringify(other.object) },
    patch({ allocation }, reporter),
    patch({ reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] }, reporter),
    patch({ allocation }),
    patch({ devices: [device('gpu.example.com')] }, reporter),
    patch({ devices: [device('gpu.example.com'), device('net.example.com')] }, reporter),
    patch({ devices: null }, reporter),
    patch({ allocation: null }, reporter),
    { method: 'DELETE', path: other.item },
  ];
  return [{ name: `${label} access reporter`, family: 'access', kind: label, asks }];
}

/** Impersonation itself, paths that are no resources, and reviews of who may do what. */
export function identityCases(): Case[] {
  const pods = '/api/v1/namespaces/default/pods';
  const get = (path: string, headers: Record<string, string>): Ask => ({ method: 'GET', path, headers });
  const review = (kind: string, spec: object, headers: Record<string, string> = {}): Ask => ({
    method: 'POST',
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`.replace('accessreviews', 'accessreviews'),
    headers: { ...json, ...headers },
    body: JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind, spec }),
  });
  const attributes = { namespace: 'default', verb: 'get', resource: 'pods' };
  const whoAmI = (headers: Record<string, string>): Ask => ({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    headers: { ...json, ...headers },
    body: '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}',
  });
  const asks: Array<[string, Ask]> = [
    ['group without user', get(pods, { 'impersonate-group': 'a' })],
    ['uid without user', get(pods, { 'impersonate-uid': 'a' })],
    ['extra without user', get(pods, { 'impersonate-extra-a': 'b' })],
    ['empty user', get(pods, { 'impersonate-user': '' })],
    ['anonymous', get(pods, { 'impersonate-user': 'system:anonymous' })],
    [
      'masters',
      get(`${pods}?limit=1&labelSelector=a%3Dnothing`, { ...nobody, 'impersonate-group': 'system:masters' }),
    ],
    ['bad account', get(pods, { 'impersonate-user': 'system:serviceaccount:default' })],
    ['who: nobody', whoAmI(nobody)],
    ['who: account', whoAmI({ 'impersonate-user': 'system:serviceaccount:default:web' })],
    ['who: node', whoAmI(node)],
    [
      'who: with uid and extra',
      whoAmI({
        ...nobody,
        'impersonate-uid': '7',
        'impersonate-extra-scopes': 'a',
        'impersonate-extra-example.com%2fb': 'c',
      }),
    ],
    ['who: anonymous', whoAmI({ 'impersonate-user': 'system:anonymous' })],
    ['self access', review('SelfSubjectAccessReview', { resourceAttributes: attributes }, nobody)],
    ['self access of admin', review('SelfSubjectAccessReview', { resourceAttributes: attributes })],
    [
      'self access to path',
      review('SelfSubjectAccessReview', { nonResourceAttributes: { path: '/healthz', verb: 'get' } }, nobody),
    ],
    ['self access to nothing', review('SelfSubjectAccessReview', {}, nobody)],
    [
      'self access to both',
      review(
        'SelfSubjectAccessReview',
        { resourceAttributes: attributes, nonResourceAttributes: { path: '/', verb: 'get' } },
        nobody,
      ),
    ],
    ['access', review('SubjectAccessReview', { user: 'nobody', resourceAttributes: attributes })],
    ['access of nobody', review('SubjectAccessReview', { resourceAttributes: attributes })],
    [
      'access refused',
      review('SubjectAccessReview', { user: 'nobody', resourceAttributes: attributes }, nobody),
    ],
    [
      'access of node',
      review('SubjectAccessReview', {
        user: 'system:node:worker',
        groups: ['system:nodes'],
        resourceAttributes: { ...attributes, resource: 'secrets', name: 'a' },
      }),
    ],
    ['rules of nobody', review('SelfSubjectRulesReview', { namespace: 'default' }, nobody)],
    ['rules of account', review('SelfSubjectRulesReview', { namespace: 'default' }, account)],
    ['rules of admin', review('SelfSubjectRulesReview', { namespace: 'default' })],
    ['rules of nowhere', review('SelfSubjectRulesReview', {}, nobody)],
    ...[
      '/',
      '/api',
      '/apis',
      '/api/v1',
      '/healthz',
      '/livez',
      '/readyz',
      '/version',
      '/metrics',
      '/openapi/v3',
      '/logs',
      '/nothing',
    ].map((path): [string, Ask] => [`nobody at ${path}`, get(path, nobody)]),
    ...['/', '/api', '/healthz', '/version', '/metrics'].map((path): [string, Ask] => [
      `anonymous at ${path}`,
      get(path, { 'impersonate-user': 'system:anonymous' }),
    ]),
    ['exec refused', { method: 'POST', path: `${pods}/sample/exec?command=a`, headers: nobody }],
    ['log refused', get(`${pods}/sample/log`, nobody)],
    [
      'eviction refused',
      { method: 'POST', path: `${pods}/sample/eviction`, headers: { ...json, ...nobody }, body: '{}' },
    ],
    [
      'token refused',
      {
        method: 'POST',
        path: '/api/v1/namespaces/default/serviceaccounts/web/token',
        headers: { ...json, ...nobody },
        body: '{}',
      },
    ],
    ['unknown resource refused', get('/apis/nothing.example.com/v1/namespaces/a/things/b/c', nobody)],
  ];
  return asks.map(([word, ask]) => ({
    name: `access ${word}`,
    family: 'access',
    kind: 'identities',
    asks: [ask],
  }));
}
