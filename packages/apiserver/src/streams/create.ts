import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { STATUS_CODES } from '@cloudless/kube/builtin-http';
import type { Logger } from '@cloudless/kube/logger';
import { errors, StatusError } from '@cloudless/kube/status';
import {
  isWebSocket,
  offersProtocol,
  portForwardTunnel,
  remoteCommandStreams,
  translatePortForward,
  translateRemoteCommand,
  webSocketV5,
} from '@cloudless/kube/streaming/remote-command';
import { passUpgrade, readBody, UpgradeRefused, type UpgradeTarget } from '@cloudless/kube/streaming/upgrade';
import {
  chosenContainer,
  commandParameters,
  logParameters,
  portParameters,
  statusFromKubelet,
} from './parameters.ts';
import { type KubeletEndpoint, type StreamRequest, type Streams, withoutHost } from './streams.ts';

export interface StreamsOptions {
  /** Where a node's kubelet listens; throws `StatusError` for an unknown node. */
  kubeletEndpoint(nodeName: string): Promise<KubeletEndpoint>;
  /** PEM of the API server's client certificate for kubelets (`apiserver-kubelet-client`). */
  clientCert: string | Buffer;
  clientKey: string | Buffer;
  /**
   * PEM of the CA that kubelets' serving certificates must come from. Without it any is accepted, as upstream does
   * without `--kubelet-certificate-authority`: kubelets sign their own until the cluster does.
   */
  kubeletCa?: string | Buffer | undefined;
  log: Logger;
}

const connectTimeoutMs = 10_000;

interface Kubelet {
  nodeName: string;
  url: URL;
  tls: NonNullable<UpgradeTarget['tls']>;
}

/**
 * The API server's way to kubelets, for `pods/{log,exec,attach,portforward}` (upstream: registry/core/pod/rest).
 * SPDY and older WebSocket protocols pass as they are. WebSocket v5 and the port-forward tunnel are translated into
 * SPDY here, so that a kubelet or runtime that knows only SPDY serves every kubectl.
 */
export function createStreams(options: StreamsOptions): Streams {
  const tls = {
    cert: options.clientCert,
    key: options.clientKey,
    ...(options.kubeletCa === undefined
      ? { rejectUnauthorized: false }
      : { ca: options.kubeletCa, rejectUnauthorized: true }),
  };
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 8, timeout: 60_000, ...tls });

  const locate = async (request: StreamRequest, path: string[], query: URLSearchParams): Promise<Kubelet> => {
    const nodeName = request.pod.spec?.nodeName ?? '';
    if (nodeName === '') throw withoutHost(request.name);
    const { host, port } = await options.kubeletEndpoint(nodeName);
    const authority = isIP(host) === 6 ? `[${host}]` : host;
    const url = new URL(`https://${authority}:${port}/${path.map(encodeURIComponent).join('/')}`);
    url.search = query.toString();
    // An address may not be sent as a server name (RFC 6066).
    return { nodeName, url, tls: { ...tls, ...(isIP(host) ? { servername: '' } : {}) } };
  };

  return {
    async respond(request, _incoming, response) {
      const container = chosenContainer(request.pod, request.query.get('container') ?? '');
      const query = logParameters(request.query, request.name);
      if (!request.pod.spec?.nodeName) {
        // There is no log yet.
        response.writeHead(204);
        response.end();
        return;
      }
      const kubelet = await locate(
        request,
        ['containerLogs', request.namespace, request.name, container],
        query,
      );
      const answer = await get(kubelet, agent, request.signal);
      if (answer.statusCode !== 200) {
        throw statusFromKubelet(
          answer.statusCode ?? 502,
          await readBody(answer),
          kubelet.nodeName,
          request.name,
        );
      }
      await passLog(answer, response);
    },

    async upgrade(request, incoming, socket, head) {
      const { subresource, namespace, name, query, signal } = request;
      if (subresource === 'portforward') {
        const kubelet = await locate(request, ['portForward', namespace, name], portParameters(query));
        return carry({ kubelet, incoming, socket, head, signal, name });
      }
      if (subresource === 'log')
        throw errors.badRequest('a log is read without an upgrade of the connection');
      const container = chosenContainer(request.pod, query.get('container') ?? '');
      const parameters = commandParameters(subresource, query);
      const kubelet = await locate(request, [subresource, namespace, name, container], parameters);
      return carry({ kubelet, incoming, socket, head, signal, name, parameters });
    },
  };
}

/** Asks the kubelet; rejects with `StatusError` when it is not there. */
function get(kubelet: Kubelet, agent: Agent, signal: AbortSignal, again = true): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(kubelet.url, { method: 'GET', agent, signal, ...kubelet.tls });
    const timer = setTimeout(
      () => request.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    request.once('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    request.once('error', (error) => {
      clearTimeout(timer);
      // A kept connection may have been closed by a kubelet that restarted: once more on a new one.
      if (request.reusedSocket && again) resolve(get(kubelet, agent, signal, false));
      else reject(unreachable(kubelet, error));
    });
    request.end();
  });
}

function unreachable(kubelet: Kubelet, error: unknown): StatusError {
  const why = error instanceof Error ? error.message : String(error);
  return errors.unavailable(
    `error dialing backend: the kubelet of node "${kubelet.nodeName}" at ${kubelet.url.host} cannot be reached: ${why}`,
    error,
  );
}

/** No faster than the client reads; ends quietly when either side leaves. */
async function passLog(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': answer.headers['content-type'] ?? 'text/plain' });
  response.flushHeaders();
  try {
    await pipeline(answer, response);
  } catch {
    // The head is out: a broken log can only be ended.
    answer.destroy();
    response.destroy();
  }
}

/** The kubelet's own answer to an upgrade that it refuses (upstream: UpgradeAwareHandler echoes it). */
function refusal(statusCode: number, contentType: string, body: string): string {
  const head = [
    `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? 'Error'}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

async function carry(call: {
  kubelet: Kubelet;
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  signal: AbortSignal;
  name: string;
  /** Of exec and attach. */
  parameters?: URLSearchParams;
}): Promise<void> {
  const { kubelet, incoming, socket, head, parameters } = call;
  const target = { url: kubelet.url, tls: kubelet.tls, connectTimeoutMs };
  const leave = (): void => void socket.destroy();
  call.signal.addEventListener('abort', leave, { once: true });
  socket.on('error', leave);
  try {
    if (isWebSocket(incoming) && parameters && offersProtocol(incoming, webSocketV5)) {
      await translateRemoteCommand({
        incoming,
        socket,
        head,
        target,
        streams: remoteCommandStreams(parameters),
      });
    } else if (isWebSocket(incoming) && !parameters && offersProtocol(incoming, portForwardTunnel)) {
      await translatePortForward({ incoming, socket, head, target });
    } else {
      await passUpgrade({ incoming, socket, head, target });
    }
  } catch (error) {
    if (!(error instanceof UpgradeRefused)) throw unreachable(kubelet, error);
    const { statusCode = 502, headers } = error.response;
    const body = await readBody(error.response);
    // Who we are to the kubelet is our own affair; all else that it says is for the client, who prints it.
    if (statusCode < 400 || statusCode === 401 || statusCode === 403)
      throw statusFromKubelet(statusCode, body, kubelet.nodeName, call.name);
    socket.end(refusal(statusCode, headers['content-type'] ?? 'text/plain; charset=utf-8', body));
  } finally {
    call.signal.removeEventListener('abort', leave);
  }
}
