import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { certificates, coordination, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { TokenRequest } from '@cloudless/kube/types/authentication-v1';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { nodeUser } from '@cloudless/kube/user';
import { requestedSubject } from '../../authn/subject.ts';
import { type DefaultTestServer, startDefaultTestServer } from '../../testing/default-server.ts';
import { forbiddenLabelChanges } from './labels.ts';

const forbiddenWith = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error));
  assert.equal(error.code, 403, error.message);
  assert.match(error.message, pattern);
  return true;
};

const pod = (name: string, nodeName: string, more: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName, containers: [{ name: 'c', image: 'i' }], ...more },
});

const tokenRequest = (bound: object | undefined, audiences: string[] = []): TokenRequest => ({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'TokenRequest',
  metadata: {},
  spec: { audiences, ...(bound ? { boundObjectRef: bound } : {}) },
});

const signingRequest = (name: string, subject: string, signerName: string): CertificateSigningRequest => {
  const pem = execFileSync(
    'openssl',
    [
      'req',
      '-new',
      '-utf8',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      '/dev/null',
      '-subj',
      subject,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request: pem.toString('base64'), signerName, usages: ['digital signature', 'client auth'] },
  };
};

describe('what a node may write', () => {
  let cluster: DefaultTestServer;
  let a: KubeClient;
  let own: Pod;
  let others: Pod;
  let node: Node;

  before(async () => {
    cluster = await startDefaultTestServer();
    const { admin } = cluster;
    a = cluster.as(nodeUser('a'));
    await admin.create(core.serviceaccounts, { metadata: { name: 'default', namespace: 'default' } });
    node = await a.create<Node>(core.nodes, {
      metadata: { name: 'a', labels: { 'kubernetes.io/hostname': 'a' } },
    });
    await admin.create(core.nodes, { metadata: { name: 'b' } });
    own = await admin.create(core.pods, pod('own', 'a'));
    others = await admin.create(core.pods, pod('others', 'b'));
  });
  after(() => cluster[Symbol.asyncDispose]());

  const mirror = (change: (pod: Pod) => void = () => {}): Pod => {
    const made = pod('mirror', 'a');
    made.metadata.annotations = { 'kubernetes.io/config.mirror': 'hash' };
    made.metadata.ownerReferences = [
      { apiVersion: 'v1', kind: 'Node', name: 'a', uid: node.metadata.uid as string, controller: true },
    ];
    change(made);
    return made;
  };
  const relabel = (labels: Record<string, string | null>) =>
    a.patch(core.nodes, 'a', 'merge', { metadata: { labels } });
  const ask = (account: string, body: TokenRequest) =>
    a.createSubresource<TokenRequest, TokenRequest>(core.serviceaccounts, account, 'token', body, {
      namespace: 'default',
    });
  const boundTo = ({ metadata }: Pod) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    name: metadata.name,
    uid: metadata.uid,
  });

  it('its own Node, its status and harmless labels', async () => {
    await relabel({
      'topology.kubernetes.io/zone': 'z',
      'example.com/rack': '7',
      'node.kubernetes.io/instance-type': 'x',
    });
    const status = { status: { conditions: [{ type: 'Ready', status: 'True' }] } };
    await a.patch(core.nodes, 'a', 'strategic', status, { subresource: 'status' });
  });

  it('no other Node', async () => {
    await assert.rejects(
      a.create(core.nodes, { metadata: { name: 'c' } }),
      forbiddenWith(/not allowed to modify node "c"/),
    );
    await assert.rejects(
      a.patch(core.nodes, 'b', 'merge', { metadata: { labels: { x: 'y' } } }),
      forbiddenWith(/node "a" is not allowed to modify node "b"/),
    );
    await assert.rejects(
      a.patch(
        core.nodes,
        'b',
        'merge',
        { status: {}, metadata: { annotations: { x: 'y' } } },
        { subresource: 'status' },
      ),
      forbiddenWith(/not allowed to modify node "b"/),
    );
  });

  it('no label that would draw others’ pods, not by status either, and none taken away', async () => {
    for (const label of [
      'node-role.kubernetes.io/control-plane',
      'node-restriction.kubernetes.io/team',
      'x.node-restriction.kubernetes.io/y',
      'kubernetes.io/secure',
      'a.k8s.io/b',
    ])
      await assert.rejects(relabel({ [label]: '' }), forbiddenWith(/is not allowed to modify labels/), label);
    await cluster.admin.patch(core.nodes, 'a', 'merge', {
      metadata: { labels: { 'node-restriction.kubernetes.io/team': 't' } },
    });
    await assert.rejects(
      relabel({ 'node-restriction.kubernetes.io/team': null }),
      forbiddenWith(/node-restriction/),
    );
  });

  it('not its taints', async () => {
    await assert.rejects(
      a.patch(core.nodes, 'a', 'merge', { spec: { taints: null } }),
      forbiddenWith(/is not allowed to modify taints/),
    );
  });

  it('mirror pods of its own, that name nothing', async () => {
    const made = await a.create(core.pods, mirror());
    await a.delete(core.pods, made.metadata.name as string, { namespace: 'default', gracePeriodSeconds: 0 });
    const owned = (by: object): Pod =>
      mirror(({ metadata }) => void Object.assign(metadata.ownerReferences?.[0] ?? {}, by));
    const having = (spec: object): Pod => mirror((attempt) => void Object.assign(attempt.spec ?? {}, spec));
    const volume = (source: object): Pod => having({ volumes: [{ name: 'v', ...source }] });
    const attempts: Array<[RegExp, Pod]> = [
      [/can only create mirror pods/, pod('x', 'a')],
      [/spec.nodeName set to itself/, having({ nodeName: 'b' })],
      [/owner reference set to itself/, mirror(({ metadata }) => void (metadata.ownerReferences = []))],
      [/owner reference set to itself/, owned({ name: 'b' })],
      [/controller owner reference/, owned({ controller: false })],
      [/blockOwnerDeletion/, owned({ blockOwnerDeletion: true })],
      [/UID mismatch/, owned({ uid: 'other' })],
      [/may not reference service accounts/, having({ serviceAccountName: 'default' })],
      [/may not reference secrets/, volume({ secret: { secretName: 's' } })],
      [/reference configmaps/, volume({ configMap: { name: 's' } })],
      [
        /may not use ServiceAccountToken/,
        volume({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
      ],
      [/persistentvolumeclaims/, volume({ persistentVolumeClaim: { claimName: 'c' } })],
    ];
    for (const [pattern, attempt] of attempts)
      await assert.rejects(a.create(core.pods, attempt), forbiddenWith(pattern));
  });

  it('status of its own pods, without labels; never another node’s pods', async () => {
    const running = { status: { phase: 'Running' } };
    await a.patch(core.pods, 'own', 'strategic', running, { namespace: 'default', subresource: 'status' });
    const at = { namespace: 'default', subresource: 'status' };
    await assert.rejects(
      a.patch(core.pods, 'others', 'strategic', running, at),
      forbiddenWith(/can only update pod status/),
    );
    await assert.rejects(
      a.delete(core.pods, 'others', { namespace: 'default' }),
      forbiddenWith(/can only delete pods/),
    );
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'others', namespace: 'default' },
    };
    await assert.rejects(
      a.createSubresource(core.pods, 'others', 'eviction', eviction, { namespace: 'default' }),
      forbiddenWith(/can only evict pods/),
    );
  });

  it('tokens bound to its own pods, for audiences that those want', async () => {
    const { status } = await ask('default', tokenRequest(boundTo(own)));
    assert.ok(status?.token);
    await assert.rejects(ask('default', tokenRequest(undefined)), forbiddenWith(/not bound to a pod/));
    await assert.rejects(
      ask('default', tokenRequest(boundTo(others))),
      forbiddenWith(/scheduled on a different node/),
    );
    const noUid = { apiVersion: 'v1', kind: 'Pod', name: 'own' };
    await assert.rejects(ask('default', tokenRequest(noUid)), forbiddenWith(/without a uid/));
    await assert.rejects(
      ask('default', tokenRequest({ ...boundTo(own), uid: 'other' })),
      forbiddenWith(/does not match the UID/),
    );
    await assert.rejects(
      ask('default', tokenRequest(boundTo(own), ['vault'])),
      forbiddenWith(/audience "vault" not found in pod spec volume/),
    );
    await assert.rejects(
      ask('default', tokenRequest(boundTo(own), ['', 'vault'])),
      forbiddenWith(/0 or 1 audiences/),
    );
    const node = { apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'x' };
    await assert.rejects(ask('default', tokenRequest(node)), forbiddenWith(/not bound to a pod/));
  });

  it('its own lease', async () => {
    const lease = (name: string, namespace = 'kube-node-lease') => ({ metadata: { name, namespace } });
    await a.create(coordination.leases, lease('a'));
    await assert.rejects(
      a.create(coordination.leases, lease('b')),
      forbiddenWith(/same name as the requesting node/),
    );
    await assert.rejects(
      a.create(coordination.leases, lease('a', 'kube-system')),
      forbiddenWith(/"kube-node-lease" system namespace/),
    );
  });

  it('requests for certificates of itself', async () => {
    const signer = 'kubernetes.io/kube-apiserver-client-kubelet';
    await a.create(
      certificates.certificatesigningrequests,
      signingRequest('mine', '/O=system:nodes/CN=system:node:a', signer),
    );
    await assert.rejects(
      a.create(
        certificates.certificatesigningrequests,
        signingRequest('other', '/O=system:nodes/CN=system:node:b', signer),
      ),
      forbiddenWith(/can only create a node CSR with CN=system:node:a/),
    );
    await assert.rejects(
      a.create(
        certificates.certificatesigningrequests,
        signingRequest('masters', '/O=system:masters/CN=x', 'kubernetes.io/kube-apiserver-client'),
      ),
      forbiddenWith(/system:masters group is not allowed/),
    );
  });
});

