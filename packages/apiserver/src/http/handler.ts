import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@cloudless/kube/clock';
import { JsonSyntaxError } from '@cloudless/kube/codec/json';
import { EtcdError } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { RequestAudit } from '../audit/event.ts';
import type { Audit } from '../audit/index.ts';
import type { Authenticator, Credentials } from '../authn/authenticator.ts';
import type { Admittance, FlowGate } from '../flowcontrol/gate.ts';
import type { RequestMetrics } from '../metrics/requests.ts';
import { scaleTable } from '../registry/scale.ts';
import type { Body } from '../request/body.ts';
import { type Call, notServed } from '../request/call.ts';
import type { Pipeline } from '../request/pipeline.ts';
import { isTrue, type ParsedRequest, parseRequest } from '../request/parse.ts';
import { timeoutSeconds } from '../request/parameters.ts';
import type { Impersonate } from '../server/options.ts';
import { type Streams, withoutHost } from '../streams/streams.ts';
import { auditResult, beginAudit, failedMethods, onHead, requestReceived, tell } from './audited.ts';
import { Answering } from './answering.ts';
import { credentialsOf } from './credentials.ts';
import { type Deadline, type Deadlines, requestTimeoutMs } from './deadlines.ts';
import type { Encoder } from './encode.ts';
import { plainResponse, storeFailure } from './failures.ts';
import { mediaTypes, type Negotiated, negotiate } from './negotiate.ts';
import type { Paths } from './paths.ts';
import { readBody } from './read-body.ts';
import { isLongYaml, YamlThread } from './yaml-thread.ts';
import { Outgoing, type Request, type Response } from './respond.ts';
import type { IncludeObject } from './table.ts';
import { respondWatch } from './watch-response.ts';

export interface HandlerParts {
  pipeline: Pipeline;
  encoder: Encoder;
  paths: Paths;
  authenticators: readonly Authenticator[];
  impersonate: Impersonate | undefined;
  streams: Streams;
  gate: FlowGate;
  deadlines: Deadlines;
  /** The longest that a request which is not long-running may take. */
  requestTimeoutMs: number;
  metrics: RequestMetrics;
  /** Undefined: nothing is audited, and nothing is spent on it. */
  audit: Audit | undefined;
  /** As `PortTimeouts` has it. */
  bodyMs: number;
  clock: Clock;
  log: Logger;
  /** Aborted when the server takes nothing new: watches end. */
  draining: AbortSignal;
  signal: AbortSignal;
}

const anonymous: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
const authenticated = 'system:authenticated';
const maxUrlLength = 16 * 1024;
/** More than this of a whole answer that its client has not taken counts as being answered still. */
const maxUnreadBytes = 32 * 1024;
const withBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** Verbs of long-running requests, which no limit counts. */
const longRunning = (info: ParsedRequest): boolean =>
  info.verb === 'watch' || ['log', 'exec', 'attach', 'portforward', 'proxy'].includes(info.subresource);

