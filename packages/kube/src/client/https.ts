import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson, stringifyJson } from '../codec/json.ts';
import type { Status } from '../generated/types/meta-v1.ts';
import { type KubeList, type KubeObject, type Resource, apiVersionOf, pathOf } from '../object.ts';
import { StatusError, type StatusReason } from '../status.ts';
import {
  type GetOptions,
  type KubeClient,
  type ListOptions,
  type ObjectEvent,
  type PatchType,
  type WatchOptions,
  type WriteOptions,
  patchMediaTypes,
} from './client.ts';
import { RotatingFile } from './credentials.ts';
import { lines } from './lines.ts';
import { ConnectionError, type HttpResponse, type Transport, httpTransport } from './transport.ts';

export { ConnectionError };

export interface HttpsClientOptions {
  /** `https://host:port`, and perhaps a path before `/api`. */
  server: string;
  /** PEM of the server's CA; absent: the machine's CAs. */
  ca?: string | undefined;
  /** Name to expect in the server's certificate when it is not the URL's host. */
  tlsServerName?: string | undefined;
  insecureSkipTlsVerify?: boolean | undefined;
  /** PEM. */
  clientCert?: string | undefined;
  clientKey?: string | undefined;
  /** PEM files that are re-read when they change; then new connections use the new certificate. */
  clientCertFile?: string | undefined;
  clientKeyFile?: string | undefined;
  token?: string | undefined;
  /** Re-read when it changes, as a projected service account token does. */
  tokenFile?: string | undefined;
  userAgent?: string | undefined;
  /** Default namespace of a kubeconfig's context; informative. */
  namespace?: string | undefined;
}

export interface HttpsKubeClient extends KubeClient, AsyncDisposable {
  /** Ends connections and every call and watch on them. */
  close(): Promise<void>;
}

/** As client-go: a 429 (or a 5xx with Retry-After) is asked again at most ten times. */
const maxRetries = 10;
/** The server gives up at 60 s itself (`--request-timeout`); this is for a server that says nothing at all. */
const requestTimeoutMs = 70_000;
const tokenCheckEveryMs = 1_000;
const certificateCheckEveryMs = 10_000;

/** A {@link KubeClient} over HTTPS, HTTP/2 where the server has it. */
export function httpsClient(options: HttpsClientOptions): HttpsKubeClient {
  return new HttpsClient(options);
}

interface Request {
  method: string;
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  contentType?: string;
  accept?: string;
  signal?: AbortSignal | undefined;
}

class HttpsClient implements HttpsKubeClient {
  readonly #server: URL;
  readonly #prefix: string;
  readonly #options: HttpsClientOptions;
  readonly #token: RotatingFile | undefined;
  readonly #certificate: RotatingFile | undefined;
  readonly #key: RotatingFile | undefined;
  #transport: { transport: Transport; certificate: string } | undefined;
  readonly #retired: Transport[] = [];
  readonly #closing = closingSignal();

