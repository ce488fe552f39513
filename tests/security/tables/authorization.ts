// What one may do, and the ways around it.
import assert from 'node:assert/strict';
import type { Attack, AttackTable } from '../attack.ts';
import { type Answer, type Asked, codesOf, exchange, openTls } from '../send.ts';
import { podOn, type Victim, type Who } from '../victim.ts';

const treasure = /treasure|dHJlYXN1cm/;
const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/team';

const refused = (name: string, who: Who, asked: Asked, code: number | number[] = 403): Attack => ({
  name,
  outcome: typeof code === 'number' ? String(code) : code.join(' or '),
  code,
  hides: treasure,
  send: (victim) => victim.ask(who, asked),
});

/** Mallory may do nothing: no spelling of a path may change that. */
const paths: Attack[] = [
  '//api/v1/namespaces/kube-system/secrets',
  '/api//v1/namespaces/team/secrets',
  '/api/v1//namespaces/team/secrets',
  '/api/v1/namespaces/team/secrets/',
  '/api/v1/namespaces/team/secrets//hidden',
  '/api/v1/namespaces/team/../team/secrets/hidden',
  '/api/v1/namespaces/plaza/configmaps/../../team/secrets/hidden',
  '/api/v1/namespaces/plaza/configmaps/..%2f..%2fteam%2fsecrets%2fhidden',
  '/api/v1/namespaces/plaza/%2e%2e/team/secrets/hidden',
  '/api/v1/namespaces/plaza%2f..%2fteam/secrets/hidden',
  '/api/v1/namespaces/team%00/secrets/hidden',
  '/api/v1/namespaces/team/secrets%00/hidden',
  '/api/v1/namespaces/team/secrets;x=y/hidden',
  '/API/V1/namespaces/team/secrets/hidden',
  '/api/v1/Namespaces/team/Secrets/hidden',
  '/api/v1/watch/namespaces/team/secrets',
  '/api/v1/watch/namespaces/team/secrets/hidden',
  '/api/v1/watch/secrets',
  '/api/v1/proxy/namespaces/team/secrets/hidden',
  '/api/v1/redirect/namespaces/team/secrets/hidden',
  '/version/../api/v1/namespaces/team/secrets/hidden',
  '/healthz/../api/v1/namespaces/team/secrets',
  '/healthz/..%2fapi%2fv1%2fnamespaces%2fteam%2fsecrets',
  '/apis/v1/namespaces/team/secrets/hidden',
  '/apis//v1/namespaces/team/secrets/hidden',
  '/api/v1/namespaces/team/secrets/hidden/status',
  '/api/v1/namespaces/team/secrets?watch=1',
  '/api/v1/namespaces/team/secrets?watch=true&watch=false',
  '/metrics/../metrics',
  '/metrics/',
  '/debug/pprof/',
  '/logs/',
  '/\\api/v1/namespaces/team/secrets',
  '/%61pi/v1/namespaces/team/secrets/hidden',
  '/api/v1/%6eamespaces/team/secrets/hidden',
  '/api/v1/namespaces/team/s%65crets/hidden',
].map((path) => refused(`path ${path}`, 'mallory', { path }, [400, 403, 404]));

