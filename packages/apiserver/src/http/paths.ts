import { promisify } from 'node:util';
import { gunzip as gunzipCallback } from 'node:zlib';
import { errors } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { Discovery } from '../discovery/discovery.ts';
import type { OpenApi } from '../openapi/openapi.ts';
import { notServed } from '../request/call.ts';
import type { ParsedRequest } from '../request/parse.ts';
import type { PathHandler, PathRequest, PathResponse, VersionInfo } from '../server/options.ts';
import type { Encoder } from './encode.ts';
import { answerHealth, type HealthCheck } from './health.ts';
import { mediaTypes, negotiate } from './negotiate.ts';
import type { Outgoing, Request } from './respond.ts';

const gunzip = promisify(gunzipCallback);

export interface PathsParts {
  encoder: Encoder;
  discovery: Discovery;
  /** Loaded when first asked for. */
  openApi(): Promise<OpenApi>;
  version: VersionInfo;
  live: readonly HealthCheck[];
  ready: readonly HealthCheck[];
  onHealthFailure(name: string, error: unknown): void;
  metrics(): string;
  handlers: readonly PathHandler[];
  signal: AbortSignal;
}

/** Paths that are no resources: discovery, OpenAPI, version, health, metrics, and those of other rooms. */
export class Paths {
  readonly #parts: PathsParts;
  readonly #exact = new Map<string, PathHandler>();
  readonly #subtrees: PathHandler[];

  constructor(parts: PathsParts) {
    this.#parts = parts;
    for (const handler of parts.handlers) this.#exact.set(handler.path, handler);
    this.#subtrees = parts.handlers.filter((handler) => handler.subtree);
  }

  async respond(
    request: Request,
    out: Outgoing,
    info: ParsedRequest,
    query: URLSearchParams,
    user: UserInfo,
  ): Promise<void> {
    const path = info.path.length > 1 ? info.path.replace(/\/+$/, '') || '/' : info.path;
    if (isDiscovery(path) && isRead(request.method ?? 'GET'))
      return await this.#discovery(request, out, path);
    const answer = await this.answer(request.method ?? 'GET', path, query, user, request.headers);
    const etag = answer.headers?.['etag'];
    if (etag && (answer.status ?? 200) === 200 && matches(request.headers['if-none-match'], etag)) {
      const { vary } = answer.headers ?? {};
      out.head(304, { etag, ...(vary === undefined ? {} : { vary }) });
      return out.end();
    }
    await this.#send(out, answer);
  }

  /** The answer to a path but discovery over the wire, which negotiates more. Throws 404 and 405. */
  async answer(
    method: string,
    path: string,
    query: URLSearchParams,
    user: UserInfo,
    headers: PathRequest['headers'] = {},
  ): Promise<PathResponse> {
    const handler = this.#exact.get(path) ?? this.#subtrees.find((each) => path.startsWith(`${each.path}/`));
    if (handler && isRead(method))
      return await handler.handle({ method, path, query, user, headers, signal: this.#parts.signal });
    let found: PathResponse | undefined;
    if (isDiscovery(path)) {
      const document = this.#parts.discovery.plain(path);
      found = document && json(document);
    } else if (path.startsWith('/openapi/')) {
      const openApi = await this.#parts.openApi();
      found = await openApi.respond(path, query, String(headers['accept'] ?? ''));
    } else found = await this.#own(path, query);
    if (!found && !knowsStatus(path)) return pageNotFound;
    if (!found) throw notServed();
    if (!isRead(method)) throw errors.methodNotAllowed();
    return found;
  }

  async #send(out: Outgoing, response: PathResponse): Promise<void> {
    for (const name in response.headers) out.response.setHeader(name, response.headers[name] as string);
    const code = response.status ?? 200;
    const body = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
    if (response.encoding !== 'gzip') await out.send(code, response.contentType, [body]);
    else if (out.acceptsGzip) out.sendCompressed(code, response.contentType, body);
    else await out.send(code, response.contentType, [await gunzip(body)]);
  }

  async #own(path: string, query: URLSearchParams): Promise<PathResponse | undefined> {
    const { version, live, ready } = this.#parts;
    const [, first] = path.split('/', 2);
    switch (first) {
      case 'version':
        return json(versionBody(version));
      case 'healthz':
      case 'livez':
      case 'readyz': {
        const checks = first === 'readyz' ? [...live, ...ready] : live;
        const { code, body } = await answerHealth(path, checks, query, (name, error) =>
          this.#parts.onHealthFailure(name, error),
        );
        return { status: code, contentType: 'text/plain; charset=utf-8', headers: noSniff, body };
      }
      case 'metrics':
        return { contentType: 'text/plain; version=0.0.4; charset=utf-8', body: this.#parts.metrics() };
      case '':
        return json({ paths: this.#index() });
      default:
        return undefined;
    }
  }

  async #discovery(request: Request, out: Outgoing, path: string): Promise<void> {
    const { discovery, encoder } = this.#parts;
    const root = path === '/api' || path === '/apis';
    const negotiated = negotiate(request.headers.accept, root ? 'discovery' : 'plain');
    if (negotiated.as !== '') {
      const found = discovery.aggregated(path, negotiated.version);
      if (!found) throw notServed();
      const etag = `"${found.etag}"`;
      const vary = { etag, vary: 'Accept' };
      if (request.headers['if-none-match'] === etag) {
        out.head(304, vary);
        return out.end();
      }
      for (const name in vary) out.response.setHeader(name, vary[name as 'etag']);
      const type = `application/json;g=apidiscovery.k8s.io;v=${negotiated.version};as=APIGroupDiscoveryList`;
      return await out.send(200, type, encoder.object(found.document, { ...negotiated, format: 'json' }));
    }
    const document = discovery.plain(path);
    if (!document) throw notServed();
    await out.send(200, mediaTypes[negotiated.format], encoder.object(document, negotiated));
  }

  #index(): string[] {
    const own = [
      '/api',
      '/apis',
      '/healthz',
      '/livez',
      '/metrics',
      '/openapi/v2',
      '/openapi/v3',
      '/readyz',
      '/version',
    ];
    return [...own, ...this.#parts.discovery.paths(), ...this.#exact.keys()].sort();
  }
}

/** Whether an `If-None-Match` header names this tag (RFC 9110, 13.1.2). */
function matches(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes(etag) || tags.includes('*');
}

const isRead = (method: string): boolean => method === 'GET' || method === 'HEAD';
const isDiscovery = (path: string): boolean => /^\/apis?(\/|$)/.test(path);

/** Roots whose unknown paths are answered with a Status; all else with a line of text, as Go's servers have it. */
const knowsStatus = (path: string): boolean => /^\/(apis?|openid|version|openapi)(\/|$)/.test(path);

const noSniff = { 'x-content-type-options': 'nosniff' };

const pageNotFound: PathResponse = {
  status: 404,
  contentType: 'text/plain; charset=utf-8',
  headers: noSniff,
  body: '404 page not found\n',
};

const json = (body: object): PathResponse => ({
  contentType: 'application/json',
  body: `${JSON.stringify(body, undefined, 2)}\n`,
});

/** What kubectl and kubeadm read; major and minor are those of gitVersion. */
function versionBody(version: VersionInfo): object {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version.gitVersion) ?? [];
  return {
    major,
    minor,
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
    gitVersion: version.gitVersion,
    gitCommit: version.gitCommit ?? '',
    gitTreeState: 'clean',
    buildDate: version.buildDate ?? '1970-01-01T00:00:00Z',
    goVersion: `node${process.version}`,
    compiler: 'v8',
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}
