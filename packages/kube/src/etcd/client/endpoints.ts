import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import grpc from '@grpc/grpc-js';
import { type CallOptions, EtcdError, etcdErrors, grpcCode } from '../store.ts';
import type { MethodDefinition } from '../../protobuf/facts.ts';

export interface EndpointOptions {
  /** `https://HOST:PORT`, `http://HOST:PORT`, `unix://PATH`, or `HOST:PORT` (TLS if certificates are given). */
  endpoints: readonly string[];
  /** PEM: the authority that signed the servers' certificates; the machine's own authorities if absent. */
  ca?: string | Buffer | undefined;
  /** PEM: this client's certificate and key. */
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
}

/** Without an answer for so long a call fails; keep-alives notice a dead peer earlier. */
const callTimeoutMs = 15_000;

/** etcd refuses clients that ping more often than every 5 s. */
const channelOptions: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
};

interface Endpoint {
  readonly address: string;
  readonly client: grpc.Client;
}

/** A bidirectional stream of decoded messages. */
export interface DuplexCall {
  on(event: 'data', listener: (message: object) => void): unknown;
  on(event: 'error', listener: (error: grpc.ServiceError) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  write(message: object): unknown;
  end(): unknown;
  cancel(): void;
}

/** The servers of one etcd cluster: calls go to one of them, to the next when it is away. */
export class Endpoints {
  readonly #endpoints: readonly Endpoint[];
  #current = 0;
  #closed = false;

  /** @throws TypeError for an endpoint that is none, or certificates that do not go together */
  constructor(options: EndpointOptions) {
    if (options.endpoints.length === 0)
      throw new TypeError('no etcd endpoint given (such as https://127.0.0.1:2379)');
    this.#endpoints = options.endpoints.map((text) => endpointOf(text, options));
  }

  get addresses(): string[] {
    return this.#endpoints.map(({ address }) => address);
  }