/** The bystander's right is bound to `plaza`. */
const namespaces: Attack[] = [
  refused(
    'another namespace by dots',
    'bystander',
    { path: '/api/v1/namespaces/plaza/../team/configmaps/board' },
    [403, 404],
  ),
  refused(
    'another namespace by escaped slashes',
    'bystander',
    { path: '/api/v1/namespaces/plaza/configmaps/%2e%2e%2fteam%2fboard' },
    [400, 403, 404],
  ),
  refused(
    'a cluster-scoped object through a namespace',
    'alice',
    { path: '/api/v1/namespaces/team/nodes/node-1' },
    [403, 404],
  ),
  refused(
    'the namespace of the body, not of the URL',
    'alice',
    {
      path: '/api/v1/namespaces/team/configmaps',
      body: { metadata: { name: 'x', namespace: 'other' } },
    },
    400,
  ),
  refused(
    'an update that moves to another namespace',
    'alice',
    {
      method: 'PUT',
      path: '/api/v1/namespaces/team/configmaps/board',
      body: { metadata: { name: 'board', namespace: 'other' } },
    },
    400,
  ),
  refused(
    'a patch that moves to another namespace',
    'alice',
    {
      method: 'PATCH',
      path: '/api/v1/namespaces/team/configmaps/board',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { namespace: 'other' } },
    },
    [400, 422],
  ),
  refused(
    'a JSON patch that renames',
    'alice',
    {
      method: 'PATCH',
      path: '/api/v1/namespaces/team/configmaps/board',
      headers: { 'content-type': 'application/json-patch+json' },
      body: [{ op: 'replace', path: '/metadata/name', value: 'other' }],
    },
    [400, 422],
  ),
  refused(
    'a name with a slash in the body',
    'alice',
    {
      path: '/api/v1/namespaces/team/configmaps',
      body: { metadata: { name: '../../other/configmaps/x' } },
    },
    422,
  ),
  refused(
    'a generateName with a slash',
    'alice',
    {
      path: '/api/v1/namespaces/team/configmaps',
      body: { metadata: { generateName: '../other/' } },
    },
    422,
  ),
  refused('a list of all namespaces with the right in one', 'alice', { path: '/api/v1/pods' }),
  refused('all namespaces by a field selector', 'alice', {
    path: '/api/v1/pods?fieldSelector=metadata.namespace%3Dteam',
  }),
];

/** The reader may get, list and watch the Secret `allowed` and no other. */
const selectors: Attack[] = [
  refused('resourceNames: another name', 'reader', { path: '/api/v1/namespaces/team/secrets/hidden' }),
  refused('resourceNames: a list without a selector', 'reader', { path: '/api/v1/namespaces/team/secrets' }),
  refused('resourceNames: a selector that excludes', 'reader', {
    path: '/api/v1/namespaces/team/secrets?fieldSelector=metadata.name!%3Dallowed',
  }),
  ...[
    'metadata.name%3Dallowed,metadata.name%3Dhidden',
    'metadata.name%3Dhidden,metadata.name%3Dallowed',
    'metadata.name%3Dallowed&fieldSelector=metadata.name%3Dhidden',
    'metadata.name%3D%3Dallowed,metadata.namespace%3Dother',
  ].map((selector): Attack => ({
    name: `resourceNames: fieldSelector=${selector}`,
    outcome: '403, or only what is allowed',
    code: [200, 400, 403],
    hides: /"name":"hidden"|hidden/,
    send: (victim) =>
      victim.ask('reader', { path: `/api/v1/namespaces/team/secrets?fieldSelector=${selector}` }),
  })),
  {
    name: 'resourceNames: a list of the one name in all namespaces',
    outcome: '403',
    code: 403,
    hides: treasure,
    send: (victim) => victim.ask('reader', { path: '/api/v1/secrets?fieldSelector=metadata.name%3Dallowed' }),
  },
  {
    name: 'resourceNames: a watch of the one name shows no other',
    outcome: 'only what is allowed',
    code: 200,
    hides: /"name":"hidden"/,
    says: /"name":"allowed"/,
    send: (victim) =>
      victim.ask('reader', {
        path: '/api/v1/namespaces/team/secrets?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dallowed',
      }),
  },
  refused('a Table of what may not be read', 'mallory', {
    path: '/api/v1/namespaces/team/secrets',
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  }),
  refused('PartialObjectMetadata of what may not be read', 'mallory', {
    path: '/api/v1/namespaces/team/secrets/hidden',
    headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' },
  }),
  refused('a forbidden object as protobuf', 'mallory', {
    path: '/api/v1/namespaces/team/secrets/hidden',
    headers: { accept: 'application/vnd.kubernetes.protobuf' },
  }),
  refused(
    'HEAD instead of GET',
    'mallory',
    { path: '/api/v1/namespaces/team/secrets/hidden', method: 'HEAD' },
    [403, 405],
  ),
  refused(
    'OPTIONS',
    'mallory',
    { path: '/api/v1/namespaces/team/secrets/hidden', method: 'OPTIONS' },
    [403, 405],
  ),
  refused(
    'an invented method',
    'mallory',
    { path: '/api/v1/namespaces/team/secrets/hidden', method: 'PROPFIND' },
    [400, 403, 405],
  ),
  refused('X-HTTP-Method-Override', 'reader', {
    path: '/api/v1/namespaces/team/configmaps/board',
    method: 'DELETE',
    headers: { 'x-http-method-override': 'GET' },
  }),
  {
    name: 'a continue token for another namespace',
    outcome: '400, or nothing of the other namespace',
    hides: /"namespace":"other"/,
    code: [200, 400, 410],
    async send(victim) {
      const page = await victim.ask('admin', { path: '/api/v1/secrets?limit=1' });
      const token = (JSON.parse(page.body) as { metadata: { continue: string } }).metadata.continue;
      return await victim.ask('alice', {
        path: `/api/v1/namespaces/team/configmaps?limit=5&continue=${encodeURIComponent(token)}`,
      });
    },
  },
  ...['/../other/', '../../secrets/other/', '\0', '/registry/secrets/'].map((start): Attack => ({
    name: `a continue token that starts at ${JSON.stringify(start)}`,
    outcome: '400, or nothing from elsewhere',
    code: [200, 400, 410],
    hides: /treasure|"namespace":"other"/,
    async send(victim) {
      const { body } = await victim.ask('alice', { path: '/api/v1/namespaces/team/configmaps' });
      const rv = Number(
        (JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion,
      );
      const token = Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv, start })).toString('base64url');
      return await victim.ask('alice', {
        path: `/api/v1/namespaces/team/configmaps?limit=5&continue=${token}`,
      });
    },
  })),
];

