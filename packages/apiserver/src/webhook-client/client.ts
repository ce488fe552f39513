/**
 * Calls the HTTPS servers that clusters are extended with: admission, conversion and audit webhooks.
 *
 * ```ts
 * const clients = new WebhookClients({ resolve: serviceResolver(caches), userAgent: 'kube-apiserver-admission' });
 * const answer = await clients.post(webhook.clientConfig, body, { timeoutMs: 10_000 });
 * ```
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { type ConnectionOptions, getCACertificates } from 'node:tls';
import type { WebhookClientConfig } from '@cloudless/kube/types/admissionregistration-v1';
import { StatusError } from '@cloudless/kube/status';
import { checkServerName, connectionErrorText, WrongServerName } from './go-errors.ts';
import { serverResponseError } from './server-response.ts';
import type { Address, ResolveService } from './service-resolver.ts';

/** More than an answer with a patch of the largest object needs. */
const maxAnswerBytes = 16 * 1024 * 1024;
/** Connections to one server, all in use; further calls are told to come again. */
const maxCallsInFlight = 100;
const maxIdleConnections = 25;
const idleTimeoutMs = 90_000;
/** Clients kept; the one used longest ago makes room (upstream: defaultCacheSize). */
const maxClients = 200;

/** A call that brought no usable answer. The message is upstream's, without the webhook's name. */
export class WebhookCallError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WebhookCallError';
  }
}

interface Target {
  /** As it stands in messages and in the request line. */
  url: URL;
  serverName: string;
  address(): Promise<Address> | Address;
}

/** Connections to one server, by everything that decides about them. */
class Connections {
  readonly #agent: Agent;
  readonly target: Target;
  inFlight = 0;
  #retired = false;

  constructor(target: Target, caBundle: string | undefined) {
    this.target = target;
    const ca = caBundle
      ? Buffer.from(caBundle, 'base64').toString('utf8')
      : [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
    const tls: ConnectionOptions = {
      ca,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity: (_host, { raw }) => checkServerName(target.serverName, raw),
    };
    this.#agent = new Agent({
      ...tls,
      keepAlive: true,
      timeout: idleTimeoutMs,
      maxSockets: maxCallsInFlight,
      maxFreeSockets: maxIdleConnections,
    });
  }

  request(
    address: Address,
    path: string,
    body: Buffer,
    userAgent: string,
    signal: AbortSignal,
  ): ClientRequest {
    const { url, serverName } = this.target;
    return httpsRequest({
      agent: this.#agent,
      host: address.host,
      port: address.port,
      // An address is no server name in TLS (RFC 6066, 3).
      servername: /^[\d.]+$|:/.test(serverName) ? '' : serverName,
      method: 'POST',
      path,
      signal,
      headers: {
        host: url.host,
        accept: 'application/json, */*',
        'content-type': 'application/json',
        'content-length': body.length,
        'user-agent': userAgent,
      },
    });
  }

  /** Closes idle connections now and the others when their calls have ended. */
  retire(): void {
    this.#retired = true;
    if (this.inFlight === 0) this.#agent.destroy();
  }

  leave(): void {
    this.inFlight--;
    if (this.#retired && this.inFlight === 0) this.#agent.destroy();
  }
}

export interface PostOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Connections to webhooks, kept and shared by all that have the same configuration. */
export class WebhookClients {
  readonly #resolve: ResolveService;
  readonly #userAgent: string;
  readonly #connections = new Map<string, Connections>();
  readonly #stopping = new AbortController();

