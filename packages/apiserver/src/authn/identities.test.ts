import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import { MemoryCaches } from '../testing/memory-caches.ts';
import { BootstrapTokenAuthenticator } from './bootstrap-tokens.ts';
import type { RequestInfo } from '../request/info.ts';
import { impersonate } from './impersonation.ts';
import { certificateSubject } from './subject.ts';
import { x509Authenticator } from './x509.ts';

function certificate(subject: string, ...more: string[]): Buffer {
  const pem = execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-utf8',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      '/dev/null',
      '-days',
      '1',
      '-subj',
      subject,
      ...more,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  return new X509Certificate(pem).raw;
}
const refused =
  (code: number, pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof StatusError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };

describe('a client certificate', () => {
  const authenticate = (der: Buffer, peerVerified = true, nowMs = Date.now()) =>
    x509Authenticator(() => nowMs).authenticate({ peerCertificate: der, peerVerified, headers: {} });

  it('names a user and its groups', async () => {
    const found = await authenticate(certificate('/O=system:nodes/O=two/CN=system:node:a'));
    assert.equal(found?.user.name, 'system:node:a');
    assert.deepEqual(found?.user.groups, ['system:nodes', 'two', 'system:authenticated']);
    assert.match(
      found?.user.extra?.['authentication.kubernetes.io/credential-id']?.[0] ?? '',
      /^X509SHA256=[0-9a-f]{64}$/,
    );
  });

  it('that no known CA signed, that is expired, or that is for servers, is refused', () => {
    const der = certificate('/CN=x');
    assert.throws(() => authenticate(der, false), refused(401));
    const server = certificate('/CN=x', '-addext', 'extendedKeyUsage=serverAuth');
    assert.throws(() => authenticate(server), refused(401, /not for client authentication/));
    const authenticator = x509Authenticator(() => clock.nowMs);
    const clock = { nowMs: Date.now() };
    const ask = () => authenticator.authenticate({ peerCertificate: der, peerVerified: true, headers: {} });
    ask();
    clock.nowMs += 48 * 3600 * 1000;
    assert.throws(ask, refused(401, /expired/));
  });

  it('cannot smuggle a group in its name', () => {
    for (const trick of [
      'x\\nO=system:masters',
      'x, O=system:masters',
      'x+O=system:masters',
      'x\\/O=system:masters',
      '"O=system:masters"',
    ]) {
      const { organizations } = certificateSubject(
        certificate(`/CN=${trick.replaceAll('+', '\\+').replaceAll('\\n', '\n')}`),
      );
      assert.deepEqual(organizations, [], trick);
    }
  });

  it('may have several attributes in one part of the name', () => {
    const der = certificate('/CN=jo+O=devs', '-multivalue-rdn');
    assert.deepEqual(certificateSubject(der), { commonName: 'jo', organizations: ['devs'] });
  });

  it('of UTF-8 names reads as written', () => {
    assert.equal(certificateSubject(certificate('/CN=zoë')).commonName, 'zoë');
  });
});

describe('a bootstrap token', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const data = {
    'token-id': 'abcdef',
    'token-secret': '0123456789abcdef',
    'usage-bootstrap-authentication': 'true',
    expiration: '2026-01-01T01:00:00Z',
    'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token',
  };
  async function review(
    change: Partial<typeof data> = {},
    token = 'abcdef.0123456789abcdef',
    type = 'bootstrap.kubernetes.io/token',
  ) {
    const caches = new MemoryCaches();
    const all = Object.entries({ ...data, ...change }).map(([key, value]) => [key, base64(value)]);
    caches.put(core.secrets, {
      metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
      type,
      data: Object.fromEntries(all),
    });
    return new BootstrapTokenAuthenticator({ caches, nowMs: () => nowMs }).review(token);
  }

  it('is a bootstrapper', async () => {
    const found = await review();
    assert.equal(found?.user.name, 'system:bootstrap:abcdef');
    assert.deepEqual(found?.user.groups, [
      'system:bootstrappers',
      'system:bootstrappers:kubeadm:default-node-token',
    ]);
  });

  it('is nothing when wrong, expired, not meant for it, or asking for a foreign group', async () => {
    assert.equal(await review({}, 'abcdef.0123456789abcdeX'), undefined);
    assert.equal(await review({}, 'abcdef.0123456789abcdee'), undefined);
    assert.equal(await review({}, 'zzzzzz.0123456789abcdef'), undefined);
    assert.equal(await review({ expiration: '2026-01-01T00:00:00Z' }), undefined);
    assert.equal(await review({ expiration: 'never' }), undefined);
    assert.equal(await review({ 'usage-bootstrap-authentication': 'false' }), undefined);
    assert.equal(await review({ 'token-id': 'ghijkl' }), undefined);
    assert.equal(await review({ 'auth-extra-groups': 'system:masters' }), undefined);
    assert.equal(await review({}, 'abcdef.0123456789abcdef', 'Opaque'), undefined);
  });
});