const verbs: Attack[] = [
  refused('deletecollection with the right to list', 'reader', {
    path: '/api/v1/namespaces/team/pods',
    method: 'DELETE',
  }),
  refused('update with the right to patch', 'reader', {
    path: '/api/v1/namespaces/team/configmaps/board',
    method: 'PUT',
    body: { metadata: { name: 'board' } },
  }),
  refused('patch with the right to update', 'keeper', {
    path: '/api/v1/namespaces/team/configmaps/board',
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: { data: { a: 'b' } },
  }),
  refused('create by server-side apply with the right to patch', 'reader', {
    path: '/api/v1/namespaces/team/configmaps/new?fieldManager=x',
    method: 'PATCH',
    headers: { 'content-type': 'application/apply-patch+yaml' },
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'new' } },
  }),
  refused(
    'create by PUT with the right to update',
    'keeper',
    {
      path: '/api/v1/namespaces/team/configmaps/new',
      method: 'PUT',
      body: { metadata: { name: 'new' } },
    },
    [403, 404],
  ),
  refused('dry run without the right', 'mallory', {
    path: '/api/v1/namespaces/team/configmaps?dryRun=All',
    body: { metadata: { name: 'dry' } },
  }),
  {
    name: 'dry run leaves nothing',
    outcome: '404 afterwards',
    code: 404,
    async send(victim) {
      const path = '/api/v1/namespaces/team/configmaps';
      assert.equal(
        (await victim.ask('alice', { path: `${path}?dryRun=All`, body: { metadata: { name: 'dry' } } })).code,
        201,
      );
      return await victim.ask('alice', { path: `${path}/dry` });
    },
  },
  refused('exec without the right to create', 'reader', {
    path: '/api/v1/namespaces/team/pods/on-node-1/exec?command=id',
  }),
  {
    name: 'exec over a WebSocket with the right to get only',
    outcome: '403',
    async send(victim) {
      const socket = await openTls(victim.url, victim.ca, victim.identity('reader'));
      const lines = [
        'GET /api/v1/namespaces/team/pods/on-node-1/exec?command=id HTTP/1.1',
        'Host: x',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        'Sec-WebSocket-Protocol: v5.channel.k8s.io',
      ];
      const text = await exchange(socket, `${lines.join('\r\n')}\r\n\r\n`);
      assert.deepEqual(codesOf(text), [403], text);
    },
  },
  refused('status with the right to the object only', 'alice', {
    path: '/api/v1/namespaces/team/pods/on-node-1/status',
    method: 'PUT',
    body: podOn('node-1', 'on-node-1'),
  }),
  refused('binding with the right to create pods', 'alice', {
    path: '/api/v1/namespaces/team/pods/on-node-1/binding',
    body: { metadata: { name: 'on-node-1' }, target: { kind: 'Node', name: 'node-2' } },
  }),
  refused('bindings as a resource', 'alice', {
    path: '/api/v1/namespaces/team/bindings',
    body: { metadata: { name: 'on-node-1' }, target: { kind: 'Node', name: 'node-2' } },
  }),
  refused('eviction with the right to delete pods', 'alice', {
    path: '/api/v1/namespaces/team/pods/on-node-1/eviction',
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'on-node-1' } },
  }),
  refused('a token of a service account with the right to create accounts', 'alice', {
    path: '/api/v1/namespaces/team/serviceaccounts/default/token',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  }),
  refused(
    'a token bound to a thing of the kind constructor',
    'admin',
    {
      path: '/api/v1/namespaces/team/serviceaccounts/default/token',
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { boundObjectRef: { apiVersion: 'v1', kind: 'constructor', name: 'x' } },
      },
    },
    400,
  ),
  refused('TokenReview by nobody in particular', 'mallory', {
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    body: { spec: { token: 'x' } },
  }),
  refused('SubjectAccessReview by nobody in particular', 'mallory', {
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: { spec: { user: 'admin', nonResourceAttributes: { path: '/', verb: 'get' } } },
  }),
];