describe('its parts', () => {
  it('labels: known ones and foreign ones pass', () => {
    const now = {
      'kubernetes.io/arch': 'amd64',
      'feature.node.kubernetes.io/cpu': '1',
      'example.com/x': 'y',
      plain: '1',
    };
    assert.deepEqual(forbiddenLabelChanges(now, undefined), []);
    assert.deepEqual(forbiddenLabelChanges({ 'xkubernetes.io/a': '' }, undefined), []);
    assert.deepEqual(forbiddenLabelChanges(undefined, { 'k8s.io/a': '' }), ['k8s.io/a']);
    assert.deepEqual(forbiddenLabelChanges({ 'k8s.io/a': '1' }, { 'k8s.io/a': '1' }), []);
  });

  it('a request’s subject is read; damaged ones are refused with a sentence', () => {
    const { spec } = signingRequest('x', '/O=one/O=two/CN=nä me', 's');
    assert.deepEqual(requestedSubject(spec.request), { commonName: 'nä me', organizations: ['one', 'two'] });
    const der = Buffer.from(spec.request, 'base64').toString();
    for (let cut = 60; cut < der.length - 40; cut += 17) {
      const broken = `${der.slice(0, cut)}\n-----END CERTIFICATE REQUEST-----`;
      try {
        requestedSubject(Buffer.from(broken).toString('base64'));
      } catch (error) {
        assert.ok(error instanceof Error && error.message !== '', 'a sentence');
        assert.ok(!(error instanceof RangeError), error.message);
      }
    }
    assert.throws(() => requestedSubject('bm8='), /PEM block type must be CERTIFICATE REQUEST/);
  });
});
