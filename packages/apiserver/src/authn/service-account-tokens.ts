import { randomUUID } from 'node:crypto';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Pod, ServiceAccount } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../cache/cache.ts';
import type { Authenticated, Authenticator, Credentials } from './authenticator.ts';
import { peekClaims, signJwt, verifyJwt } from './jwt.ts';
import type { SigningKey, VerificationKey } from './signing-keys.ts';

/** What a token is bound to: it dies with it. */
export interface BoundObject {
  kind: 'Pod' | 'Secret' | 'Node';
  name: string;
  uid: string;
  /** For a pod: the node it runs on. */
  node?: { name: string; uid: string } | undefined;
}

interface KubernetesClaims {
  namespace: string;
  serviceaccount: { name: string; uid: string };
  pod?: { name: string; uid: string };
  secret?: { name: string; uid: string };
  node?: { name: string; uid: string };
  warnafter?: number;
}

export interface TokenIssuer {
  /** Goes into `iss`; with /.well-known/openid-configuration below it. */
  issuer: string;
  key: SigningKey;
  /** Used when a request names none. */
  defaultAudiences: readonly string[];
}

/** Signs a token for a service account (upstream: pkg/serviceaccount/claims.go). Times are seconds since the epoch. */
export function issueServiceAccountToken(
  issuer: TokenIssuer,
  request: {
    account: ServiceAccount;
    audiences: readonly string[];
    expirationSeconds: number;
    bound?: BoundObject | undefined;
    nowMs: number;
  },
): { token: string; expiresAtMs: number } {
  const { account, bound } = request;
  const issuedAt = Math.floor(request.nowMs / 1000);
  const expires = issuedAt + request.expirationSeconds;
  const reference = bound ? { name: bound.name, uid: bound.uid } : undefined;
  const claims: KubernetesClaims = {
    namespace: account.metadata.namespace as string,
    ...(bound?.kind === 'Node' ? { node: reference as { name: string; uid: string } } : {}),
    ...(bound?.kind === 'Pod' && bound.node ? { node: bound.node } : {}),
    ...(bound?.kind === 'Pod' ? { pod: reference as { name: string; uid: string } } : {}),
    ...(bound?.kind === 'Secret' ? { secret: reference as { name: string; uid: string } } : {}),
    serviceaccount: { name: account.metadata.name as string, uid: account.metadata.uid as string },
  };
  const token = signJwt(
    {
      aud: request.audiences,
      exp: expires,
      iat: issuedAt,
      iss: issuer.issuer,
      jti: randomUUID(),
      'kubernetes.io': claims,
      nbf: issuedAt,
      sub: `system:serviceaccount:${claims.namespace}:${claims.serviceaccount.name}`,
    },
    issuer.key,
  );
  return { token, expiresAtMs: expires * 1000 };
}

export function bearerToken(credentials: Credentials): string | undefined {
  const header = credentials.headers['authorization'];
  if (typeof header !== 'string') return undefined;
  const match = /^bearer +(\S+)\s*$/i.exec(header);
  return match?.[1];
}

const verifiedTokens = 4096;

/**
 * Bearer tokens of service accounts. The signature is checked once per token; that the account and what the token is
 * bound to still exist under the same uid is checked on every request, from memory.
 */