  constructor(options: HttpsClientOptions) {
    this.#options = options;
    this.#server = new URL(options.server);
    if (this.#server.protocol !== 'https:') {
      throw new Error(`the API server's address must begin with https://, not ${this.#server.protocol}//`);
    }
    this.#prefix = this.#server.pathname.replace(/\/$/, '');
    if (options.tokenFile) this.#token = new RotatingFile(options.tokenFile, tokenCheckEveryMs);
    if (options.clientCertFile && options.clientKeyFile) {
      this.#certificate = new RotatingFile(options.clientCertFile, certificateCheckEveryMs);
      this.#key = new RotatingFile(options.clientKeyFile, certificateCheckEveryMs);
    }
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: string, options: GetOptions = {}): Promise<T> {
    return this.#json<T>({
      method: 'GET',
      path: pathOf(resource, { namespace: options.namespace, name, subresource: options.subresource }),
      signal: options.signal,
    });
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const list = await this.#json<KubeList<T>>({
      method: 'GET',
      path: pathOf(resource, { namespace: options.namespace }),
      query: listQuery(options),
      signal: options.signal,
    });
    // A list's items carry no type of their own; a client's objects do, as typed clients have it.
    const apiVersion = apiVersionOf(resource);
    for (const item of (list.items ??= [])) {
      item.apiVersion ??= apiVersion;
      item.kind ??= resource.kind;
    }
    return list;
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncGenerator<ObjectEvent<T>> {
    const response = await this.#send({
      method: 'GET',
      path: pathOf(resource, { namespace: options.namespace }),
      query: {
        ...listQuery(options),
        watch: true,
        allowWatchBookmarks: options.allowWatchBookmarks,
        sendInitialEvents: options.sendInitialEvents,
        timeoutSeconds: options.timeoutSeconds,
      },
      signal: options.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal,
    });
    for await (const line of lines(response.body)) {
      const event = parseJson(line) as ObjectEvent<T> | { type: 'ERROR'; object: Status };
      if (event.type === 'ERROR') throw StatusError.fromStatus(event.object);
      yield event;
    }
  }

  create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { name?: string } = {},
  ): Promise<T> {
    return this.#json<T>({
      method: 'POST',
      path: pathOf(resource, {
        namespace: options.namespace ?? object.metadata.namespace,
        name: options.name,
        subresource: options.subresource,
      }),
      query: writeQuery(options),
      body: typed(resource, object),
      signal: options.signal,
    });
  }

  createSubresource<B, R>(
    resource: Resource,
    name: string,
    subresource: string,
    body: B,
    options: WriteOptions = {},
  ): Promise<R> {
    return this.#json<R>({
      method: 'POST',
      path: pathOf(resource, { namespace: options.namespace, name, subresource }),
      query: writeQuery(options),
      body,
      signal: options.signal,
    });
  }

  update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return this.#json<T>({
      method: 'PUT',
      path: pathOf(resource, {
        namespace: options.namespace ?? object.metadata.namespace,
        name: object.metadata.name,
        subresource: options.subresource,
      }),
      query: writeQuery(options),
      body: typed(resource, object),
      signal: options.signal,
    });
  }

  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    type: PatchType,
    patch: unknown,
    options: WriteOptions & { force?: boolean } = {},
  ): Promise<T> {
    return this.#json<T>({
      method: 'PATCH',
      path: pathOf(resource, { namespace: options.namespace, name, subresource: options.subresource }),
      query: { ...writeQuery(options), force: options.force },
      body: patch,
      contentType: patchMediaTypes[type],
      signal: options.signal,
    });
  }

  delete(
    resource: Resource,
    name: string,
    options: Parameters<KubeClient['delete']>[2] = {},
  ): Promise<unknown> {
    const { signal, namespace, ...deleteOptions } = options;
    return this.#json({
      method: 'DELETE',
      path: pathOf(resource, { namespace, name }),
      body: deleteBody(deleteOptions),
      signal,
    });
  }

  async deleteCollection(
    resource: Resource,
    options: Parameters<KubeClient['deleteCollection']>[1] = {},
  ): Promise<void> {
    const { signal, namespace, labelSelector, fieldSelector, limit, resourceVersion, ...rest } = options;
    const { continue: continueToken, resourceVersionMatch, ...deleteOptions } = rest;
    await this.#json({
      method: 'DELETE',
      path: pathOf(resource, { namespace }),
      query: listQuery({
        labelSelector,
        fieldSelector,
        limit,
        resourceVersion,
        resourceVersionMatch,
        continue: continueToken,
      }),
      body: deleteBody(deleteOptions),
      signal,
    });
  }

  async raw(
    method: string,
    path: string,
    options: { body?: string; contentType?: string; signal?: AbortSignal | undefined } = {},
  ): Promise<string> {
    const request: Request = {
      method,
      path,
      ...(options.body === undefined ? {} : { body: new Raw(options.body) }),
      ...(options.contentType === undefined ? {} : { contentType: options.contentType }),
      accept: 'application/json, */*',
    };
    return this.#limited(options.signal, async (signal) => text(await this.#send({ ...request, signal })));
  }

  close(): Promise<void> {
    this.#closing.abort(new Error('the client is closed'));
    this.#transport?.transport.close();
    for (const transport of this.#retired) transport.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #json<T>(request: Request): Promise<T> {
    return this.#limited(request.signal, async (signal) => {
      const response = await this.#send({ ...request, signal });
      return parseJson(await bytes(response)) as T;
    });
  }

  /**
   * Runs one call with a signal that aborts with the caller's, with the client, and when it takes too long. One
   * controller and one timer a call, gone with it: `AbortSignal.timeout` would outlive it.
   */
  async #limited<T>(outer: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const call = new AbortController();
    const closing = this.#closing.signal;
    const stop = (): void => call.abort(outer?.aborted ? outer.reason : closing.reason);
    const late = (): void =>
      call.abort(
        new ConnectionError(`${this.#server.origin} did not answer within ${requestTimeoutMs / 1000} s`),
      );
    const timer = setTimeout(late, requestTimeoutMs);
    timer.unref();
    if (outer?.aborted || closing.aborted) stop();
    outer?.addEventListener('abort', stop, { once: true });
    closing.addEventListener('abort', stop, { once: true });
    try {
      return await run(call.signal);
    } finally {
      clearTimeout(timer);
      outer?.removeEventListener('abort', stop);
      closing.removeEventListener('abort', stop);
    }
  }

  /** Sends until it is answered with something other than "later"; throws on 400 and above. */
  async #send(request: Request): Promise<HttpResponse> {
    const body = request.body instanceof Raw ? request.body.text : encode(request.body);
    for (let retries = 0, renewed = false; ;) {
      // oxlint-disable-next-line no-await-in-loop -- one attempt after another
      const response = await this.#once(request, body);
      if (response.status < 400) return response;
      // oxlint-disable-next-line no-await-in-loop
      const error = statusError(response, await text(response));
      if (response.status === 401 && this.#token && !renewed) {
        // The token may have been rotated within the last second.
        renewed = true;
        this.#token.expire();
        continue;
      }
      const waitSeconds = retryAfterSeconds(response);
      if (waitSeconds === undefined || retries++ >= maxRetries) throw error;
      // oxlint-disable-next-line no-await-in-loop
      await sleep(waitSeconds * 1000, undefined, request.signal ? { signal: request.signal } : {});
    }
  }

  #once(request: Request, body: string | undefined): Promise<HttpResponse> {
    const token = this.#token?.read().trim() ?? this.#options.token;
    const headers: Record<string, string> = {
      accept: request.accept ?? 'application/json',
      'user-agent': this.#options.userAgent ?? 'cloudless',
    };
    if (token) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = request.contentType ?? 'application/json';
    return this.#current().request({
      method: request.method,
      path: `${this.#prefix}${request.path}${queryText(request.query)}`,
      headers,
      body,
      signal: request.signal,
    });
  }

  /** The transport for the client certificate as it is now. */
  #current(): Transport {
    const certificate = this.#certificate?.read() ?? this.#options.clientCert ?? '';
    if (this.#transport?.certificate === certificate) return this.#transport.transport;
    const options = this.#options;
    const transport = httpTransport({
      server: this.#server,
      tls: {
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...(certificate === ''
          ? {}
          : { cert: certificate, key: this.#key?.read() ?? options.clientKey ?? '' }),
        ...(options.tlsServerName ? { servername: options.tlsServerName } : {}),
        rejectUnauthorized: options.insecureSkipTlsVerify !== true,
        minVersion: 'TLSv1.2',
      },
    });
    // What runs on the old connection may end there; it is closed with the client.
    if (this.#transport) this.#retired.push(this.#transport.transport);
    this.#transport = { transport, certificate };
    return transport;
  }
}

/** Many calls listen at once. */
function closingSignal(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** A body that is text already. */
class Raw {
  readonly text: string;
  constructor(content: string) {
    this.text = content;
  }
}

function encode(body: unknown): string | undefined {
  return body === undefined ? undefined : stringifyJson(body);
}

function typed<T extends KubeObject>(resource: Resource<T>, object: T): T {
  if (object.apiVersion !== undefined && object.kind !== undefined) return object;
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
}

function deleteBody(options: object): object | undefined {
  if (Object.values(options).every((value) => value === undefined)) return undefined;
  return { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
}

function listQuery(options: ListOptions): Record<string, string | number | undefined> {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit,
    continue: options.continue,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
  };
}

function writeQuery(options: WriteOptions): Record<string, string | undefined> {
  return {
    dryRun: options.dryRun ? 'All' : undefined,
    fieldManager: options.fieldManager,
    fieldValidation: options.fieldValidation,
  };
}

function queryText(query: Request['query']): string {
  if (!query) return '';
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue;
    parts.push(`${name}=${encodeURIComponent(value)}`);
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function retryAfterSeconds(response: HttpResponse): number | undefined {
  if (response.status !== 429 && response.status < 500) return undefined;
  const header = response.header('retry-after');
  if (header === undefined || !/^\d+$/.test(header)) return undefined;
  return Math.min(Number(header), 60);
}

async function bytes(response: HttpResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

async function text(response: HttpResponse): Promise<string> {
  return (await bytes(response)).toString('utf8');
}

const reasons: Record<number, StatusReason> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** The answer's Status, or one made up from its code when something in between answered in other words. */
function statusError(response: HttpResponse, body: string): StatusError {
  try {
    const status = parseJson(body) as Status;
    if (status.kind === 'Status') return StatusError.fromStatus({ code: response.status, ...status });
  } catch {
    // Not JSON: text of a proxy, or of /readyz.
  }
  return new StatusError(
    response.status,
    reasons[response.status] ?? '',
    body.trim() === '' ? `the server answered ${response.status}` : body.trim(),
  );
}