describe('impersonation', () => {
  const real: UserInfo = { name: 'root', groups: ['ops'] };
  const request: RequestInfo = {
    isResource: true,
    verb: 'list',
    path: '/api/v1/namespaces/n/pods',
    apiPrefix: 'api',
    group: '',
    version: 'v1',
    namespace: 'n',
    resource: 'pods',
    subresource: '',
    name: '',
  };
  /** Allows `VERB GROUP/RESOURCE/SUBRESOURCE/NAMESPACE/NAME`, empty parts left out; the plain verb when there is none. */
  const allowing = (...allowed: string[]): Authorizer => ({
    authorize({ verb, group, resource, subresource, namespace, name }) {
      const what = [group, resource, subresource, namespace, name].filter((part) => part !== '').join('/');
      const fits = (verb === 'impersonate' && allowed.includes(what)) || allowed.includes(`${verb} ${what}`);
      return { verdict: fits ? 'allow' : 'no-opinion', reason: '' };
    },
  });
  const as = (headers: Record<string, string>, authorizer: Authorizer, user = real) =>
    impersonate(user, headers, authorizer, request);

  it('of nobody changes nothing', () => {
    assert.equal(as({}, allowing()), undefined);
  });

  it('of a user, its groups, uid and extra, each allowed by itself', () => {
    const headers = {
      'impersonate-user': 'jo',
      'impersonate-group': 'a, b',
      'impersonate-uid': '7',
      'impersonate-extra-example.com%2fscopes': 'view',
    };
    const user = {
      name: 'jo',
      groups: ['a', 'b', 'system:authenticated'],
      uid: '7',
      extra: { 'example.com/scopes': ['view'] },
    };
    const auth = 'authentication.k8s.io';
    const rest = [`${auth}/uids/7`, `${auth}/userextras/example.com/scopes/view`];
    const plain = ['users/jo', 'groups/a', 'groups/b', ...rest];
    const verb = 'impersonate:user-info';
    const constrained = [
      'impersonate-on:user-info:list pods/n',
      ...[`${auth}/users/jo`, `${auth}/groups/a`, `${auth}/groups/b`, ...rest].map(
        (what) => `${verb} ${what}`,
      ),
    ];
    assert.deepEqual(as(headers, allowing(...plain)), { user, constraint: '' });
    assert.deepEqual(as(headers, allowing(...constrained)), { user, constraint: verb });
    for (const needed of [plain, constrained])
      for (const missing of needed)
        assert.throws(
          () => as(headers, allowing(...needed.filter((one) => one !== missing))),
          refused(403),
          missing,
        );
  });

  it('of a service account takes on its groups, and is refused in the words of the first way', () => {
    const headers = { 'impersonate-user': 'system:serviceaccount:n:a' };
    const groups = ['system:serviceaccounts', 'system:serviceaccounts:n', 'system:authenticated'];
    assert.deepEqual(as(headers, allowing('serviceaccounts/n/a'))?.user.groups, groups);
    const verb = 'impersonate:serviceaccount';
    const allowed = allowing(
      'impersonate-on:serviceaccount:list pods/n',
      `${verb} authentication.k8s.io/serviceaccounts/n/a`,
    );
    const found = as(headers, allowed);
    assert.deepEqual([found?.user.groups, found?.constraint], [groups, verb]);
    assert.throws(
      () => as(headers, allowing()),
      refused(
        403,
        /pods is forbidden: User "root" cannot impersonate-on:serviceaccount:list resource "pods" in API group "" in the namespace "n"/,
      ),
    );
  });

  it('of the node an account runs on, or of any', () => {
    const headers = { 'impersonate-user': 'system:node:one' };
    const account = (node: string): UserInfo => ({
      name: 'system:serviceaccount:n:agent',
      groups: [],
      extra: { 'authentication.kubernetes.io/node-name': [node] },
    });
    const own = allowing(
      'impersonate-on:associated-node:list pods/n',
      'impersonate:associated-node authentication.k8s.io/nodes/*',
    );
    const found = as(headers, own, account('one'));
    assert.deepEqual(found?.user.groups, ['system:nodes', 'system:authenticated']);
    assert.throws(() => as(headers, own, account('two')), refused(403));
    const any = allowing(
      'impersonate-on:arbitrary-node:list pods/n',
      'impersonate:arbitrary-node authentication.k8s.io/nodes/one',
    );
    assert.equal(as(headers, any)?.constraint, 'impersonate:arbitrary-node');
  });

  it('with constraints never makes a master', () => {
    const headers = { 'impersonate-user': 'jo', 'impersonate-group': 'system:masters' };
    const all: Authorizer = {
      authorize: ({ verb }) => ({ verdict: verb === 'impersonate' ? 'no-opinion' : 'allow', reason: '' }),
    };
    assert.throws(
      () => as(headers, all),
      refused(403, /impersonating the system:masters group is not allowed/),
    );
    assert.equal(as(headers, allowing('users/jo', 'groups/system:masters'))?.constraint, '');
  });

  it('of anonymous is unauthenticated', () => {
    const found = as({ 'impersonate-user': 'system:anonymous' }, allowing('users/system:anonymous'));
    assert.deepEqual(found?.user.groups, ['system:unauthenticated']);
  });

  it('of groups alone is a mistake; a broken key is taken as it is', () => {
    assert.throws(
      () => as({ 'impersonate-group': 'system:masters' }, allowing()),
      refused(
        400,
        /requested &user.DefaultInfo\{Name:"", UID:"", Groups:\[\]string\{"system:masters"\}, Extra:map\[string\]\[\]string\(nil\)\} without impersonating a user name/,
      ),
    );
    const headers = { 'impersonate-user': 'jo', 'impersonate-extra-%zz': 'v' };
    const found = as(headers, allowing('users/jo', 'authentication.k8s.io/userextras/%zz/v'));
    assert.deepEqual(found?.user.extra, { '%zz': ['v'] });
  });
});
