import { createHash, randomUUID } from 'node:crypto';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { parseTime } from '@cloudless/kube/time';
import type { ServiceAccount } from '@cloudless/kube/types/core-v1';
import { serviceAccountUser, type UserInfo } from '@cloudless/kube/user';
import type { Caches } from '../cache/cache.ts';
import type { Authenticated, Authenticator, Credentials } from './authenticator.ts';
import { bearerToken } from './bearer.ts';
import { peekClaims, signJwt, verifyJwt } from './jwt.ts';
import { lookup } from './lookup.ts';
import { type KubernetesClaims, readClaims, type TokenClaims } from './service-account-claims.ts';
import type { SigningKey, VerificationKey } from './signing-keys.ts';

/** What a token is bound to: it dies with it. */
export interface BoundObject {
  kind: 'Pod' | 'Secret' | 'Node';
  name: string;
  uid: string;
  /** For a pod: the node it runs on. */
  node?: { name: string; uid?: string } | undefined;
}

export interface TokenIssuer {
  /** Goes into `iss`; with /.well-known/openid-configuration below it. */
  issuer: string;
  key: SigningKey;
  /** Used when a request names none. */
  defaultAudiences: readonly string[];
}

/** Signs a token for a service account (upstream: pkg/serviceaccount/claims.go). */
export function issueServiceAccountToken(
  issuer: TokenIssuer,
  request: {
    account: ServiceAccount;
    audiences: readonly string[];
    expirationSeconds: number;
    /** When the client should have taken a new one, if that is before the end. */
    warnAfterSeconds?: number | undefined;
    bound?: BoundObject | undefined;
    nowMs: number;
  },
): { token: string; expiresAtMs: number; id: string } {
  const { account, bound } = request;
  const id = randomUUID();
  const issuedAt = Math.floor(request.nowMs / 1000);
  const expires = issuedAt + request.expirationSeconds;
  const claims: KubernetesClaims = {
    namespace: account.metadata.namespace ?? '',
    serviceaccount: { name: account.metadata.name ?? '', uid: account.metadata.uid ?? '' },
    ...boundClaims(bound),
    ...(request.warnAfterSeconds === undefined ? {} : { warnafter: issuedAt + request.warnAfterSeconds }),
  };
  const token = signJwt(
    {
      aud: request.audiences,
      exp: expires,
      iat: issuedAt,
      iss: issuer.issuer,
      jti: id,
      'kubernetes.io': claims,
      nbf: issuedAt,
      sub: `system:serviceaccount:${claims.namespace}:${claims.serviceaccount.name}`,
    },
    issuer.key,
  );
  return { token, expiresAtMs: expires * 1000, id };
}

function boundClaims(bound: BoundObject | undefined): Partial<KubernetesClaims> {
  if (!bound) return {};
  const { name, uid } = bound;
  if (bound.kind === 'Pod') return { pod: { name, uid }, ...(bound.node ? { node: bound.node } : {}) };
  return bound.kind === 'Secret' ? { secret: { name, uid } } : { node: { name, uid } };
}

const rememberedTokens = 4096;
/** Leeway for clocks that differ, and for what has just been deleted (upstream: jwt.DefaultLeeway). */
const leewaySeconds = 60;

export interface ServiceAccountAuthenticatorOptions {
  issuer: string;
  keys: readonly VerificationKey[];
  /** A token must be for one of these to be used with this API server. */
  apiAudiences: readonly string[];
  caches: Caches;
  nowMs: () => number;
}

/**
 * Bearer tokens of service accounts. The signature is checked once per token; that the account and what the token is
 * bound to still exist under the same uid is checked on every request, from memory. Every refusal is 401.
 */
export class ServiceAccountAuthenticator implements Authenticator {
  readonly #options: ServiceAccountAuthenticatorOptions;
  /** Claims by the hash of the token: no token stays in memory. */
  readonly #verified = new Map<string, TokenClaims>();

  constructor(options: ServiceAccountAuthenticatorOptions) {
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
    if (peekClaims(token)?.['iss'] !== this.#options.issuer) return undefined;
    const claims = this.#verify(token);
    const now = this.#options.nowMs() / 1000;
    if (now > claims.exp + leewaySeconds) throw refused('service account token has expired');
    if (now + leewaySeconds < claims.nbf) throw refused('service account token is not valid yet');
    if (now + leewaySeconds < claims.iat) throw refused('service account token is issued in the future');
    const matching = audiences.filter((audience) => claims.aud.includes(audience));
    if (matching.length === 0)
      throw refused(
        `token audiences ${quoted(claims.aud)} is invalid for the target audiences ${quoted(audiences)}`,
      );
    return { user: await this.#userOf(claims), audiences: matching };
  }

  #verify(token: string): TokenClaims {
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(hash);
    if (known) return known;
    const verified = verifyJwt(token, this.#options.keys);
    if (!verified) throw refused('the signature of the token is invalid');
    const claims = readClaims(verified);
    if (!claims) throw refused('the claims of the token are malformed');
    if (this.#verified.size >= rememberedTokens)
      this.#verified.delete(this.#verified.keys().next().value as string);
    this.#verified.set(hash, claims);
    return claims;
  }

  async #userOf({ kubernetes, jti }: TokenClaims): Promise<UserInfo> {
    const { namespace, serviceaccount, pod, secret, node } = kubernetes;
    await this.#mustExist(core.serviceaccounts, 'service account', namespace, serviceaccount);
    const extra: Record<string, readonly string[]> = {};
    const add = (key: string, value: string | undefined): void => {
      if (value !== undefined) extra[`authentication.kubernetes.io/${key}`] = [value];
    };
    add('credential-id', jti === undefined ? undefined : `JTI=${jti}`);
    if (secret) await this.#mustExist(core.secrets, 'secret', namespace, secret);
    if (pod) {
      await this.#mustExist(core.pods, 'pod', namespace, pod);
      add('pod-name', pod.name);
      add('pod-uid', pod.uid);
    }
    if (node) {
      // A pod's token carries its node for information; a token of a node alone dies with it.
      if (!pod) await this.#mustExist(core.nodes, 'node', '', { name: node.name, uid: node.uid ?? '' });
      add('node-name', node.name);
      add('node-uid', node.uid);
    }
    return { ...serviceAccountUser(namespace, serviceaccount.name, serviceaccount.uid), extra };
  }

  /** Throws 401 unless the object is there under the same uid, and its time to end is not past. */
  async #mustExist(
    resource: Resource,
    what: string,
    namespace: string,
    { name, uid }: { name: string; uid: string },
  ): Promise<void> {
    const { caches, nowMs } = this.#options;
    const object: KubeObject | undefined = await lookup(caches, resource, { namespace, name, uid });
    const full = namespace === '' ? name : `${namespace}/${name}`;
    if (!object) throw refused(`the ${what} ${full} of the token no longer exists`);
    if (object.metadata.uid !== uid)
      throw refused(`the ${what} ${full} of the token was deleted; another one has its name`);
    const { deletionTimestamp } = object.metadata;
    if (deletionTimestamp !== undefined && parseTime(deletionTimestamp) < nowMs() - leewaySeconds * 1000)
      throw refused(`the ${what} ${full} of the token has been deleted`);
  }
}

const quoted = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;
const refused = (why: string) => errors.unauthorized(`Unauthorized: ${why}`);