const createRole = (name: string, rules: object[], more: object = {}): Asked => ({
  path: `${rbac}/roles`,
  body: { metadata: { name }, rules, ...more },
});
const bindTo = (name: string, roleRef: object): Asked => ({
  path: `${rbac}/rolebindings`,
  body: {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', ...roleRef },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'keeper' }],
  },
});

const escalation: Attack[] = [
  refused(
    'a Role with more than its author has',
    'keeper',
    createRole('all', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]),
  ),
  refused(
    'a Role with the verb escalate',
    'keeper',
    createRole('esc', [
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], verbs: ['escalate', 'bind'] },
    ]),
  ),
  refused(
    'a Role with secrets by another spelling',
    'keeper',
    createRole('odd', [{ apiGroups: ['', '*'], resources: ['secrets', '*/*'], verbs: ['get'] }]),
  ),
  refused(
    'a binding to cluster-admin',
    'keeper',
    bindTo('boss', { kind: 'ClusterRole', name: 'cluster-admin' }),
  ),
  refused(
    'a binding to a role that is not there yet',
    'keeper',
    bindTo('later', { kind: 'ClusterRole', name: 'later' }),
    [403, 404],
  ),
  refused('its own Role, patched', 'keeper', {
    path: `${rbac}/roles/keeper`,
    method: 'PATCH',
    headers: { 'content-type': 'application/json-patch+json' },
    body: [
      { op: 'add', path: '/rules/-', value: { apiGroups: [''], resources: ['secrets'], verbs: ['get'] } },
    ],
  }),
  refused('its own Role, applied by force', 'keeper', {
    path: `${rbac}/roles/keeper?fieldManager=x&force=true`,
    method: 'PATCH',
    headers: { 'content-type': 'application/apply-patch+yaml' },
    body: {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'keeper' },
      rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }],
    },
  }),
  refused(
    'a binding whose roleRef is changed afterwards',
    'admin',
    {
      path: `${rbac}/rolebindings/keeper`,
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { roleRef: { kind: 'ClusterRole', name: 'cluster-admin' } },
    },
    422,
  ),
  refused('a ClusterRole that is aggregated into others', 'keeper', {
    path: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    body: {
      metadata: { name: 'x', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
      rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }],
    },
  }),
  {
    name: 'an aggregation rule by someone who may create ClusterRoles',
    outcome: '403',
    code: 403,
    async send(victim) {
      await grant(victim, 'gatherer', 'mallory', [
        { apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'], verbs: ['create'] },
      ]);
      const answer = await victim.ask('mallory', {
        path: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
        body: {
          metadata: { name: 'gathered' },
          aggregationRule: {
            clusterRoleSelectors: [{ matchLabels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } }],
          },
        },
      });
      await revoke(victim, 'gatherer');
      return answer;
    },
  },
  {
    name: 'a certificate request for system:masters',
    outcome: '403',
    code: 403,
    async send(victim) {
      await grant(victim, 'requester', 'mallory', [
        { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['create'] },
      ]);
      const answer = await victim.ask('mallory', {
        path: '/apis/certificates.k8s.io/v1/certificatesigningrequests',
        body: {
          metadata: { name: 'masters' },
          spec: {
            request: Buffer.from(mastersRequest).toString('base64'),
            signerName: 'kubernetes.io/kube-apiserver-client',
            usages: ['client auth'],
          },
        },
      });
      await revoke(victim, 'requester');
      return answer;
    },
  },
  {
    name: 'a certificate request in the name of another',
    outcome: 'username and groups are the author’s',
    code: 201,
    says: /"username":"mallory"/,
    hides: /"username":"admin"/,
    async send(victim) {
      await grant(victim, 'requester', 'mallory', [
        { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['create'] },
      ]);
      const answer = await victim.ask('mallory', {
        path: '/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldManager=x',
        body: {
          metadata: { name: 'other' },
          spec: {
            request: Buffer.from(mastersRequest).toString('base64'),
            signerName: 'example.com/any',
            usages: ['client auth'],
            username: 'admin',
            groups: ['system:masters'],
            uid: '1',
          },
          status: { conditions: [{ type: 'Approved', status: 'True', reason: 'me' }] },
        },
      });
      await revoke(victim, 'requester');
      assert.doesNotMatch(answer.body, /Approved/, 'approval is not for the author to give');
      return answer;
    },
  },
];

