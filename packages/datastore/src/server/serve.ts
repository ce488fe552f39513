/**
 * Serves a store as etcd does: the v3 gRPC API over HTTP/2, and `/health`, `/livez`, `/readyz`, `/version` and
 * `/metrics` over HTTP/1.1 and HTTP/2, on one port.
 *
 * ```ts
 * await using store = await openDatastore({ path: '/var/lib/cloudless/datastore/state.db' });
 * await using server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 2379 } });
 * ```
 */
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { type Logger, logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { headerOf } from './codec/responses.ts';
import { GrpcCounters } from './grpc/counters.ts';
import { GrpcSessions } from './grpc/sessions.ts';
import { HttpSide } from './http.ts';
import { type ListenAddress, openPort, type Port } from './listen.ts';
import { serverMetricsText } from './metrics.ts';
import { allMethods } from './services/all.ts';
import { readTls, type TlsFiles, watchTls } from './tls.ts';

export type { ListenAddress } from './listen.ts';
export type { TlsFiles } from './tls.ts';

/** etcd's --max-request-bytes, and what it lets the rest of a message take (config.MaxRequestBytesWithOverhead). */
const maxRequestBytes = 1.5 * 1024 * 1024;
const overheadBytes = 512 * 1024;
/** Of an etcd alone: the first term is its election. */
const raftTerm = 2;
/** How long calls under way may take to end after a stop. */
const drainMs = 5_000;

export interface ServeOptions {
  /** Stays open when the server stops. */
  store: Datastore;
  listen: ListenAddress;
  /** PEM files; looked at again every 10 s. Without them connections are not encrypted. */
  tls?: TlsFiles | undefined;
  /** A second port for `/metrics`, `/health` and the others, over HTTP/1.1 without TLS. */
  metrics?: ListenAddress | undefined;
  /** What MemberList tells clients to connect to; default: the address listened on. */
  advertise?: readonly string[] | undefined;
  log?: Logger | undefined;
  clock?: Clock | undefined;
  /** Stops the server when it aborts. */
  signal?: AbortSignal | undefined;
}

export interface DatastoreServer extends Running {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: ListenAddress;
  /** The same as clients write it: `https://127.0.0.1:2379`, `unix:///run/datastore.sock`. */
  readonly url: string;
  readonly metricsAddress: ListenAddress | undefined;
  /** Bytes of answers that wait for their readers. */
  readonly pendingBytes: number;
}

/**
 * Starts to serve. Resolves when the port is open.
 *
 * @throws ListenError, TlsFileError: in a sentence, with the remedy
 */
export async function serveDatastore(options: ServeOptions): Promise<DatastoreServer> {
  const { store, tls, clock = systemClock, log = logger('datastore') } = options;
  options.signal?.throwIfAborted();
  const material = tls === undefined ? undefined : readTls(tls);
  const { clusterId, memberId } = await store.identity();
  const header = headerOf(clusterId, memberId, raftTerm);
  let urls: readonly string[] = [];
  const methods = allMethods({
    store,
    header,
    fragmentBytes: maxRequestBytes + overheadBytes,
    clientUrls: () => urls,
  });
  const counters = new GrpcCounters();
  const figures = { healthSuccesses: 0, healthFailures: 0, receivedBytes: 0, sentBytes: 0 };
  const http = new HttpSide(store, () => serverMetricsText(store, counters, figures), figures);
  const sessions = new GrpcSessions({
    methods,
    counters,
    traffic: figures,
    maxMessageBytes: maxRequestBytes + overheadBytes,
    otherwise: (stream, headers) => http.answerStream(stream, headers),
    clock,
    log,
  });
  const port = await openPort({
    listen: options.listen,
    tls: material,
    http2: (socket) => sessions.take(socket),
    http1: (socket) => http.take(socket),
    log,
  });
  let metrics: Port | undefined;
  try {
    if (options.metrics !== undefined) metrics = await openMetricsPort(options.metrics, http, log);
  } catch (error) {
    port.close();
    throw error;
  }
  const url = urlOf(port.address, tls !== undefined);
  urls = options.advertise ?? [url];
  const renewal =
    tls === undefined || material === undefined
      ? undefined
      : watchTls(tls, material, (next) => port.renew(next), { clock, log });
  const handle = running(async () => {
    renewal?.stop();
    http.goingAway();
    port.close();
    await sessions.stop(drainMs);
    metrics?.close();
    http.close();
    port.destroy();
    metrics?.destroy();
  });
  options.signal?.addEventListener('abort', () => void handle.stop(), { once: true });
  return {
    ...handle,
    address: port.address,
    url,
    metricsAddress: metrics?.address,
    get pendingBytes() {
      return sessions.pendingBytes;
    },
  };
}

function openMetricsPort(listen: ListenAddress, http: HttpSide, log: Logger): Promise<Port> {
  return openPort({
    listen,
    tls: undefined,
    http1: (socket) => http.take(socket),
    http2: (socket) => socket.destroy(),
    log,
  });
}

function urlOf(address: ListenAddress, isSecure: boolean): string {
  if ('path' in address) return `unix://${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${isSecure ? 'https' : 'http'}://${host}:${address.port}`;
}
