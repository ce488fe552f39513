// Who one claims to be.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { createCredentials } from 'cloudless/testing/credentials';
import type { Attack, AttackTable } from '../attack.ts';
import { certificateBetween, type Claims, claimsFor, teamAccount, tokenOf } from '../forge.ts';
import { type Answer, ask, codesOf, exchange, type Identity, openTls } from '../send.ts';
import { podOn, type Victim } from '../victim.ts';

const secrets = '/api/v1/namespaces/kube-system/secrets';
const hourMs = 3600 * 1000;
const treasure = /treasure/;

const withCertificate = (name: string, make: (victim: Victim) => Promise<Identity>): Attack => ({
  name,
  outcome: '401',
  code: 401,
  hides: treasure,
  send: async (victim) => await ask(victim.url, victim.ca, await make(victim), { path: secrets }),
});

const withToken = (name: string, make: (victim: Victim) => Promise<string> | string): Attack => ({
  name,
  outcome: '401',
  code: 401,
  hides: treasure,
  send: async (victim) => await bearer(victim, await make(victim)),
});

const bearer = (victim: Victim, token: string, path = secrets): Promise<Answer> =>
  victim.ask('anonymous', { path, headers: { authorization: `Bearer ${token}` } });

/** A token of team/default whose claims are changed. */
const claimed =
  (change: (claims: Claims) => Claims, header: object = {}) =>
  async (victim: Victim): Promise<string> =>
    tokenOf(victim, change(claimsFor(await teamAccount(victim))), header);

const withHeaders = (
  name: string,
  who: 'anonymous' | 'mallory',
  headers: Record<string, string | string[]>,
): Attack => ({
  name,
  outcome: '403',
  code: 403,
  hides: treasure,
  send: (victim) => victim.ask(who, { path: secrets, headers }),
});

const certificates: Attack[] = [
  {
    name: 'no certificate and no token',
    outcome: '403 as system:anonymous',
    code: 403,
    says: /system:anonymous/,
    send: (victim) => victim.ask('anonymous', { path: secrets }),
  },
  withCertificate('a certificate of another CA with O=system:masters', async () => {
    const { admin } = await createCredentials(Date.now());
    return admin;
  }),
  withCertificate('a self-signed CA certificate used as client', async () => {
    const { ca } = await createCredentials(Date.now());
    return ca;
  }),
  withCertificate('an expired certificate of system:masters', (victim) =>
    certificateBetween(victim, Date.now() - 2 * hourMs, Date.now() - hourMs),
  ),
  withCertificate('a certificate that is not valid yet', (victim) =>
    certificateBetween(victim, Date.now() + hourMs, Date.now() + 2 * hourMs),
  ),
  withCertificate("the server's own serving certificate used as client", (victim) =>
    Promise.resolve(victim.facts.serverCertificate),
  ),
];