export class ServiceAccountAuthenticator implements Authenticator {
  readonly #options: {
    issuer: string;
    keys: readonly VerificationKey[];
    /** A token must be for one of these to be used with this API server. */
    apiAudiences: readonly string[];
    caches: Caches;
    nowMs: () => number;
  };
  readonly #verified = new Map<string, Record<string, unknown>>();

  constructor(options: {
    issuer: string;
    keys: readonly VerificationKey[];
    apiAudiences: readonly string[];
    caches: Caches;
    nowMs: () => number;
  }) {
    this.#options = options;
  }

  async authenticate(credentials: Credentials): Promise<Authenticated | undefined> {
    const token = bearerToken(credentials);
    if (token === undefined) return undefined;
    return this.review(token, this.#options.apiAudiences);
  }

  /**
   * Judges a token for other audiences than the API's (TokenReview). undefined: not one of this issuer's tokens.
   * Throws 401 for one that is, and is not good.
   */
  async review(token: string, audiences: readonly string[]): Promise<Authenticated | undefined> {
    const { issuer, keys, caches, nowMs } = this.#options;
    if (peekClaims(token)?.['iss'] !== issuer) return undefined;
    let claims = this.#verified.get(token);
    if (!claims) {
      claims = verifyJwt(token, keys);
      if (!claims) throw errors.unauthorized('Unauthorized: the token’s signature is not valid');
      if (this.#verified.size >= verifiedTokens)
        this.#verified.delete(this.#verified.keys().next().value as string);
      this.#verified.set(token, claims);
    }
    const now = nowMs() / 1000;
    if (typeof claims['exp'] !== 'number' || now > claims['exp'])
      throw errors.unauthorized('Unauthorized: the token has expired');
    // A little leeway for clocks that differ, as upstream's JWT library has it.
    if (typeof claims['nbf'] === 'number' && now + 60 < claims['nbf'])
      throw errors.unauthorized('Unauthorized: the token is not valid yet');
    const own = Array.isArray(claims['aud']) ? (claims['aud'] as string[]) : [String(claims['aud'])];
    const matching = audiences.filter((audience) => own.includes(audience));
    if (matching.length === 0)
      throw errors.unauthorized(`Unauthorized: the token is for ${own.join(', ')}, not for ${audiences.join(', ')}`);
    return { user: await this.#userOf(claims, caches), audiences: matching };
  }

  async #userOf(claims: Record<string, unknown>, caches: Caches): Promise<Authenticated['user']> {
    const info = claims['kubernetes.io'] as KubernetesClaims;
    const { namespace, serviceaccount } = info;
    const gone = (what: string): never => {
      throw errors.unauthorized(`Unauthorized: the token is of ${what}, which no longer exists`);
    };
    const account = await find(caches, core.serviceaccounts, namespace, serviceaccount.name);
    if (account?.metadata.uid !== serviceaccount.uid) gone(`service account ${namespace}/${serviceaccount.name}`);
    const extra: Record<string, readonly string[]> = {
      'authentication.kubernetes.io/credential-id': [`JTI=${String(claims['jti'])}`],
    };
    if (info.pod) {
      const pod = await find<Pod>(caches, core.pods, namespace, info.pod.name);
      if (pod?.metadata.uid !== info.pod.uid) gone(`pod ${namespace}/${info.pod.name}`);
      extra['authentication.kubernetes.io/pod-name'] = [info.pod.name];
      extra['authentication.kubernetes.io/pod-uid'] = [info.pod.uid];
    }
    if (info.secret) {
      const secret = await find(caches, core.secrets, namespace, info.secret.name);
      if (secret?.metadata.uid !== info.secret.uid) gone(`secret ${namespace}/${info.secret.name}`);
    }
    if (info.node) {
      // A pod's token carries its node for information; a node's own token dies with it.
      if (!info.pod) {
        const node = await find(caches, core.nodes, '', info.node.name);
        if (node?.metadata.uid !== info.node.uid) gone(`node ${info.node.name}`);
      }
      extra['authentication.kubernetes.io/node-name'] = [info.node.name];
      extra['authentication.kubernetes.io/node-uid'] = [info.node.uid];
    }
    return {
      name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
      uid: serviceaccount.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      extra,
    };
  }
}

/** From memory; asks for a fresh view once when the object is not there, for what was made a moment ago. */
async function find<T extends { metadata: { uid?: string } }>(
  caches: Caches,
  resource: Parameters<Caches['of']>[0],
  namespace: string,
  name: string,
): Promise<T | undefined> {
  const cache = caches.of(resource);
  await cache.ready;
  const found = cache.get(namespace, name);
  if (found) return found as unknown as T;
  await cache.fresh();
  return cache.get(namespace, name) as unknown as T | undefined;
}
