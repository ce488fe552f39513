import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core, rbac, resource } from '@cloudless/kube/resources';
import { nodeUser, serviceAccountUser, type UserInfo } from '@cloudless/kube/user';
import type { Attributes } from '../request/info.ts';
import { pathRequest, resourceRequest } from '../testing/attributes.ts';
import { MemoryCaches } from '../testing/memory-caches.ts';
import { defaultAuthorizer } from './index.ts';
import { defaultPolicy } from './policy/default-policy.ts';

const pod = (name: string, nodeName: string, spec: object = {}, more: object = {}) =>
  ({
    metadata: { name, namespace: 'default', ...more },
    spec: { nodeName, serviceAccountName: 'web', containers: [{ name: 'c', image: 'i' }], ...spec },
  }) as never;

/** A cluster with the default policy, two nodes, and a pod with everything on the first. */
async function cluster() {
  const caches = new MemoryCaches();
  const policy = defaultPolicy();
  for (const role of policy.clusterRoles) caches.put(rbac.clusterroles, role);
  for (const binding of policy.clusterRoleBindings) caches.put(rbac.clusterrolebindings, binding);
  for (const role of policy.roles) caches.put(rbac.roles, role);
  for (const binding of policy.roleBindings) caches.put(rbac.rolebindings, binding);
  caches.put(
    core.pods,
    pod('one', 'a', {
      imagePullSecrets: [{ name: 'pull' }],
      containers: [
        {
          name: 'c',
          image: 'i',
          env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 'env', key: 'k' } } }],
          envFrom: [{ configMapRef: { name: 'from' } }],
        },
      ],
      initContainers: [{ name: 'i', image: 'i', envFrom: [{ secretRef: { name: 'init' } }] }],
      volumes: [
        { name: 'v', persistentVolumeClaim: { claimName: 'data' } },
        { name: 'p', projected: { sources: [{ secret: { name: 'projected' } }] } },
        { name: 'e', ephemeral: {} },
      ],
    }),
  );
  caches.put(core.pods, pod('two', 'b', { volumes: [{ name: 's', secret: { secretName: 'of-b' } }] }));
  caches.put(core.pods, pod('unbound', '', { volumes: [{ name: 's', secret: { secretName: 'unbound' } }] }));
  caches.put(
    core.pods,
    pod(
      'mirror-a',
      'a',
      { volumes: [{ name: 's', secret: { secretName: 'by-mirror' } }] },
      {
        annotations: { 'kubernetes.io/config.mirror': 'x' },
      },
    ),
  );
  caches.put(core.persistentvolumes, {
    metadata: { name: 'pv' },
    spec: {
      claimRef: { namespace: 'default', name: 'data' },
      csi: {
        driver: 'd',
        volumeHandle: 'h',
        nodeStageSecretRef: { namespace: 'storage', name: 'stage' },
        controllerPublishSecretRef: { namespace: 'storage', name: 'controller-only' },
      },
    },
  });
  caches.put(resource.resourceslices, { metadata: { name: 'slice-b' }, spec: { nodeName: 'b' } } as never);
  const made = defaultAuthorizer(caches);
  await made.ready;
  const allows = (request: Attributes): boolean => made.authorizer.authorize(request).verdict === 'allow';
  return { caches, ...made, allows };
}

const a = nodeUser('a');
const inDefault = (name: string, more: Partial<Attributes> = {}) => ({ namespace: 'default', name, ...more });