/** One request's way from bytes to bytes: authenticate, impersonate, limit, hand to the pipeline, encode. */
export class Handler {
  readonly #parts: HandlerParts;
  readonly #answering: Answering;
  readonly #yaml: YamlThread;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
    this.#yaml = new YamlThread(parts.signal);
    this.#answering = new Answering(parts.clock, parts.requestTimeoutMs, parts.signal);
  }

  /** Resolves when no request is being answered, watches and streams aside. */
  idle(): Promise<void> {
    return this.#answering.idle();
  }

  /** Answers a request; never throws. */
  async handle(request: Request, response: Response): Promise<void> {
    const { metrics, clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    const out = new Outgoing(request, response, this.#parts.draining);
    let info: ParsedRequest | undefined;
    let deadline: Deadline | undefined;
    this.#answering.enter(out, startedMs);
    try {
      const { path, query } = splitUrl(request.url ?? '/');
      info = parseRequest(request.method ?? 'GET', path, query);
      const timeoutMs = this.#timeoutMs(info, query);
      if (longRunning(info)) this.#answering.release(out);
      else deadline = this.#parts.deadlines.set(timeoutMs, () => this.#expire(request, out));
      await this.#serve(request, out, info, query, timeoutMs);
    } catch (error) {
      await this.#fail(request, out, error);
    } finally {
      deadline?.cancel();
      this.#answering.leave(out);
      metrics.observe(info, request.method ?? '', out.code, clock.monotonicMs() - startedMs);
      if (out.audit)
        await this.#completeAudit(out.audit, out.code || response.statusCode, response.headersSent);
    }
  }

  /** Writes the last event; the answer is on its way, so that nobody hears when it cannot be written. */
  async #completeAudit(audit: RequestAudit, code: number, answered: boolean): Promise<void> {
    if (answered) audit.code(code);
    else audit.closedEarly();
    await tell(audit, audit.panicked ? 'Panic' : 'ResponseComplete');
  }

  #timeoutMs(info: ParsedRequest, query: URLSearchParams): number {
    const { requestTimeoutMs: maxMs } = this.#parts;
    return longRunning(info) ? maxMs : requestTimeoutMs(query, maxMs);
  }

  /** Answers in place of whoever has not done so in time; what comes later is dropped. */
  #expire(request: Request, out: Outgoing): void {
    if (out.headersSent) {
      if (!out.response.writableEnded) out.destroy();
      return;
    }
    const late = errors.timeout('request did not complete within the allotted timeout');
    // The answer is written before the call returns: a short one waits for nothing.
    this.#fail(request, out, late).catch(() => out.destroy());
    out.expire();
  }

  async #serve(
    request: Request,
    out: Outgoing,
    info: ParsedRequest,
    query: URLSearchParams,
    timeoutMs: number,
  ): Promise<void> {
    const { pipeline, gate, paths } = this.#parts;
    const id = auditId(request);
    out.response.setHeader('audit-id', id);
    const user = await this.#user(request, info, id, out);
    if (out.audit && longRunning(info)) {
      const { audit } = out;
      onHead(out.response, (code) => {
        audit.code(code);
        void tell(audit, 'ResponseStarted');
      });
    }
    // Of long-running requests only the start of a watch is a load that can be bounded.
    const isGated = info.verb === 'watch' || !longRunning(info);
    const entering = isGated ? gate.enter(user, info, query, timeoutMs, out) : undefined;
    const seat = entering instanceof Promise ? await entering : entering;
    try {
      if (request.method === 'HEAD' && (info.isResource || /^\/(apis?|version)(\/|$)/.test(info.path)))
        throw errors.methodNotAllowed();
      if (!info.isResource) {
        await pipeline.authorize(user, info, out.audit);
        await paths.respond(request, out, info, query, user);
        return;
      }
      await this.#resource(
        request,
        out,
        this.#call(request, info, query, user, out, () => signalOf(out)),
        seat,
      );
      // Who does not read keeps the place: what waits for them is bounded with the requests in flight.
      if (out.unsentBytes > maxUnreadBytes) await out.closed;
    } finally {
      seat?.leave();
    }
  }

  /** Authentication, the begin of the audit, then impersonation. */
  async #user(
    request: Request,
    info: ParsedRequest,
    id: string,
    out: { audit: RequestAudit | undefined },
  ): Promise<UserInfo> {
    const { audit, clock, impersonate, pipeline } = this.#parts;
    const receivedMs = audit ? clock.nowMs() : 0;
    const credentials = credentialsOf(request);
    let user: UserInfo;
    try {
      user = await this.#authenticate(credentials);
    } catch (error) {
      if (audit) {
        out.audit = beginAudit(audit, request, { auditId: id, info, user: undefined, receivedMs });
        out.audit?.refusedAuthentication(failedMethods(request));
      }
      throw error;
    }
    if (audit) {
      out.audit = beginAudit(audit, request, { auditId: id, info, user, receivedMs });
      if (out.audit) await requestReceived(out.audit);
    }
    const impersonated = impersonate?.(user, credentials.headers, pipeline.authorizer, info);
    if (!impersonated) return user;
    out.audit?.impersonates(impersonated.user, impersonated.constraint);
    return impersonated.user;
  }

  async #authenticate(credentials: Credentials): Promise<UserInfo> {
    for (const authenticator of this.#parts.authenticators) {
      const answer = authenticator.authenticate(credentials);
      const found = answer instanceof Promise ? await answer : answer;
      if (!found) continue;
      const { groups } = found.user;
      return groups.includes(authenticated)
        ? found.user
        : { ...found.user, groups: [...groups, authenticated] };
    }
    return anonymous;
  }

  #call(
    request: Request,
    info: ParsedRequest,
    query: URLSearchParams,
    user: UserInfo,
    out: { warn(text: string): void; audit: RequestAudit | undefined },
    signal: () => AbortSignal,
  ): Call {
    const mediaType = mediaTypeOf(request);
    const { clock, bodyMs } = this.#parts;
    const yaml = this.#yaml;
    return {
      info,
      user,
      query,
      // Few requests look at it, and making one costs more than the rest of a small answer.
      get signal() {
        return signal();
      },
      patchMediaType: mediaType,
      userAgent: request.headers['user-agent'] ?? '',
      audit: out.audit,
      warn: (text) => out.warn(text),
      async body(): Promise<Body | undefined> {
        if (!withBody.has(request.method ?? '')) return undefined;
        const bytes = await readBody(request, clock, bodyMs);
        if (bytes.length === 0) return undefined;
        const body: Body = { type: 'bytes', bytes, mediaType };
        return isLongYaml(body) ? { ...body, yaml: await yaml.read(bytes) } : body;
      },
    };
  }

  async #resource(request: Request, out: Outgoing, call: Call, seat: Admittance | undefined): Promise<void> {
    const { pipeline, encoder, streams, clock, draining: signal } = this.#parts;
    const { query, info } = call;
    const negotiated = this.#negotiated(request, query, info);
    const result = await pipeline.handle(call);
    if (out.audit) auditResult(out.audit, result, pipeline.registry, encoder);
    const include = includeOf(query);
    switch (result.type) {
      case 'entry': {
        const stored = pipeline.registry.open(result.served.resource);
        const chunks = encoder.entry(result.entry, result.served, stored, negotiated, include);
        return await out.send(result.code, mediaTypes[negotiated.format], chunks);
      }
      case 'object':
        return await out.send(
          result.code,
          mediaTypes[negotiated.format],
          info.subresource === 'scale'
            ? encoder.computed(result.object as KubeObject, scaleTable, negotiated, include)
            : encoder.object(result.object, negotiated),
        );
      case 'list': {
        const stored = pipeline.registry.open(result.served.resource);
        const chunks = encoder.list(result.list, result.served, stored, negotiated, include);
        return await out.send(200, mediaTypes[negotiated.format], chunks);
      }
      case 'watch':
        return await respondWatch({ registry: pipeline.registry, encoder, clock, signal }, out, {
          served: result.served,
          parameters: result.parameters,
          negotiated,
          include,
          bookmarks: isTrue(query.get('allowWatchBookmarks')),
          timeoutSeconds: timeoutSeconds(query),
          initialized: () => seat?.leave(),
        });
      case 'stream': {
        if (result.request.subresource !== 'log') {
          const { name, pod } = result.request;
          if (!pod.spec?.nodeName) throw withoutHost(name);
          throw errors.badRequest('Upgrade request required: use HTTP/1.1 with SPDY/3.1 or WebSocket');
        }
        return await streams.respond(
          result.request,
          request as IncomingMessage,
          out.response as ServerResponse,
        );
      }
    }
  }

  #negotiated(request: Request, query: URLSearchParams, info: ParsedRequest): Negotiated {
    const { accept } = request.headers;
    // A log is plain text, whatever the client would accept.
    if (info.subresource === 'log') return negotiate(undefined, 'plain');
    const { catalogue } = this.#parts.pipeline.registry;
    const served = catalogue.find(info.group, info.version, info.resource);
    // Scales and the like are of a built-in kind, whatever they are part of.
    const ofParent = info.subresource === '' || info.subresource === 'status';
    const isCustom = ofParent && served?.custom !== undefined;
    // Reviews are answers, not objects: they have no metadata to make a table of.
    const isReview = info.subresource === '' && served?.computed === true;
    const offer = isCustom ? 'custom' : isReview ? 'plain' : 'objects';
    return negotiate(accept, offer, isTrue(query.get('pretty')));
  }

  /** An HTTP/1.1 upgrade: exec, attach, portforward. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { pipeline, streams, log } = this.#parts;
    socket.on('error', (error) => log.debug({ err: error }, 'an upgraded connection broke'));
    const controller = new AbortController();
    socket.once('close', () => controller.abort());
    const out = { warn: () => {}, audit: undefined as RequestAudit | undefined };
    const id = auditId(request);
    try {
      const { path, query } = splitUrl(request.url ?? '/');
      const info = parseRequest(request.method ?? 'GET', path, query);
      if (!info.isResource) throw notServed();
      const user = await this.#user(request, info, id, out);
      const result = await pipeline.handle(
        this.#call(request, info, query, user, out, () => controller.signal),
      );
      if (result.type !== 'stream' || result.request.subresource === 'log') {
        throw errors.badRequest('this resource cannot be upgraded');
      }
      if (out.audit) this.#auditUpgrade(out.audit, socket);
      await streams.upgrade(result.request, request, socket, head);
    } catch (error) {
      const failure = this.#statusOf(error);
      out.audit?.failed(failure, error);
      if (out.audit && !socket.closed) await this.#completeAudit(out.audit, failure.code, true);
      // A half-open connection would stay for as long as the client likes.
      if (socket.writable) socket.end(plainResponse(failure), () => socket.destroy());
      else socket.destroy();
    }
  }

  #auditUpgrade(audit: RequestAudit, socket: Duplex): void {
    audit.code(101);
    void tell(audit, 'ResponseStarted');
    socket.once('close', () => void this.#completeAudit(audit, 101, true));
  }

  async #fail(request: Request, out: Outgoing, error: unknown): Promise<void> {
    if (out.expired) return;
    const failure = this.#statusOf(error);
    out.audit?.failed(failure, error);
    if (out.headersSent || out.isGone) {
      out.destroy();
      return;
    }
    const retryAfter = failure.details?.retryAfterSeconds;
    if (retryAfter) out.response.setHeader('retry-after', String(retryAfter));
    if (failure.code === 401) out.response.setHeader('www-authenticate', 'Bearer realm="kubernetes"');
    const { mediaType, body } = this.#failureBody(request, failure);
    await out.send(failure.code, mediaType, body);
  }

  /** As the client would have it; in JSON where that cannot be, or is what failed. */
  #failureBody(request: Request, failure: StatusError): { mediaType: string; body: readonly Uint8Array[] } {
    const as = (accept: string | undefined) => {
      const negotiated = negotiate(accept, 'plain');
      const body = this.#parts.encoder.object(failure.toStatus(), negotiated);
      return { mediaType: mediaTypes[negotiated.format], body };
    };
    try {
      return as(request.headers.accept);
    } catch {
      return as(undefined);
    }
  }

  #statusOf(error: unknown): StatusError {
    if (error instanceof StatusError) return error;
    if (error instanceof JsonSyntaxError) return errors.badRequest(error.message);
    if (error instanceof EtcdError) return storeFailure(error);
    if (!this.#parts.signal.aborted) this.#parts.log.error({ err: error }, 'a request failed unexpectedly');
    return errors.internal(error instanceof Error ? error.message : String(error), error);
  }
}

/** Aborts when the client leaves or the response has ended. */
function signalOf(out: Outgoing): AbortSignal {
  const controller = new AbortController();
  if (out.isGone) controller.abort();
  else out.onClose(() => controller.abort());
  return controller.signal;
}

function splitUrl(url: string): { path: string; query: URLSearchParams } {
  if (url.length > maxUrlLength)
    throw new StatusError(414, '', `the URL is longer than ${maxUrlLength} characters`);
  const mark = url.indexOf('?');
  if (mark < 0) return { path: url, query: new URLSearchParams() };
  return { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

const includeOf = (query: URLSearchParams): IncludeObject => {
  const value = query.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
};

const mediaTypeOf = (request: Request): string =>
  (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

/** The client's own Audit-ID when it is a plausible one. */
function auditId(request: Request): string {
  const given = request.headers['audit-id'];
  return typeof given === 'string' && /^[-\w]{1,64}$/.test(given) ? given : randomUUID();
}