/** CN=mallory, O=system:masters, P-256. */
const mastersRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIHmMIGNAgEAMCsxFzAVBgNVBAoMDnN5c3RlbTptYXN0ZXJzMRAwDgYDVQQDDAdt
YWxsb3J5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGICoYAd9iSsF9D7S07T8
XNC5Hnlccbohzb4pI4iaUrKvfNH0zqUUc+t6Bw4x9Qb5xwlVc0ut06b7yXMeAzgL
BqAAMAoGCCqGSM49BAMCA0gAMEUCIH5F+FPSO74SZLRsat/8qogUya5Qxz1QrsX9
97q3J5S/AiEA4qDJ1802eJRcPEztNI1vGMBP/G/KtOmLacb7ZwADxzQ=
-----END CERTIFICATE REQUEST-----
`;

/** For one row: a cluster-wide right. */
async function grant(victim: Victim, name: string, user: string, rules: object[]): Promise<void> {
  const path = '/apis/rbac.authorization.k8s.io/v1';
  await victim.ask('admin', { path: `${path}/clusterroles`, body: { metadata: { name }, rules } });
  const made = await victim.ask('admin', {
    path: `${path}/clusterrolebindings`,
    body: {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  });
  assert.equal(made.code, 201, made.body);
}

async function revoke(victim: Victim, name: string): Promise<void> {
  for (const plural of ['clusterrolebindings', 'clusterroles'])
    await victim.ask('admin', {
      path: `/apis/rbac.authorization.k8s.io/v1/${plural}/${name}`,
      method: 'DELETE',
    });
}

const node = (name: string, asked: Asked, code: number | number[] = 403): Attack =>
  refused(`node: ${name}`, 'node', asked, code);
const merge = { 'content-type': 'application/merge-patch+json' };
const strategic = { 'content-type': 'application/strategic-merge-patch+json' };

/** What the kubelet of one node may not do. */
const nodes: Attack[] = [
  node('a Secret of no pod of its own', { path: '/api/v1/namespaces/team/secrets/hidden' }),
  node('all Secrets', { path: '/api/v1/secrets' }),
  node('a Secret by a watch of its name', {
    path: '/api/v1/namespaces/team/secrets?watch=1&fieldSelector=metadata.name%3Dhidden',
  }),
  node('a pod of its own that mounts a Secret', {
    path: '/api/v1/namespaces/team/pods',
    body: {
      metadata: { name: 'thief' },
      spec: {
        nodeName: 'node-1',
        volumes: [{ name: 's', secret: { secretName: 'hidden' } }],
        containers: [{ name: 'a', image: 'b' }],
      },
    },
  }),
  node("another node's status", {
    path: '/api/v1/nodes/node-2/status',
    method: 'PATCH',
    headers: strategic,
    body: { status: { capacity: { pods: '1' } } },
  }),
  node('its own taints taken away', {
    path: '/api/v1/nodes/node-1',
    method: 'PATCH',
    headers: strategic,
    body: { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } },
  }),
  node('a label of the restricted kind', {
    path: '/api/v1/nodes/node-1',
    method: 'PATCH',
    headers: merge,
    body: { metadata: { labels: { 'node-restriction.kubernetes.io/team': 'vip' } } },
  }),
  node('a label that says control plane', {
    path: '/api/v1/nodes/node-1',
    method: 'PATCH',
    headers: merge,
    body: { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } },
  }),
  node('an owner of itself', {
    path: '/api/v1/nodes/node-1',
    method: 'PATCH',
    headers: merge,
    body: { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-2', uid: 'x' }] } },
  }),
  node('another node created', { path: '/api/v1/nodes', body: { metadata: { name: 'node-3' } } }),
  node('another node deleted', { path: '/api/v1/nodes/node-2', method: 'DELETE' }),
  node("another node's pod deleted", { path: '/api/v1/namespaces/team/pods/on-node-2', method: 'DELETE' }),
  node("the status of another node's pod", {
    path: '/api/v1/namespaces/team/pods/on-node-2/status',
    method: 'PATCH',
    headers: strategic,
    body: { status: { phase: 'Failed' } },
  }),
  node("eviction of another node's pod", {
    path: '/api/v1/namespaces/team/pods/on-node-2/eviction',
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'on-node-2' } },
  }),
  node('labels of its own pod through status', {
    path: '/api/v1/namespaces/team/pods/on-node-1/status',
    method: 'PATCH',
    headers: strategic,
    body: { metadata: { labels: { app: 'database' } } },
  }),
  node('a token that is bound to no pod', {
    path: '/api/v1/namespaces/team/serviceaccounts/default/token',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  }),
  node("a token bound to another node's pod", {
    path: '/api/v1/namespaces/team/serviceaccounts/default/token',
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'on-node-2', uid: 'x' } },
    },
  }),
  node("another node's lease", {
    path: '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases',
    body: { metadata: { name: 'node-2' }, spec: { holderIdentity: 'node-2' } },
  }),
  node('a lease elsewhere', {
    path: '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases',
    body: { metadata: { name: 'node-1' }, spec: { holderIdentity: 'node-1' } },
  }),
  node('a ClusterRoleBinding', {
    path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
    body: { metadata: { name: 'x' }, roleRef: { kind: 'ClusterRole', name: 'cluster-admin' } },
  }),
  node('impersonation', {
    path: '/api/v1/namespaces/team/secrets/hidden',
    headers: { 'impersonate-user': 'system:node:node-2' },
  }),
];

const nothingGranted = (answer: Answer): void => assert.notEqual(answer.code, 200);

const aftermath: Attack[] = [
  {
    name: 'after all of these, keeper still reads no Secret',
    outcome: '403',
    code: 403,
    async send(victim) {
      nothingGranted(await victim.ask('mallory', { path: '/api/v1/namespaces/team/secrets/hidden' }));
      return await victim.ask('keeper', { path: '/api/v1/namespaces/team/secrets/hidden' });
    },
  },
];

export const authorization: AttackTable = {
  title: 'Authorization',
  attacks: [...paths, ...namespaces, ...selectors, ...verbs, ...escalation, ...nodes, ...aftermath],
};
