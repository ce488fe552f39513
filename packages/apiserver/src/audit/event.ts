import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import type { StatusError } from '@cloudless/kube/status';
import type { Status } from '@cloudless/kube/types/meta-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Annotate } from '../admission/plugin.ts';
import type { RequestInfo } from '../request/info.ts';
import { type Extent, levels, type Stage } from './policy.ts';

/** Where events go. The promise resolves when the event is as safe as the mode asks for. */
export interface EventSink {
  write(event: Buffer): Promise<void> | void;
}

/** What is known of a request when it comes in. */
export interface Received {
  readonly auditId: string;
  readonly info: RequestInfo;
  readonly requestUri: string;
  /** Undefined when authentication failed. */
  readonly user: UserInfo | undefined;
  readonly sourceIps: readonly string[];
  readonly userAgent: string;
  readonly receivedMs: number;
}

type ResponseStatus = Pick<Status, 'status' | 'message' | 'reason' | 'details' | 'code'>;

const maxUserAgentLength = 1024;

const userOf = ({ name, uid, groups, extra }: UserInfo) => ({
  username: name,
  ...(uid ? { uid } : {}),
  ...(groups.length > 0 ? { groups } : {}),
  ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
});

/** metav1.MicroTime. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

const reaches = (extent: Extent, level: 'Request' | 'RequestResponse'): boolean =>
  levels.indexOf(extent.level) >= levels.indexOf(level);

/** The `audit.k8s.io/v1` Events of one request (upstream: audit/context.go, audit/request.go). */
export class RequestAudit {
  readonly #extent: Extent;
  readonly #received: Received;
  readonly #sink: EventSink;
  readonly #nowMs: () => number;
  readonly #annotations = new Map<string, string>();
  readonly #objectRef: Record<string, string | undefined> | undefined;
  #impersonated: UserInfo | undefined;
  #constraint = '';
  #status: ResponseStatus | undefined;
  #requestObject: Buffer | undefined;
  #responseObject: Buffer | undefined;
  #refusal: string | undefined;
  #panicked = false;