describe('a node', () => {
  const yes: Array<[string, Attributes]> = [
    ['reads the secret in an env of its pod', resourceRequest(a, 'get', 'secrets', inDefault('env'))],
    ['watches that one secret', resourceRequest(a, 'watch', 'secrets', inDefault('env'))],
    ['reads the pull secret', resourceRequest(a, 'get', 'secrets', inDefault('pull'))],
    ['reads the init container’s secret', resourceRequest(a, 'get', 'secrets', inDefault('init'))],
    ['reads the projected secret', resourceRequest(a, 'get', 'secrets', inDefault('projected'))],
    ['reads the configmap', resourceRequest(a, 'get', 'configmaps', inDefault('from'))],
    ['reads the claim', resourceRequest(a, 'get', 'persistentvolumeclaims', inDefault('data'))],
    ['reads the ephemeral claim', resourceRequest(a, 'get', 'persistentvolumeclaims', inDefault('one-e'))],
    ['reads the volume', resourceRequest(a, 'get', 'persistentvolumes', { name: 'pv' })],
    [
      'reads the volume’s node secret',
      resourceRequest(a, 'get', 'secrets', { namespace: 'storage', name: 'stage' }),
    ],
    ['reads its Node', resourceRequest(a, 'get', 'nodes', { name: 'a' })],
    ['updates node status', resourceRequest(a, 'patch', 'nodes', { name: 'a', subresource: 'status' })],
    ['lists its pods', resourceRequest(a, 'list', 'pods', { fieldSelector: 'spec.nodeName=a' })],
    [
      'asks for tokens of its pods’ account',
      resourceRequest(a, 'create', 'serviceaccounts', inDefault('web', { subresource: 'token' })),
    ],
    [
      'renews its lease',
      resourceRequest(a, 'update', 'leases', {
        group: 'coordination.k8s.io',
        namespace: 'kube-node-lease',
        name: 'a',
      }),
    ],
    ['records events', resourceRequest(a, 'create', 'events', { namespace: 'default' })],
    ['reviews tokens', resourceRequest(a, 'create', 'tokenreviews', { group: 'authentication.k8s.io' })],
    ['reads services', resourceRequest(a, 'watch', 'services')],
    [
      'reads endpointslices for its network part',
      resourceRequest(a, 'watch', 'endpointslices', { group: 'discovery.k8s.io' }),
    ],
    ['reads all nodes for its routes', resourceRequest(a, 'list', 'nodes')],
  ];
  for (const [what, request] of yes)
    it(what, async () => assert.equal((await cluster()).allows(request), true));

  const never: Array<[string, Attributes]> = [
    ['reads a secret of another node’s pod', resourceRequest(a, 'get', 'secrets', inDefault('of-b'))],
    ['reads an unrelated secret', resourceRequest(a, 'get', 'secrets', inDefault('other'))],
    [
      'reads the same name in another namespace',
      resourceRequest(a, 'get', 'secrets', { namespace: 'kube-system', name: 'env' }),
    ],
    ['lists secrets', resourceRequest(a, 'list', 'secrets', { namespace: 'default' })],
    ['lists secrets everywhere', resourceRequest(a, 'list', 'secrets')],
    ['updates a secret it may read', resourceRequest(a, 'update', 'secrets', inDefault('env'))],
    ['reads a secret of a pod that no node has', resourceRequest(a, 'get', 'secrets', inDefault('unbound'))],
    [
      'reads a secret through its own mirror pod',
      resourceRequest(a, 'get', 'secrets', inDefault('by-mirror')),
    ],
    [
      'reads a secret for controllers only',
      resourceRequest(a, 'get', 'secrets', { namespace: 'storage', name: 'controller-only' }),
    ],
    ['lists all pods', resourceRequest(a, 'list', 'pods')],
    ['lists another node’s pods', resourceRequest(a, 'list', 'pods', { fieldSelector: 'spec.nodeName=b' })],
    [
      'lists what is not on another node',
      resourceRequest(a, 'list', 'pods', { fieldSelector: 'spec.nodeName!=b' }),
    ],
    ['reads another node’s pod', resourceRequest(a, 'get', 'pods', inDefault('two'))],
    ['deletes nodes', resourceRequest(a, 'delete', 'nodes', { name: 'b' })],
    ['execs', resourceRequest(a, 'create', 'pods', inDefault('one', { subresource: 'exec' }))],
    [
      'asks for tokens of others',
      resourceRequest(a, 'create', 'serviceaccounts', {
        namespace: 'kube-system',
        name: 'admin',
        subresource: 'token',
      }),
    ],
    [
      'asks for a token without a name',
      resourceRequest(a, 'create', 'serviceaccounts', inDefault('', { subresource: 'token' })),
    ],
    [
      'renews another’s lease',
      resourceRequest(a, 'update', 'leases', {
        group: 'coordination.k8s.io',
        namespace: 'kube-node-lease',
        name: 'b',
      }),
    ],
    [
      'takes a leader’s lease',
      resourceRequest(a, 'update', 'leases', {
        group: 'coordination.k8s.io',
        namespace: 'kube-system',
        name: 'a',
      }),
    ],
    [
      'reads another’s slice',
      resourceRequest(a, 'get', 'resourceslices', { group: 'resource.k8s.io', name: 'slice-b' }),
    ],
    [
      'makes roles',
      resourceRequest(a, 'create', 'clusterrolebindings', { group: 'rbac.authorization.k8s.io' }),
    ],
    [
      'approves certificates',
      resourceRequest(a, 'update', 'certificatesigningrequests', {
        group: 'certificates.k8s.io',
        name: 'x',
        subresource: 'approval',
      }),
    ],
    ['impersonates', resourceRequest(a, 'impersonate', 'groups', { name: 'system:masters' })],
  ];
  for (const [what, request] of never)
    it(`never ${what}`, async () => assert.equal((await cluster()).allows(request), false));

  it('loses a secret with its last pod, and gains one as a pod is bound', async () => {
    const { caches, allows } = await cluster();
    const env = resourceRequest(a, 'get', 'secrets', inDefault('env'));
    caches.delete(core.pods, 'default', 'one');
    assert.equal(allows(env), false);
    const bound = resourceRequest(a, 'get', 'secrets', inDefault('unbound'));
    caches.put(
      core.pods,
      pod('unbound', 'a', { volumes: [{ name: 's', secret: { secretName: 'unbound' } }] }),
    );
    assert.equal(allows(bound), true);
  });

  it('is told why not', async () => {
    const { authorizer } = await cluster();
    const decision = authorizer.authorize(resourceRequest(a, 'get', 'secrets', inDefault('of-b')));
    assert.equal(decision.reason, "no relationship found between node 'a' and this object");
  });

  it('needs the group, not only the name', async () => {
    const { allows } = await cluster();
    const fake: UserInfo = { name: 'system:node:a', groups: ['system:authenticated'] };
    assert.equal(allows(resourceRequest(fake, 'get', 'secrets', inDefault('env'))), false);
  });
});