const tokens: Attack[] = [
  withToken('garbage', () => 'garbage'),
  withToken('three parts of garbage', () => 'a.b.c'),
  withToken('JSON that is no object in each part', () =>
    ['null', '[]', '1'].map((text) => Buffer.from(text).toString('base64url')).join('.'),
  ),
  withToken('alg none without a signature', async (victim) => {
    const token = await claimed((claims) => claims, { alg: 'none' })(victim);
    return `${token.slice(0, token.lastIndexOf('.'))}.`;
  }),
  withToken(
    'alg none with a signature',
    claimed((claims) => claims, { alg: 'none' }),
  ),
  withToken('HS256 keyed with the public key', async (victim) => {
    const claims = claimsFor(await teamAccount(victim));
    const { body } = await victim.ask('admin', { path: '/openid/v1/jwks' });
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256' })}.${part(claims)}`;
    return `${signed}.${createHmac('sha256', body).update(signed).digest('base64url')}`;
  }),
  withToken('signed by another key', async (victim) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    return tokenOf(victim, claimsFor(await teamAccount(victim)), {}, pem);
  }),
  withToken('claims changed after signing', async (victim) => {
    const [header, , signature] = (await claimed((claims) => claims)(victim)).split('.');
    const forged = claimsFor({ namespace: 'kube-system', name: 'default', uid: 'x' });
    return `${header}.${Buffer.from(JSON.stringify(forged)).toString('base64url')}.${signature}`;
  }),
  withToken(
    'a foreign issuer',
    claimed((claims) => ({ ...claims, iss: 'https://evil.example.com' })),
  ),
  withToken(
    'expired',
    claimed((claims) => ({ ...claims, exp: Math.floor(Date.now() / 1000) - 3600 })),
  ),
  withToken(
    'issued in the future',
    claimed((claims) => ({ ...claims, iat: Date.now(), nbf: Date.now() })),
  ),
  withToken(
    'for another audience',
    claimed((claims) => ({ ...claims, aud: ['vault'] })),
  ),
  withToken(
    'without an end',
    claimed(({ exp: _, ...claims }) => claims),
  ),
  withToken(
    'the end as text',
    claimed((claims) => ({ ...claims, exp: '99999999999' })),
  ),
  withToken('claims with __proto__', (victim) =>
    tokenOf(
      victim,
      JSON.parse(`{"iss":"https://kubernetes.default.svc.cluster.local","__proto__":{"exp":1e12}}`) as Claims,
    ),
  ),
  withToken('of an account that was deleted and made again', async (victim) => {
    const path = '/api/v1/namespaces/team/serviceaccounts';
    const body = { metadata: { name: 'phoenix' } };
    const { metadata } = JSON.parse((await victim.ask('admin', { path, body })).body) as {
      metadata: { uid: string };
    };
    const token = tokenOf(victim, claimsFor({ namespace: 'team', name: 'phoenix', uid: metadata.uid }));
    assert.equal((await bearer(victim, token, '/version')).code, 200, 'the token was good before');
    await victim.ask('admin', { path: `${path}/phoenix`, method: 'DELETE' });
    await victim.ask('admin', { path, body });
    return token;
  }),
  withToken('of a pod that was deleted', async (victim) => {
    const path = '/api/v1/namespaces/team/pods';
    const made = await victim.ask('admin', { path, body: podOn('node-1', 'short-lived') });
    const { metadata } = JSON.parse(made.body) as { metadata: { uid: string } };
    const account = await teamAccount(victim);
    const claims = claimsFor(account);
    const token = tokenOf(victim, {
      ...claims,
      'kubernetes.io': {
        ...(claims['kubernetes.io'] as object),
        pod: { name: 'short-lived', uid: metadata.uid },
      },
    });
    assert.equal((await bearer(victim, token, '/version')).code, 200, 'the token was good before');
    await victim.ask('admin', { path: `${path}/short-lived?gracePeriodSeconds=0`, method: 'DELETE' });
    return token;
  }),
  withToken('of a node that is not there', async (victim) => {
    const claims = claimsFor(await teamAccount(victim));
    const node = { name: 'gone', uid: 'f8c62f40-0000-0000-0000-000000000000' };
    return tokenOf(victim, { ...claims, 'kubernetes.io': { ...(claims['kubernetes.io'] as object), node } });
  }),
  withToken('of 60 KB', () => 'x'.repeat(60 * 1024)),
  withToken('a bootstrap token that is expired', async (victim) => {
    await victim.ask('admin', { path: secrets, body: bootstrapSecret('aaaaaa', '2020-01-01T00:00:00Z') });
    return 'aaaaaa.0123456789abcdef';
  }),
  withToken('a bootstrap token whose secret is wrong', async (victim) => {
    await victim.ask('admin', { path: secrets, body: bootstrapSecret('bbbbbb', '2099-01-01T00:00:00Z') });
    assert.equal((await bearer(victim, 'bbbbbb.0123456789abcdef', '/version')).code, 200);
    return 'bbbbbb.0123456789abcdeg';
  }),
  withToken('a bootstrap token in capitals', () => 'BBBBBB.0123456789ABCDEF'),
  withToken('a bootstrap token that leads elsewhere', () => 'bbbbb/.0123456789abcdef'),
  withToken('a bootstrap token for system:masters', async (victim) => {
    const groups = 'system:bootstrappers:x,system:masters';
    await victim.ask('admin', {
      path: secrets,
      body: bootstrapSecret('cccccc', '2099-01-01T00:00:00Z', groups),
    });
    return 'cccccc.0123456789abcdef';
  }),
];