  constructor(extent: Extent, received: Received, sink: EventSink, nowMs: () => number) {
    this.#extent = extent;
    this.#received = received;
    this.#sink = sink;
    this.#nowMs = nowMs;
    const { isResource, resource, namespace, name, group, version, subresource } = received.info;
    if (isResource) {
      this.#objectRef = {
        resource,
        namespace,
        name,
        uid: '',
        apiGroup: group,
        apiVersion: version,
        resourceVersion: '',
        subresource,
      };
    }
  }

  /** Whether the request's object is wanted at all; making it costs time. */
  get wantsRequest(): boolean {
    return reaches(this.#extent, 'Request');
  }

  get wantsResponse(): boolean {
    return reaches(this.#extent, 'RequestResponse');
  }

  get omitsManagedFields(): boolean {
    return this.#extent.omitManagedFields;
  }

  readonly annotate: Annotate = (key, value, kind) => {
    if (kind === 'content' && !this.wantsRequest) return;
    if (!this.#annotations.has(key)) this.#annotations.set(key, value);
  };

  impersonates(user: UserInfo, constraint = ''): void {
    this.#impersonated = user;
    this.#constraint = constraint;
  }

  /** The object that the request brings, as it was decoded; what it says of itself completes the reference. */
  requestObject(object: KubeObject): void {
    if (this.#requestObject) return;
    const ref = this.#objectRef;
    if (ref) {
      const { namespace, name, uid, resourceVersion } = object.metadata ?? {};
      ref['namespace'] ||= namespace;
      ref['name'] ||= name;
      ref['uid'] ||= uid;
      ref['resourceVersion'] ||= resourceVersion;
    }
    if (this.wantsRequest) this.#requestObject = this.#encode(object);
  }

  /** The document of a patch. */
  requestPatch(document: unknown): void {
    if (this.wantsRequest) this.#requestObject = Buffer.from(stringifyJson(document));
  }

  /** JSON of the answer; ask `wantsResponse` first. */
  responseJson(json: Buffer): void {
    this.#responseObject = json;
  }

  responseObject(object: object): void {
    const { kind, status, message, reason, details, code } = object as Status;
    if (kind === 'Status') this.#setStatus({ status, message, reason, details, code });
    if (this.wantsResponse) this.#responseObject = this.#encode(object);
  }

  /** The status code of the answer. */
  code(code: number): void {
    this.#setStatus({ ...this.#status, code });
  }

  /** The refusal that is answered. An error of no known kind is upstream's panic. */
  failed(failure: StatusError, error: unknown): void {
    this.responseObject(failure.toStatus());
    if (this.#refusal !== undefined) this.#status = { ...this.#status, message: this.#refusal };
    this.#panicked = !(error instanceof Error) || error instanceof TypeError || error instanceof RangeError;
    if (this.#panicked) this.#status = { ...this.#status, message: `APIServer panic'd: ${failure.message}` };
  }

  /** Whether a mistake of the server's own ended the request. */
  get panicked(): boolean {
    return this.#panicked;
  }

  /** Nobody was let in: only the answer is told of, with the ways that were tried. */
  refusedAuthentication(tried: string): void {
    this.#refusal = tried;
  }

  #setStatus(status: ResponseStatus): void {
    this.#status = status;
  }

  /** Sets what an answer that nobody gave is taken for; the connection broke first. */
  closedEarly(): void {
    if (this.#status) return;
    this.#status = { status: 'Success', message: 'Connection closed early', code: 200 };
  }

  /** Writes the event of a stage, unless the policy leaves it out. */
  stage(stage: Stage): Promise<void> | void {
    // Upstream tells of a failed authentication when its answer begins.
    const told = this.#refusal !== undefined && stage === 'ResponseComplete' ? 'ResponseStarted' : stage;
    if (this.#extent.omitStages.has(told)) return undefined;
    return this.#sink.write(this.#event(told));
  }

  #encode(object: object): Buffer {
    return Buffer.from(stringifyJson(this.omitsManagedFields ? withoutManagedFields(object) : object));
  }

  /** Objects are spliced in as bytes: they may be large, and are encoded already. */
  #event(stage: Stage): Buffer {
    const { auditId, requestUri, info, user, sourceIps, userAgent, receivedMs } = this.#received;
    const head = stringifyJson({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: this.#extent.level,
      auditID: auditId,
      stage,
      requestURI: requestUri,
      verb: info.verb,
      user: user ? userOf(user) : {},
      ...(this.#impersonated ? { impersonatedUser: userOf(this.#impersonated) } : {}),
      ...(this.#constraint === ''
        ? {}
        : { authenticationMetadata: { impersonationConstraint: this.#constraint } }),
      ...(sourceIps.length > 0 ? { sourceIPs: sourceIps } : {}),
      ...(userAgent === '' ? {} : { userAgent: truncated(userAgent) }),
      ...(this.#objectRef ? { objectRef: filled(this.#objectRef) } : {}),
      ...(this.#status ? { responseStatus: { metadata: {}, ...filled(this.#status) } } : {}),
    });
    const tail = stringifyJson({
      requestReceivedTimestamp: microTime(receivedMs),
      stageTimestamp: microTime(stage === 'RequestReceived' ? receivedMs : this.#nowMs()),
      ...(this.#annotations.size > 0 ? { annotations: Object.fromEntries(this.#annotations) } : {}),
    });
    const pieces: Buffer[] = [Buffer.from(head.slice(0, -1))];
    if (this.#requestObject) pieces.push(Buffer.from(',"requestObject":'), this.#requestObject);
    if (this.#responseObject) pieces.push(Buffer.from(',"responseObject":'), this.#responseObject);
    pieces.push(Buffer.from(`,${tail.slice(1)}\n`));
    return Buffer.concat(pieces);
  }
}

const truncated = (text: string): string =>
  text.length > maxUserAgentLength ? `${text.slice(0, maxUserAgentLength)}...TRUNCATED` : text;

const filled = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));

/** A copy of an object, or of a list's items, without managedFields. */
export function withoutManagedFields(object: object): object {
  const { metadata, items } = object as { metadata?: object; items?: object[] };
  const copy: Record<string, unknown> = { ...object };
  if (metadata && 'managedFields' in metadata) {
    const { managedFields: _fields, ...rest } = metadata as Record<string, unknown>;
    copy['metadata'] = rest;
  }
  if (Array.isArray(items)) copy['items'] = items.map(withoutManagedFields);
  return copy;
}