  constructor(options: { resolve: ResolveService; userAgent: string; signal?: AbortSignal }) {
    this.#resolve = options.resolve;
    this.#userAgent = options.userAgent;
    if (options.signal?.aborted) this.#stop();
    else options.signal?.addEventListener('abort', () => this.#stop(), { once: true });
  }

  /**
   * Posts JSON and gives the body of a 2xx answer. Throws `WebhookCallError` when there is none in time, and a
   * `StatusError` 429 when too many calls of this server wait already.
   */
  async post(config: WebhookClientConfig, body: Buffer, options: PostOptions): Promise<Buffer> {
    const connections = this.#of(config);
    if (connections.inFlight >= maxCallsInFlight) {
      const text = `too many calls of ${connections.target.url.host} are waiting for an answer, please try again later`;
      throw new StatusError(429, 'TooManyRequests', text, { retryAfterSeconds: 1 });
    }
    connections.inFlight++;
    try {
      return await this.#post(connections, body, options);
    } finally {
      connections.leave();
    }
  }

  async #post(connections: Connections, body: Buffer, options: PostOptions): Promise<Buffer> {
    const { target } = connections;
    const url = new URL(target.url);
    url.searchParams.set('timeout', `${Math.ceil(options.timeoutMs / 1000)}s`);
    const timeout = AbortSignal.timeout(options.timeoutMs);
    const signal = AbortSignal.any([
      timeout,
      this.#stopping.signal,
      ...(options.signal ? [options.signal] : []),
    ]);
    const failed = (why: string, cause?: unknown): WebhookCallError =>
      new WebhookCallError(`Post ${JSON.stringify(shown(url, target.serverName))}: ${why}`, cause);
    let address: Address;
    try {
      address = await target.address();
    } catch (error) {
      throw failed(error instanceof Error ? error.message : String(error), error);
    }
    for (let attempt = 0; ; attempt++) {
      const request = connections.request(address, url.pathname + url.search, body, this.#userAgent, signal);
      try {
        return await exchange(request, body);
      } catch (error) {
        if (error instanceof StatusError || error instanceof WebhookCallError) throw error;
        if (timeout.aborted) throw failed('context deadline exceeded', error);
        if (signal.aborted) throw failed('context canceled', error);
        // A kept connection that the server has closed meanwhile says nothing about the server.
        if (request.reusedSocket && isReset(error) && attempt === 0) continue;
        if (error instanceof WrongServerName) throw failed(error.message, error);
        const at = { ...address, serverName: target.serverName };
        throw failed(connectionErrorText(error, at), error);
      }
    }
  }

  #of(config: WebhookClientConfig): Connections {
    const key = JSON.stringify([config.url, config.service, config.caBundle]);
    let found = this.#connections.get(key);
    if (found) this.#connections.delete(key);
    else found = new Connections(this.#target(config), config.caBundle);
    this.#connections.set(key, found);
    for (const [oldest, connections] of this.#connections) {
      if (this.#connections.size <= maxClients) break;
      this.#connections.delete(oldest);
      connections.retire();
    }
    return found;
  }

  #target({ url: text, service }: WebhookClientConfig): Target {
    if (service) {
      const { name, namespace, path = '', port = 443 } = service;
      const serverName = `${name}.${namespace}.svc`;
      const url = new URL(`https://${serverName}:${port}`);
      url.pathname = path;
      return { url, serverName, address: () => this.#resolve(namespace, name, port) };
    }
    if (!text) throw new WebhookCallError('webhook configuration must have either service or URL');
    if (!URL.canParse(text)) throw new WebhookCallError(`Unparsable URL: ${text}`);
    const url = new URL(text);
    const serverName = url.hostname.replace(/^\[|\]$/g, '');
    const port = url.port === '' ? 443 : Number(url.port);
    return { url, serverName, address: () => ({ host: serverName, port }) };
  }

  #stop(): void {
    this.#stopping.abort();
    for (const connections of this.#connections.values()) connections.retire();
    this.#connections.clear();
  }
}

/** The URL as Go prints it: a Service's port always stands there. */
function shown(url: URL, serverName: string): string {
  if (url.port !== '' || !serverName.endsWith('.svc')) return url.href;
  return url.href.replace(url.host, `${url.host}:443`);
}

const isReset = (error: unknown): boolean =>
  error instanceof Error &&
  ((error as NodeJS.ErrnoException).code === 'ECONNRESET' || error.message === 'socket hang up');

/** Sends the body and reads the answer, up to the limit. */
function exchange(request: ClientRequest, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxAnswerBytes) {
          const why = `the answer is longer than ${maxAnswerBytes} bytes`;
          request.destroy();
          reject(new WebhookCallError(why));
          return;
        }
        chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('aborted', () => reject(new Error('unexpected EOF')));
      response.once('end', () => {
        const whole = Buffer.concat(chunks);
        const { statusCode: code = 0, headers } = response;
        if (code >= 200 && code <= 206) resolve(whole);
        else reject(serverResponseError(code, whole, headers['content-type'] ?? ''));
      });
    });
    request.end(body);
  });
}
