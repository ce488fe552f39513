import { createHash, timingSafeEqual } from 'node:crypto';
import { core } from '@cloudless/kube/resources';
import { parseTime } from '@cloudless/kube/time';
import type { Secret } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../cache/cache.ts';
import type { Authenticated, Authenticator, Credentials } from './authenticator.ts';
import { bearerToken } from './bearer.ts';
import { lookup } from './lookup.ts';

const tokenForm = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupForm = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const bootstrappers = 'system:bootstrappers';

const dataOf = (secret: Secret, key: string): string =>
  Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');

/** Compares without telling by the time it takes where two texts differ. */
function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Groups of a token's user; undefined when one is not below system:bootstrappers. */
function groupsOf(secret: Secret): string[] | undefined {
  const extra = dataOf(secret, 'auth-extra-groups');
  const groups = extra === '' ? [] : extra.split(',');
  return groups.every((group) => groupForm.test(group))
    ? [...new Set([bootstrappers, ...groups])].sort()
    : undefined;
}

/**
 * Bootstrap tokens, `ID.SECRET`, kept in Secrets `kube-system/bootstrap-token-ID` (upstream:
 * plugin/pkg/auth/authenticator/token/bootstrap): how a machine that joins by kubeadm asks for its certificate.
 */
export class BootstrapTokenAuthenticator implements Authenticator {
  readonly #caches: Caches;
  readonly #nowMs: () => number;

  constructor(options: { caches: Caches; nowMs: () => number }) {
    this.#caches = options.caches;
    this.#nowMs = options.nowMs;
  }

  async authenticate(credentials: Credentials): Promise<Authenticated | undefined> {
    const token = bearerToken(credentials);
    return token === undefined ? undefined : await this.review(token);
  }

  /** undefined: no good bootstrap token, for whatever reason. Valid for any audience. */
  async review(token: string): Promise<Authenticated | undefined> {
    const [, id, value] = tokenForm.exec(token) ?? [];
    if (id === undefined || value === undefined) return undefined;
    const at = { namespace: 'kube-system', name: `bootstrap-token-${id}` };
    const secret = await lookup(this.#caches, core.secrets, at);
    if (!secret || secret.metadata.deletionTimestamp !== undefined) return undefined;
    if (secret.type !== 'bootstrap.kubernetes.io/token') return undefined;
    if (!sameSecret(dataOf(secret, 'token-secret'), value) || dataOf(secret, 'token-id') !== id)
      return undefined;
    if (this.#isExpired(secret) || dataOf(secret, 'usage-bootstrap-authentication') !== 'true')
      return undefined;
    const groups = groupsOf(secret);
    return groups ? { user: { name: `system:bootstrap:${id}`, groups } } : undefined;
  }

  #isExpired(secret: Secret): boolean {
    const text = dataOf(secret, 'expiration');
    if (text === '') return false;
    const endsMs = parseTime(text);
    return Number.isNaN(endsMs) || this.#nowMs() >= endsMs;
  }
}