  /**
   * One call. A server that cannot be reached is passed over; a call that may have reached one is sent to
   * another only when `repeatable`: a write whose answer was lost may have been made.
   *
   * @throws EtcdError
   */
  async unary<T>(
    method: MethodDefinition,
    request: object,
    options: CallOptions & { repeatable: boolean; timeoutMs?: number },
  ): Promise<T> {
    if (this.#closed) throw etcdErrors.stopped();
    let failure: unknown;
    for (let tries = 0; tries < this.#endpoints.length; tries++) {
      const at = this.#current;
      try {
        return (await call(this.#at(at).client, method, request, options.signal, options.timeoutMs)) as T;
      } catch (error) {
        const { code, wasSent } = error as CallFailure;
        if (code !== grpcCode.unavailable || (wasSent && !options.repeatable) || this.#closed) {
          throw etcdErrorOf(error as CallFailure, this.#at(at).address);
        }
        failure = etcdErrorOf(error as CallFailure, this.#at(at).address);
        this.#passOver(at);
      }
    }
    throw failure;
  }

  /** One call to each server; what they answered, in order. */
  all<T>(
    method: MethodDefinition,
    request: object,
    signal?: AbortSignal,
  ): Promise<Array<PromiseSettledResult<T>>> {
    return Promise.allSettled(
      this.#endpoints.map(async ({ client, address }) => {
        try {
          return (await call(client, method, request, signal)) as T;
        } catch (error) {
          throw etcdErrorOf(error as CallFailure, address);
        }
      }),
    );
  }

  /** Opens a stream to the current server. */
  stream(method: MethodDefinition): { call: DuplexCall; failed: (error: grpc.ServiceError) => EtcdError } {
    if (this.#closed) throw etcdErrors.stopped();
    const at = this.#current;
    const { client, address } = this.#at(at);
    const stream = client.makeBidiStreamRequest(
      method.path,
      (message: object) => method.requestSerialize(message),
      (bytes: Buffer) => method.responseDeserialize(bytes),
      new grpc.Metadata(),
    );
    const failed = (error: grpc.ServiceError): EtcdError => {
      if (error.code === grpc.status.UNAVAILABLE) this.#passOver(at);
      return etcdErrorOf({ code: error.code, details: error.details, wasSent: true, cause: error }, address);
    };
    return { call: stream, failed };
  }

  /** The messages of a call to the current server that answers with many, at the pace at which they are taken. */
  async *receive<T>(method: MethodDefinition, request: object, options?: CallOptions): AsyncGenerator<T> {
    if (this.#closed) throw etcdErrors.stopped();
    const { client, address } = this.#at(this.#current);
    const stream = client.makeServerStreamRequest(
      method.path,
      (message: object) => method.requestSerialize(message),
      (bytes: Buffer) => method.responseDeserialize(bytes),
      request,
      new grpc.Metadata(),
    );
    const cancel = (): void => stream.cancel();
    options?.signal?.addEventListener('abort', cancel, { once: true });
    if (options?.signal?.aborted) cancel();
    try {
      for await (const message of stream) yield message as T;
    } catch (error) {
      const { code, details } = error as grpc.ServiceError;
      throw etcdErrorOf({ code, details, wasSent: true, cause: error }, address);
    } finally {
      options?.signal?.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  #at(i: number): Endpoint {
    return this.#endpoints[i % this.#endpoints.length] as Endpoint;
  }

  /** The next call goes to the next server, unless another call found that out already. */
  #passOver(at: number): void {
    if (this.#current === at) this.#current = (at + 1) % this.#endpoints.length;
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#endpoints) client.close();
  }
}

function endpointOf(text: string, { ca, cert, key }: EndpointOptions): Endpoint {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError('etcd: a client certificate needs its key, and a key its certificate');
  }
  const [, scheme, rest] = /^(?:(https?|unix):\/\/)?(.+?)\/*$/.exec(text) ?? [];
  if (rest === undefined || (scheme !== 'unix' && !/:\d+$/.test(rest))) {
    throw new TypeError(`etcd: ${JSON.stringify(text)} is no endpoint; write https://HOST:PORT`);
  }
  const isSecure = scheme === 'https' || (scheme === undefined && (ca !== undefined || cert !== undefined));
  const pem = (data: string | Buffer | undefined): Buffer | null =>
    data === undefined ? null : Buffer.from(data);
  const credentials = isSecure
    ? grpc.credentials.createSsl(pem(ca), pem(key), pem(cert), identityCheck(rest))
    : grpc.credentials.createInsecure();
  const target = scheme === 'unix' ? `unix:${rest}` : rest;
  const naming =
    isSecure && ipOf(rest) !== undefined ? { 'grpc.ssl_target_name_override': noServerName } : {};
  return { address: text, client: new grpc.Client(target, credentials, { ...channelOptions, ...naming }) };
}

/** grpc-js sends the host as TLS server name, which Node refuses for IP addresses: this one is sent instead. */
const noServerName = 'localhost';

/** The address itself in `HOST:PORT`, if it is no name. */
function ipOf(hostPort: string): string | undefined {
  const host = hostPort.slice(0, hostPort.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  return isIP(host) === 0 ? undefined : host;
}

/** The server's certificate must be for the address that was dialled, not for the name above. */
function identityCheck(hostPort: string): grpc.VerifyOptions {
  const ip = ipOf(hostPort);
  return ip === undefined
    ? {}
    : { checkServerIdentity: (_name, certificate) => checkServerIdentity(ip, certificate) };
}

interface CallFailure {
  code: number;
  details: string;
  /** Whether the server may have seen the request. */
  wasSent: boolean;
  cause: unknown;
}

function call(
  client: grpc.Client,
  method: MethodDefinition,
  request: object,
  signal: AbortSignal | undefined,
  timeoutMs = callTimeoutMs,
): Promise<object> {
  return new Promise((resolve, reject) => {
    const fail = (code: number, details: string, wasSent: boolean, cause: unknown): void => {
      // Converted to an EtcdError by the caller, who knows the endpoint.
      // oxlint-disable-next-line prefer-promise-reject-errors
      reject({ code, details, wasSent, cause } satisfies CallFailure);
    };
    if (signal?.aborted) return fail(grpcCode.canceled, 'context canceled', false, signal.reason);
    const sent = client.makeUnaryRequest(
      method.path,
      (message: object) => method.requestSerialize(message),
      (bytes: Buffer) => method.responseDeserialize(bytes),
      request,
      new grpc.Metadata(),
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        signal?.removeEventListener('abort', cancel);
        if (error === null) return resolve(response as object);
        const details = error.code === grpc.status.CANCELLED ? 'context canceled' : error.details;
        fail(error.code, details, !isUnsent(error), error);
      },
    );
    const cancel = (): void => sent.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** grpc-js says so when it never had a connection to send the request on. */
const isUnsent = (error: grpc.ServiceError): boolean =>
  error.code === grpc.status.UNAVAILABLE && error.details.startsWith('No connection established');

/** What the system said, out of grpc-js's sentence around it. */
const withoutWrapping = (details: string): string =>
  /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note: *$/.exec(details)?.[1] ??
  details;

function etcdErrorOf({ code, details, cause }: CallFailure, address: string): EtcdError {
  // etcd's own texts are matched by callers; the connection's get the place and the remedy.
  const isOwn =
    details.startsWith('etcdserver:') || details.startsWith('context ') || details.startsWith('mvcc:');
  const message =
    isOwn || code !== grpcCode.unavailable
      ? details
      : `etcd ${address} cannot be reached: ${withoutWrapping(details)}`;
  return new EtcdError(code, message, cause);
}
