import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject } from '@cloudless/kube/object';
import { authentication, authorization, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { TokenRequest, TokenRequestSpec, TokenReview } from '@cloudless/kube/types/authentication-v1';
import type { SubjectAccessReview, SubjectAccessReviewSpec } from '@cloudless/kube/types/authorization-v1';
import { nodeUser, serviceAccountUser } from '@cloudless/kube/user';
import { type DefaultTestServer, startDefaultTestServer, testIssuer } from '../testing/default-server.ts';

const refused = (code: number, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, pattern);
  return true;
};

let cluster: DefaultTestServer;
let admin: KubeClient;
before(async () => {
  cluster = await startDefaultTestServer();
  ({ admin } = cluster);
  await admin.create(core.serviceaccounts, { metadata: { name: 'default', namespace: 'default' } });
  await admin.create(core.serviceaccounts, { metadata: { name: 'other', namespace: 'default' } });
});
after(() => cluster[Symbol.asyncDispose]());

const request = (spec: TokenRequestSpec, metadata: KubeObject['metadata'] = {}): Promise<TokenRequest> =>
  admin.createSubresource<TokenRequest, TokenRequest>(
    core.serviceaccounts,
    'default',
    'token',
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata, spec },
    { namespace: 'default' },
  );
const review = (token: string, audiences: string[] = []): Promise<TokenReview> =>
  admin.create<TokenReview>(authentication.tokenreviews, { metadata: {}, spec: { token, audiences } });
const claimsOf = (token: string | undefined) =>
  JSON.parse(Buffer.from((token ?? '').split('.')[1] ?? '', 'base64url').toString()) as Record<string, never>;