const bootstrapSecret = (id: string, expiration: string, groups = ''): object => ({
  metadata: { name: `bootstrap-token-${id}` },
  type: 'bootstrap.kubernetes.io/token',
  stringData: {
    'token-id': id,
    'token-secret': '0123456789abcdef',
    expiration,
    'usage-bootstrap-authentication': 'true',
    ...(groups === '' ? {} : { 'auth-extra-groups': groups }),
  },
});

const headers: Attack[] = [
  withHeaders('front-proxy headers from nobody', 'anonymous', {
    'x-remote-user': 'admin',
    'x-remote-group': 'system:masters',
  }),
  withHeaders('front-proxy headers from a user', 'mallory', {
    'x-remote-user': 'admin',
    'x-remote-group': 'system:masters',
    'x-remote-extra-scopes': 'all',
  }),
  withHeaders('Impersonate-User without the right', 'mallory', { 'impersonate-user': 'admin' }),
  withHeaders('Impersonate-Group system:masters', 'mallory', {
    'impersonate-user': 'mallory',
    'impersonate-group': 'system:masters',
  }),
  withHeaders('Impersonate-Group in one header with a comma', 'mallory', {
    'impersonate-user': 'mallory',
    'impersonate-group': 'x, system:masters',
  }),
  withHeaders('Impersonate-Uid', 'mallory', { 'impersonate-user': 'mallory', 'impersonate-uid': '0' }),
  withHeaders('Impersonate-Extra with an odd key', 'mallory', {
    'impersonate-user': 'mallory',
    'impersonate-extra-__proto__': 'x',
    'impersonate-extra-%2fscopes': 'y',
  }),
  withHeaders('Impersonate-User from nobody', 'anonymous', { 'impersonate-user': 'system:apiserver' }),
  {
    ...withHeaders('Impersonate-Group alone', 'mallory', { 'impersonate-group': 'system:masters' }),
    outcome: '400',
    code: 400,
  },
  {
    name: 'two Authorization headers, the second one good',
    outcome: '401: the first counts',
    async send(victim) {
      const good = await claimed((claims) => claims)(victim);
      const socket = await openTls(victim.url, victim.ca, {});
      const text = await exchange(
        socket,
        `GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bad\r\nAuthorization: Bearer ${good}\r\nConnection: close\r\n\r\n`,
      );
      assert.ok([400, 401].includes(codesOf(text)[0] ?? 0), text);
    },
  },
  {
    name: 'basic authentication',
    outcome: '403 as system:anonymous',
    code: 403,
    send: (victim) =>
      victim.ask('anonymous', { path: secrets, headers: { authorization: 'Basic YWRtaW46YWRtaW4=' } }),
  },
  {
    name: 'headers of 200 KB',
    outcome: '431, or closed while they are still being sent',
    code: [0, 431],
    send: (victim) =>
      victim.ask('mallory', { path: '/version', headers: { 'x-long': 'x'.repeat(200 * 1024) } }),
  },
];

const raw = (
  name: string,
  outcome: string,
  text: string,
  accept: (codes: number[], text: string) => boolean,
): Attack => ({
  name,
  outcome,
  async send(victim) {
    const socket = await openTls(victim.url, victim.ca, victim.identity('mallory'));
    const answer = await exchange(socket, text);
    assert.ok(accept(codesOf(answer), answer), answer.slice(0, 500));
    assert.doesNotMatch(answer, treasure);
  },
});

const refusedOnce = (codes: number[]): boolean => codes.length === 1 && codes[0] === 400;

