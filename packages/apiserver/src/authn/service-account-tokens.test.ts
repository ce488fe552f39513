import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { MemoryCaches } from '../testing/memory-caches.ts';
import { unknownTokenRefusal } from './bearer.ts';
import { signJwt } from './jwt.ts';
import { oidcPaths } from './oidc.ts';
import { ServiceAccountAuthenticator, issueServiceAccountToken } from './service-account-tokens.ts';
import { signingKey } from './signing-keys.ts';

const issuer = 'https://kubernetes.default.svc.cluster.local';
const pem = (type: 'ec' | 'rsa'): string => {
  const { privateKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
};
const keys = { ec: signingKey(pem('ec')), rsa: signingKey(pem('rsa')), foreign: signingKey(pem('ec')) };
const startMs = Date.parse('2026-01-01T00:00:00Z');

function setup(key = keys.ec) {
  const caches = new MemoryCaches();
  const account = caches.put(core.serviceaccounts, {
    metadata: { name: 'web', namespace: 'default', uid: 'sa-1' },
  });
  caches.put(core.pods, {
    metadata: { name: 'pod', namespace: 'default', uid: 'pod-1' },
    spec: { containers: [], nodeName: 'a', serviceAccountName: 'web' },
  });
  caches.put(core.secrets, { metadata: { name: 'secret', namespace: 'default', uid: 'secret-1' } });
  caches.put(core.nodes, { metadata: { name: 'a', uid: 'node-1' } });
  const clock = { nowMs: startMs };
  const authenticator = new ServiceAccountAuthenticator({
    issuer,
    keys: [key],
    apiAudiences: [issuer],
    caches,
    nowMs: () => clock.nowMs,
  });
  const issue = (more: object = {}, by = key) =>
    issueServiceAccountToken(
      { issuer, key: by, defaultAudiences: [issuer] },
      { account, audiences: [issuer], expirationSeconds: 600, nowMs: startMs, ...more },
    ).token;
  const present = (token: string) =>
    authenticator.authenticate({ headers: { authorization: `Bearer ${token}` } });
  return { caches, clock, authenticator, issue, present };
}

const refusedWith = (pattern: RegExp) => (error: unknown) =>
  error instanceof StatusError && error.code === 401 && pattern.test(error.message);

/** A token with its header or claims changed, signed by `sign`. */
function forged(
  token: string,
  header: object,
  change: (claims: Record<string, unknown>) => void,
  sign: (text: string) => string,
) {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as Record<
    string,
    unknown
  >;
  change(claims);
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${sign(text)}`;
}

describe('a service account token', () => {
  for (const type of ['ec', 'rsa'] as const)
    it(`signed with ${type} says who, and what it is bound to`, async () => {
      const { issue, present } = setup(keys[type]);
      const bound = { kind: 'Pod' as const, name: 'pod', uid: 'pod-1', node: { name: 'a', uid: 'node-1' } };
      const found = await present(issue({ bound }));
      assert.equal(found?.user.name, 'system:serviceaccount:default:web');
      assert.equal(found?.user.uid, 'sa-1');
      assert.deepEqual(found?.user.groups, [
        'system:serviceaccounts',
        'system:serviceaccounts:default',
        'system:authenticated',
      ]);
      const extra = found?.user.extra ?? {};
      assert.deepEqual(extra['authentication.kubernetes.io/pod-name'], ['pod']);
      assert.deepEqual(extra['authentication.kubernetes.io/pod-uid'], ['pod-1']);
      assert.deepEqual(extra['authentication.kubernetes.io/node-name'], ['a']);
      assert.deepEqual(extra['authentication.kubernetes.io/node-uid'], ['node-1']);
      assert.match(extra['authentication.kubernetes.io/credential-id']?.[0] ?? '', /^JTI=[0-9a-f-]{36}$/);
    });

  it('ends at its time, with a minute for clocks that differ', async () => {
    const { issue, present, clock } = setup();
    const token = issue();
    clock.nowMs = startMs + 659_000;
    assert.ok(await present(token));
    clock.nowMs = startMs + 661_000;
    await assert.rejects(present(token), refusedWith(/has expired/));
  });

  it('ends with its account, pod, secret or node, also when another takes the name', async () => {
    for (const [resource, namespace, name, bound] of [
      [core.serviceaccounts, 'default', 'web', undefined],
      [core.pods, 'default', 'pod', { kind: 'Pod', name: 'pod', uid: 'pod-1' }],
      [core.secrets, 'default', 'secret', { kind: 'Secret', name: 'secret', uid: 'secret-1' }],
      [core.nodes, '', 'a', { kind: 'Node', name: 'a', uid: 'node-1' }],
    ] as const) {
      const { caches, issue, present } = setup();
      const token = issue({ bound });
      assert.ok(await present(token));
      caches.delete(resource, namespace, name);
      await assert.rejects(present(token), refusedWith(/no longer exists/));
      caches.put<KubeObject>(resource, {
        metadata: { name, ...(namespace === '' ? {} : { namespace }), uid: 'another' },
      });
      await assert.rejects(present(token), refusedWith(/another one has its name/));
    }
  });

  it('ends with a pod whose time to end is past, not before', async () => {
    const { caches, issue, present, clock } = setup();
    const token = issue({ bound: { kind: 'Pod', name: 'pod', uid: 'pod-1' } });
    caches.put(core.pods, {
      metadata: {
        name: 'pod',
        namespace: 'default',
        uid: 'pod-1',
        deletionTimestamp: '2026-01-01T00:00:30Z',
      },
      spec: { containers: [] },
    });
    assert.ok(await present(token));
    clock.nowMs = startMs + 91_000;
    await assert.rejects(present(token), refusedWith(/has been deleted/));
  });

  it('for another audience is not for the API, and TokenReview may ask for it', async () => {
    const { issue, present, authenticator } = setup();
    const token = issue({ audiences: ['vault'] });
    await assert.rejects(
      present(token),
      refusedWith(/token audiences \["vault"\] is invalid for the target audiences/),
    );
    assert.deepEqual((await authenticator.review(token, ['vault', 'other']))?.audiences, ['vault']);
  });

  it('cannot be forged', async () => {
    const { issue, present } = setup();
    const token = issue();
    const admin = (claims: Record<string, unknown>): void => {
      claims['sub'] = 'system:serviceaccount:kube-system:admin';
      claims['kubernetes.io'] = { namespace: 'kube-system', serviceaccount: { name: 'admin', uid: 'x' } };
    };
    const publicPem = keys.ec.key.export({ type: 'spki', format: 'pem' });
    const signature = token.split('.')[2] as string;
    const attempts: Record<string, string> = {
      'no algorithm': forged(token, { alg: 'none' }, admin, () => ''),
      'no algorithm, with the old signature': forged(token, { alg: 'none' }, admin, () => signature),
      'other claims under the old signature': forged(token, { alg: 'ES256' }, admin, () => signature),
      'the public key as HMAC secret': forged(token, { alg: 'HS256' }, admin, (text) =>
        createHmac('sha256', publicPem).update(text).digest('base64url'),
      ),
      'a foreign key': issue({}, keys.foreign),
      'a foreign key under our key’s name': signJwt(
        { iss: issuer, sub: 'system:serviceaccount:default:web' },
        { ...keys.foreign, keyId: keys.ec.keyId },
      ),
      'a signature of zeroes': forged(token, { alg: 'ES256', kid: keys.ec.keyId }, admin, () =>
        Buffer.alloc(64).toString('base64url'),
      ),
      'an empty signature': forged(token, { alg: 'ES256', kid: keys.ec.keyId }, admin, () => ''),
    };
    for (const [what, attempt] of Object.entries(attempts))
      await assert.rejects(present(attempt), refusedWith(/signature/), what);
  });

  it('signed by us but not of our form is refused', async () => {
    const { present, caches } = setup();
    caches.put(core.serviceaccounts, { metadata: { name: 'admin', namespace: 'kube-system', uid: 'x' } });
    const base = { iss: issuer, aud: [issuer], exp: startMs / 1000 + 600 };
    const info = { namespace: 'kube-system', serviceaccount: { name: 'admin', uid: 'x' } };
    const malformed = [
      base,
      { ...base, sub: 'system:serviceaccount:default:web', 'kubernetes.io': info },
      { ...base, exp: undefined, sub: 'system:serviceaccount:kube-system:admin', 'kubernetes.io': info },
      { ...base, exp: '9e9', sub: 'system:serviceaccount:kube-system:admin', 'kubernetes.io': info },
      {
        ...base,
        sub: 'system:serviceaccount:kube-system:admin',
        'kubernetes.io': { ...info, pod: { name: 'p' } },
      },
      {
        ...base,
        sub: 'system:serviceaccount:kube-system:admin',
        'kubernetes.io': { ...info, serviceaccount: { name: 'admin' } },
      },
    ];
    for (const claims of malformed)
      await assert.rejects(
        present(signJwt(claims, keys.ec)),
        refusedWith(/malformed/),
        JSON.stringify(claims),
      );
  });

  it('of another issuer is left to others, and refused when nobody knows it', async () => {
    const { present } = setup();
    const other = signJwt({ iss: 'https://elsewhere' }, keys.ec);
    assert.equal(await present(other), undefined);
    assert.equal(await present('not.a.jwt'), undefined);
    assert.throws(
      () => unknownTokenRefusal.authenticate({ headers: { authorization: 'bearer x' } }),
      refusedWith(/^Unauthorized$/),
    );
    assert.equal(unknownTokenRefusal.authenticate({ headers: {} }), undefined);
  });

  it('can be verified by others through discovery', async () => {
    const paths = oidcPaths({ issuer, jwksUri: () => `${issuer}/openid/v1/jwks`, keys: [keys.ec] });
    const bodies = await Promise.all(paths.map(async (path) => path.handle({} as never)));
    const [discovery, jwks] = bodies.map(({ body }) => JSON.parse(String(body)) as Record<string, never>);
    assert.equal(discovery?.['issuer'], issuer);
    const [jwk] = (jwks?.['keys'] ?? []) as unknown as Array<Record<string, string>>;
    assert.equal(jwk?.['kid'], keys.ec.keyId);
    assert.equal(jwk?.['alg'], 'ES256');
    assert.equal(jwk?.['use'], 'sig');
    assert.equal(jwk?.['d'], undefined, 'the private part stays here');
  });
});