describe('everyone else', () => {
  const anonymous: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  const admin: UserInfo = {
    name: 'kubernetes-admin',
    groups: ['kubeadm:cluster-admins', 'system:authenticated'],
  };
  const someone: UserInfo = { name: 'someone', groups: ['system:authenticated'] };

  it('anonymous sees health and version, and cluster-info to join, no more', async () => {
    const { allows } = await cluster();
    assert.equal(allows(pathRequest(anonymous, 'get', '/healthz')), true);
    assert.equal(allows(pathRequest(anonymous, 'get', '/version')), true);
    assert.equal(
      allows(
        resourceRequest(anonymous, 'get', 'configmaps', { namespace: 'kube-public', name: 'cluster-info' }),
      ),
      true,
    );
    assert.equal(allows(pathRequest(anonymous, 'get', '/api')), false);
    assert.equal(allows(resourceRequest(anonymous, 'list', 'pods')), false);
    assert.equal(
      allows(resourceRequest(anonymous, 'get', 'configmaps', { namespace: 'kube-public', name: 'other' })),
      false,
    );
  });

  it('kubeadm’s administrators may do everything by RBAC', async () => {
    const { authorizer } = await cluster();
    const decision = authorizer.authorize(resourceRequest(admin, 'delete', 'namespaces', { name: 'x' }));
    assert.deepEqual(decision, {
      verdict: 'allow',
      reason:
        'RBAC: allowed by ClusterRoleBinding "kubeadm:cluster-admins" of ClusterRole "cluster-admin" to Group "kubeadm:cluster-admins"',
    });
  });

  it('a user with a certificate and no binding discovers and reviews itself only', async () => {
    const { allows } = await cluster();
    assert.equal(allows(pathRequest(someone, 'get', '/apis/apps/v1')), true);
    assert.equal(
      allows(
        resourceRequest(someone, 'create', 'selfsubjectaccessreviews', { group: 'authorization.k8s.io' }),
      ),
      true,
    );
    assert.equal(allows(resourceRequest(someone, 'get', 'pods', { namespace: 'default', name: 'x' })), false);
  });

  it('a RoleBinding to an aggregated ClusterRole holds in its namespace only', async () => {
    const { caches, allows, authorizer } = await cluster();
    caches.put(rbac.rolebindings, {
      metadata: { name: 'edits', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'User', name: 'someone' }],
    });
    const create = (namespace: string) =>
      resourceRequest(someone, 'create', 'deployments', { group: 'apps', namespace });
    assert.equal(allows(create('default')), true);
    assert.equal(allows(create('other')), false);
    assert.equal(
      allows(
        resourceRequest(someone, 'create', 'rolebindings', {
          group: 'rbac.authorization.k8s.io',
          namespace: 'default',
        }),
      ),
      false,
    );
    assert.match(
      authorizer.authorize(create('default')).reason,
      /RoleBinding "edits\/default" of ClusterRole "edit" to User "someone"/,
    );
  });

  it('a new aggregated role counts at once', async () => {
    const { caches, allows } = await cluster();
    caches.put(rbac.rolebindings, {
      metadata: { name: 'views', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', name: 'robot' }],
    });
    const robot = serviceAccountUser('default', 'robot');
    const widgets = resourceRequest(robot, 'list', 'widgets', { group: 'example.com', namespace: 'default' });
    assert.equal(allows(widgets), false);
    caches.put(rbac.clusterroles, {
      metadata: { name: 'widgets', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
      rules: [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['list'] }],
    });
    assert.equal(allows(widgets), true);
    assert.equal(allows({ ...widgets, user: serviceAccountUser('other', 'robot') }), false);
  });

  it('roles that gather each other end', async () => {
    const { caches, allows } = await cluster();
    const gathering = (name: string) => ({
      metadata: { name, labels: { loop: 'yes' } },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { loop: 'yes' } }] },
    });
    caches.put(rbac.clusterroles, gathering('x'));
    caches.put(rbac.clusterroles, gathering('y'));
    caches.put(rbac.clusterroles, {
      metadata: { name: 'z', labels: { loop: 'yes' } },
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
    });
    for (const name of ['x', 'y'])
      caches.put(rbac.clusterrolebindings, {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ kind: 'User', name }],
      });
    for (const name of ['x', 'y'])
      assert.equal(
        allows(resourceRequest({ name, groups: [] }, 'get', 'pods', { namespace: 'n', name: 'p' })),
        true,
      );
  });

  it('resource names, subresources and their wildcard', async () => {
    const { caches, allows } = await cluster();
    caches.put(rbac.roles, {
      metadata: { name: 'r', namespace: 'n' },
      rules: [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['one'], verbs: ['get', 'create'] },
        { apiGroups: ['*'], resources: ['*/scale'], verbs: ['update'] },
      ],
    });
    caches.put(rbac.rolebindings, {
      metadata: { name: 'r', namespace: 'n' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
      subjects: [{ kind: 'Group', name: 'g' }],
    });
    const user: UserInfo = { name: 'u', groups: ['g'] };
    const at = (verb: string, what: string, more: Partial<Attributes>) =>
      allows(resourceRequest(user, verb, what, { namespace: 'n', ...more }));
    assert.equal(at('get', 'configmaps', { name: 'one' }), true);
    assert.equal(at('get', 'configmaps', { name: 'two' }), false);
    assert.equal(at('create', 'configmaps', { name: '' }), false);
    assert.equal(at('update', 'deployments', { group: 'apps', name: 'd', subresource: 'scale' }), true);
    assert.equal(at('update', 'deployments', { group: 'apps', name: 'd' }), false);
  });
});