const smuggling: Attack[] = [
  raw(
    'Content-Length and Transfer-Encoding together',
    '400',
    'POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n',
    refusedOnce,
  ),
  raw(
    'two Content-Lengths',
    '400',
    'POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n',
    refusedOnce,
  ),
  raw(
    'an obfuscated Transfer-Encoding',
    '400',
    'POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    refusedOnce,
  ),
  raw(
    'a folded header',
    '400',
    'GET /version HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Impersonate-User: admin\r\n\r\n',
    refusedOnce,
  ),
  raw(
    'a bare CR in a header that should begin another',
    '400',
    'GET /version HTTP/1.1\r\nHost: x\r\nX-A: b\rImpersonate-User: admin\r\n\r\n',
    refusedOnce,
  ),
  raw(
    'a null byte in the path',
    '400',
    'GET /api/v1/namespaces/kube-system\0/secrets HTTP/1.1\r\nHost: x\r\n\r\n',
    refusedOnce,
  ),
  raw('no Host header', '400', 'GET /version HTTP/1.1\r\n\r\n', refusedOnce),
  raw(
    'an absolute URL in place of a path',
    '404',
    `GET https://127.0.0.1${secrets} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    ([code]) => code === 403 || code === 404,
  ),
  raw(
    'CONNECT',
    'closed',
    'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n',
    ([code]) => code === undefined || code >= 400,
  ),
  raw(
    'TRACE',
    '403',
    'TRACE /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer x\r\n\r\n',
    ([code]) => code !== 200,
  ),
];

/** Pseudo-headers and connection headers that HTTP/2 forbids: the stream or the connection ends, nothing is served. */
const http2Trick = (name: string, outcome: string, headers: Record<string, string>): Attack => ({
  name,
  outcome,
  async send(victim) {
    const session = connectHttp2(victim.url, { ca: victim.ca, ...victim.identity('mallory') });
    session.on('error', () => {});
    const code = await new Promise<number>((resolve) => {
      try {
        const stream = session.request({ ':path': secrets, ...headers });
        stream.on('response', (got) => resolve(Number(got[':status'])));
        stream.on('error', () => resolve(0));
        stream.on('close', () => resolve(0));
        stream.end();
      } catch {
        resolve(0);
      }
    });
    session.destroy();
    assert.ok(code === 0 || code >= 400, String(code));
  },
});

const http2: Attack[] = [
  http2Trick('HTTP/2: another authority', 'an error or closed', { ':authority': 'kubernetes.default.svc' }),
  http2Trick('HTTP/2: a path without its slash', 'an error or closed', { ':path': secrets.slice(1) }),
  http2Trick('HTTP/2: scheme http', 'an error or closed', { ':scheme': 'http' }),
  http2Trick('HTTP/2: the method constructor', 'an error or closed', { ':method': 'constructor' }),
  http2Trick('HTTP/2: the method __proto__', 'an error or closed', { ':method': '__proto__' }),
  http2Trick('HTTP/2: CONNECT', 'an error or closed', { ':method': 'CONNECT', ':authority': '127.0.0.1:22' }),
];

const oldTls = (
  name: string,
  options: { minVersion: SecureVersion; maxVersion: SecureVersion; ciphers?: string },
): Attack => ({
  name,
  outcome: 'handshake refused',
  async send(victim) {
    const { hostname, port } = new URL(victim.url);
    const error = await new Promise<Error | undefined>((resolve) => {
      const socket = connectTls({ host: hostname, port: Number(port), ca: victim.ca, ...options }, () => {
        socket.destroy();
        resolve(undefined);
      });
      socket.on('error', resolve);
    });
    assert.match(String(error), /alert/, 'the server refuses, not this client');
  },
});

const transport: Attack[] = [
  oldTls('TLS 1.0', { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  oldTls('TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  ...['NULL', 'aNULL'].map((ciphers) =>
    oldTls(`cipher ${ciphers}`, {
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: `${ciphers}:@SECLEVEL=0`,
    }),
  ),
  {
    name: 'plain HTTP to the TLS port',
    outcome: 'closed, nothing served',
    async send(victim) {
      const { hostname, port } = new URL(victim.url);
      const text = await new Promise<string>((resolve) => {
        const socket = connectTcp(Number(port), hostname);
        let seen = '';
        socket.on('data', (chunk: Buffer) => (seen += chunk.toString('latin1')));
        socket.on('error', () => {});
        socket.on('close', () => resolve(seen));
        socket.write('GET /version HTTP/1.1\r\nHost: x\r\n\r\n');
      });
      assert.doesNotMatch(text, /HTTP\/1\.1 2|gitVersion/);
    },
  },
];

export const authentication: AttackTable = {
  title: 'Authentication',
  attacks: [...certificates, ...tokens, ...headers, ...smuggling, ...http2, ...transport],
};
