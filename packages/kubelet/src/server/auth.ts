import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { authentication, authorization } from '@cloudless/kube/resources';
import type { UserInfo } from '@cloudless/kube/user';
import { HttpError } from './http-error.ts';

/** How long answers of the API server are believed (upstream: KubeletConfiguration's defaults). */
const cacheMs = { token: 2 * 60_000, allowed: 5 * 60_000, denied: 30_000 };
const cacheSize = 4096;

/** Answers kept for a while; the oldest go first when there are too many. */
class Cache<T> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, { value: T; untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry && entry.untilMs > this.#clock.monotonicMs()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: T, ms: number): void {
    this.#entries.set(key, { value, untilMs: this.#clock.monotonicMs() + ms });
    if (this.#entries.size <= cacheSize) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** What of nodes a request to the kubelet's API needs (upstream: pkg/kubelet/server/auth.go). */
export interface NodeAttributes {
  verb: string;
  /** Any of them is enough, the finer ones first. */
  subresources: string[];
}

const verbs: Record<string, string> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

const below = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/**
 * Maps a request to verb and subresource of `nodes`. Running something in a pod is `create`, by whichever method:
 * a WebSocket opens with GET, and `get nodes/proxy` is given out for reading.
 */
export function nodeAttributes(method: string, path: string): NodeAttributes {
  const runs = ['/exec', '/attach', '/portForward', '/run'].some((folder) => below(path, folder));
  const verb = runs ? 'create' : (verbs[method] ?? '');
  if (below(path, '/stats')) return { verb, subresources: ['stats'] };
  if (below(path, '/metrics')) return { verb, subresources: ['metrics'] };
  if (below(path, '/logs')) return { verb, subresources: ['log'] };
  if (below(path, '/healthz')) return { verb, subresources: ['healthz', 'proxy'] };
  if (below(path, '/pods') || below(path, '/runningpods')) return { verb, subresources: ['pods', 'proxy'] };
  if (below(path, '/configz')) return { verb, subresources: ['configz', 'proxy'] };
  return { verb, subresources: ['proxy'] };
}

/**
 * Who may use the kubelet's API: client certificates of the cluster's CA and bearer tokens that the API server
 * vouches for, each request judged by the API server's authorization (delegated, as upstream's Webhook mode).
 * Without an API client only the health check is open.
 */
export class KubeletAuth {
  readonly #nodeName: string;
  readonly #client: KubeClient | undefined;
  readonly #tokens: Cache<UserInfo>;
  readonly #decisions: Cache<boolean>;

  constructor(options: { nodeName: string; client?: KubeClient | undefined; clock: Clock }) {
    this.#nodeName = options.nodeName;
    this.#client = options.client;
    this.#tokens = new Cache(options.clock);
    this.#decisions = new Cache(options.clock);
  }

  /** Throws 401 and 403, and 503 when the API server that would know does not answer. */
  async check(request: IncomingMessage, path: string): Promise<UserInfo> {
    const user = this.#fromCertificate(request) ?? (await this.#fromToken(request));
    if (!user) throw new HttpError(401, 'Unauthorized');
    const { verb, subresources } = nodeAttributes(request.method ?? 'GET', path);
    for (const subresource of subresources) {
      if (await this.#allowed(user, verb, subresource)) return user;
    }
    throw new HttpError(
      403,
      `Forbidden (user=${user.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(' ')}])\n`,
    );
  }

  #fromCertificate(request: IncomingMessage): UserInfo | undefined {
    const socket = request.socket;
    if (!(socket instanceof TLSSocket)) return undefined;
    const certificate = socket.getPeerCertificate();
    if (!certificate?.subject) return undefined;
    if (!socket.authorized) throw new HttpError(401, 'Unauthorized');
    const { CN, O } = certificate.subject as { CN?: string | string[]; O?: string | string[] };
    const name = Array.isArray(CN) ? CN.at(-1) : CN;
    if (!name) throw new HttpError(401, 'Unauthorized');
    return { name, groups: [...[O ?? []].flat(), 'system:authenticated'] };
  }

  async #fromToken(request: IncomingMessage): Promise<UserInfo | undefined> {
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!token || !this.#client) return undefined;
    const known = this.#tokens.get(token);
    if (known) return known;
    const review = await this.#ask(() =>
      this.#client!.create(authentication.tokenreviews, { metadata: {}, spec: { token } }),
    );
    const status = review.status;
    if (!status?.authenticated || !status.user?.username) throw new HttpError(401, 'Unauthorized');
    const user: UserInfo = {
      name: status.user.username,
      ...(status.user.uid === undefined ? {} : { uid: status.user.uid }),
      groups: status.user.groups ?? [],
      ...(status.user.extra === undefined ? {} : { extra: status.user.extra }),
    };
    this.#tokens.set(token, user, cacheMs.token);
    return user;
  }

  async #allowed(user: UserInfo, verb: string, subresource: string): Promise<boolean> {
    const key = JSON.stringify([user.name, user.uid, user.groups, user.extra, verb, subresource]);
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    if (!this.#client) return false;
    const review = await this.#ask(() =>
      this.#client!.create(authorization.subjectaccessreviews, {
        metadata: {},
        spec: {
          user: user.name,
          groups: [...user.groups],
          ...(user.uid === undefined ? {} : { uid: user.uid }),
          ...(user.extra === undefined ? {} : { extra: user.extra as Record<string, string[]> }),
          resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: this.#nodeName },
        },
      }),
    );
    const allowed = review.status?.allowed === true;
    this.#decisions.set(key, allowed, allowed ? cacheMs.allowed : cacheMs.denied);
    return allowed;
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw new HttpError(
        503,
        `the API server cannot be asked who may use this kubelet: ${error instanceof Error ? error.message : String(error)}\n`,
        error,
      );
    }
  }
}