describe('TokenRequest', () => {
  it('gives an hour for the API by default', async () => {
    const { spec, status } = await request({});
    assert.deepEqual(spec?.audiences, [testIssuer]);
    assert.equal(spec?.expirationSeconds, 3600);
    const claims = claimsOf(status?.token);
    assert.equal(Number(claims['exp']) - Number(claims['iat']), 3600);
    assert.equal(claims['sub'], 'system:serviceaccount:default:default');
  });

  it('refuses what is too short, too long, or not about this account', async () => {
    await assert.rejects(
      request({ expirationSeconds: 599 }),
      refused(
        422,
        /spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes/,
      ),
    );
    await assert.rejects(
      request({ expirationSeconds: 2 ** 32 + 1 }),
      refused(422, /may not specify a duration larger than 2\^32 seconds/),
    );
    await assert.rejects(
      request({}, { name: 'other' }),
      refused(422, /must match the service account name if specified/),
    );
    await assert.rejects(
      request({}, { uid: 'x' }),
      refused(409, /the UID in the token request \(x\) does not match/),
    );
  });

  it('binds to a pod of the account, and says where it runs', async () => {
    const node = await admin.create(core.nodes, { metadata: { name: 'a' } });
    const containers = [{ name: 'c', image: 'i' }];
    const pod = await admin.create(core.pods, {
      metadata: { name: 'p', namespace: 'default' },
      spec: { containers, nodeName: 'a' },
    });
    await admin.create(core.pods, {
      metadata: { name: 'q', namespace: 'default' },
      spec: { containers, serviceAccountName: 'other' },
    });
    const bound = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid as string };
    const { status, spec } = await request({ boundObjectRef: bound, expirationSeconds: 3607 });
    const claims = claimsOf(status?.token);
    const kubernetes = claims['kubernetes.io'] as unknown as Record<string, unknown>;
    assert.deepEqual(kubernetes['pod'], { name: 'p', uid: pod.metadata.uid });
    assert.deepEqual(kubernetes['node'], { name: 'a', uid: node.metadata.uid });
    // What admission asks for lives on for clients that never read it again; the answer tells them to.
    assert.equal(Number(claims['exp']) - Number(claims['iat']), 365 * 24 * 3600);
    assert.equal(Number(kubernetes['warnafter']) - Number(claims['iat']), 3607);
    assert.equal(spec?.expirationSeconds, 3607);

    await assert.rejects(
      request({ boundObjectRef: { ...bound, uid: 'x' } }),
      refused(409, /does not match the UID in record/),
    );
    await assert.rejects(
      request({ boundObjectRef: { ...bound, name: 'q', uid: '' } }),
      refused(400, /pod running with different serviceaccount name/),
    );
    await assert.rejects(
      request({ boundObjectRef: { ...bound, name: 'none' } }),
      refused(404, /pods "none" not found/),
    );
    await assert.rejects(
      request({ boundObjectRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' } }),
      refused(400, /cannot bind token to object of type apps\/v1, Kind=Deployment/),
    );

    const good = await review(status?.token ?? '');
    assert.deepEqual(good.status?.user?.extra?.['authentication.kubernetes.io/node-name'], ['a']);
    await admin.delete(core.pods, 'p', { namespace: 'default', gracePeriodSeconds: 0 });
    const gone = await review(status?.token ?? '');
    assert.equal(gone.status?.authenticated ?? false, false);
    assert.match(gone.status?.error ?? '', /pod default\/p of the token no longer exists/);
  });
});

describe('TokenReview', () => {
  it('knows its tokens by audience, and nothing else', async () => {
    const { status } = await request({ audiences: ['vault'] });
    const token = status?.token ?? '';
    assert.deepEqual((await review(token, ['vault', 'x'])).status?.audiences, ['vault']);
    assert.match((await review(token)).status?.error ?? '', /audiences/);
    assert.equal((await review('nonsense')).status?.authenticated ?? false, false);
    await assert.rejects(review(''), refused(400, /token is required/));
  });

  it('a token opens the API over TLS as its account, a stale one does not', async () => {
    const { httpsClient } = await import('@cloudless/kube/client/https');
    const { status } = await request({});
    const client = (token: string) => httpsClient({ server: cluster.url, ca: cluster.pki.ca, token });
    const mine = client(status?.token ?? '');
    const stale = client(`${status?.token ?? ''}x`);
    try {
      const who = await mine.create(authentication.selfsubjectreviews, { metadata: {} });
      assert.equal(who.status?.userInfo?.username, 'system:serviceaccount:default:default');
      await assert.rejects(
        mine.list(core.secrets, { namespace: 'default' }),
        refused(403, /cannot list resource "secrets"/),
      );
      await assert.rejects(stale.raw('GET', '/version'), refused(401, /Unauthorized/));
    } finally {
      await mine.close();
      await stale.close();
    }
  });
});

describe('access reviews', () => {
  const ask = (spec: SubjectAccessReviewSpec): Promise<SubjectAccessReview> =>
    admin.create<SubjectAccessReview>(authorization.subjectaccessreviews, { metadata: {}, spec });

  it('say what the authorizer would', async () => {
    const get = { verb: 'get', resource: 'secrets', namespace: 'kube-system', name: 'x' };
    assert.equal((await ask({ user: 'jo', resourceAttributes: get })).status?.allowed, false);
    assert.equal((await ask({ groups: ['system:masters'], resourceAttributes: get })).status?.allowed, true);
    assert.equal(
      (
        await ask({
          user: 'jo',
          groups: ['system:unauthenticated'],
          nonResourceAttributes: { verb: 'get', path: '/healthz' },
        })
      ).status?.allowed,
      true,
    );
  });

  it('look at field selectors, raw or in parts', async () => {
    const node = nodeUser('a');
    const user = { user: node.name, groups: [...node.groups] };
    const list = { verb: 'list', resource: 'pods' };
    const inParts = { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['a'] }] };
    assert.equal(
      (await ask({ ...user, resourceAttributes: { ...list, fieldSelector: inParts } })).status?.allowed,
      true,
    );
    assert.equal(
      (
        await ask({
          ...user,
          resourceAttributes: { ...list, fieldSelector: { rawSelector: 'spec.nodeName=a' } },
        })
      ).status?.allowed,
      true,
    );
    assert.equal(
      (
        await ask({
          ...user,
          resourceAttributes: { ...list, fieldSelector: { rawSelector: 'spec.nodeName=b' } },
        })
      ).status?.allowed,
      false,
    );
    const odd = await ask({
      ...user,
      resourceAttributes: { ...list, fieldSelector: { rawSelector: 'spec.nodeName' } },
    });
    assert.equal(odd.status?.allowed, false);
    assert.ok(odd.status?.evaluationError);
  });

  it('refuse questions that are none', async () => {
    const get = { verb: 'get', resource: 'pods' };
    await assert.rejects(
      ask({ resourceAttributes: get }),
      refused(422, /at least one of user or group must be specified/),
    );
    await assert.rejects(
      ask({ user: 'jo' }),
      refused(422, /exactly one of nonResourceAttributes or resourceAttributes must be specified/),
    );
    await assert.rejects(
      ask({ user: 'jo', resourceAttributes: get, nonResourceAttributes: { path: '/' } }),
      refused(422, /cannot be specified in combination with resourceAttributes/),
    );
    await assert.rejects(
      admin.create(authorization.localsubjectaccessreviews, {
        metadata: { namespace: 'default' },
        spec: { user: 'jo', resourceAttributes: { ...get, namespace: 'other' } },
      }),
      refused(422, /must match metadata.namespace/),
    );
  });

  it('of oneself need no right but to be known', async () => {
    const jo = cluster.as({ name: 'jo', groups: ['system:authenticated'] });
    const { status } = await jo.create(authorization.selfsubjectaccessreviews, {
      metadata: {},
      spec: { resourceAttributes: { verb: 'delete', resource: 'nodes' } },
    });
    assert.equal(status?.allowed, false);
    const nobody = cluster.as({ name: 'system:anonymous', groups: ['system:unauthenticated'] });
    await assert.rejects(
      nobody.create(authentication.selfsubjectreviews, { metadata: {} }),
      refused(403, /cannot create/),
    );
  });

  it('list one’s rules, and say when they cannot be listed', async () => {
    const rules = (client: KubeClient) =>
      client.create(authorization.selfsubjectrulesreviews, { metadata: {}, spec: { namespace: 'default' } });
    const account = await rules(cluster.as(serviceAccountUser('kube-system', 'cloudless-dns')));
    assert.ok(account.status?.resourceRules.some(({ resources }) => resources?.includes('endpointslices')));
    assert.equal(account.status?.incomplete, false);
    assert.equal((await rules(cluster.as(nodeUser('a')))).status?.incomplete, true);
  });
});

describe('a PUT that would create', () => {
  it('needs the right to create', async () => {
    const { coordination, rbac } = await import('@cloudless/kube/resources');
    await admin.create(rbac.clusterroles, {
      metadata: { name: 'updaters' },
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'update'] }],
    });
    await admin.create(rbac.clusterrolebindings, {
      metadata: { name: 'updaters' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'updaters' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jo' }],
    });
    const jo = cluster.as({ name: 'jo', groups: ['system:authenticated'] });
    const lease = { metadata: { name: 'l', namespace: 'default' }, spec: {} };
    await assert.rejects(
      jo.update(coordination.leases, lease),
      refused(403, /User "jo" cannot create resource "leases"/),
    );
  });
});
