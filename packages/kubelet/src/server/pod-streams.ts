import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  isWebSocket,
  offersProtocol,
  portForwardTunnel,
  type RemoteCommandStreams,
  remoteCommandStreams,
  translatePortForward,
  translateRemoteCommand,
  webSocketV5,
} from '@cloudless/kube/streaming/remote-command';
import { passUpgrade, readBody, UpgradeRefused } from '@cloudless/kube/streaming/upgrade';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { CriError, criCode } from '../cri/error.ts';
import { ContainerState, PodSandboxState } from '../cri/generated/types.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { containersOf } from '../naming/pod.ts';
import { labels } from '../runtime/labels.ts';
import { HttpError } from './http-error.ts';
import { isJoinable } from './joinable.ts';

/** A request to run, join or reach something in a pod. */
export interface PodStreamRequest {
  kind: 'exec' | 'attach' | 'portForward';
  pod: Pod;
  /** Empty for port-forward. */
  container: string;
  query: URLSearchParams;
}

const connectTimeoutMs = 10_000;

/** The id of the newest running container of that name. */
async function findRunning(cri: CriRuntime, pod: Pod, container: string): Promise<string | undefined> {
  const { containers } = await cri.listContainers({
    filter: {
      state: { state: ContainerState.CONTAINER_RUNNING },
      labelSelector: { [labels.podUid]: pod.metadata.uid ?? '', [labels.containerName]: container },
    },
  });
  return containers.toSorted((a, b) => Number(b.createdAt - a.createdAt))[0]?.id;
}

/** The running container of that name; throws 404 when there is none. */
export async function runningContainer(cri: CriRuntime, pod: Pod, container: string): Promise<string> {
  const id = await findRunning(cri, pod, container);
  if (id === undefined) throw new HttpError(404, `container not found ("${container}")`);
  return id;
}

/** Upstream's full name of a pod, as its messages show it. */
const fullName = ({ metadata }: Pod): string => `${metadata.name}_${metadata.namespace ?? ''}`;

/**
 * Where the runtime waits for somebody who joins a container. Whether there is a terminal is a matter of how the
 * container was started, not of the request.
 */
async function attachUrl(
  cri: CriRuntime,
  { pod, container }: PodStreamRequest,
  streams: RemoteCommandStreams,
): Promise<string> {
  const containerId = await findRunning(cri, pod, container);
  if (containerId === undefined || !(await isJoinable(cri, containerId)))
    throw new HttpError(404, `container ${container} not found in pod ${fullName(pod)}`);
  const spec = containersOf(pod).find((each) => each.spec.name === container)?.spec;
  const tty = spec?.tty ?? false;
  return (await cri.attach({ ...streams, containerId, tty, stderr: streams.stderr && !tty })).url;
}

async function readySandbox(cri: CriRuntime, pod: Pod): Promise<string> {
  const { items } = await cri.listPodSandbox({
    filter: {
      state: { state: PodSandboxState.SANDBOX_READY },
      labelSelector: { [labels.podUid]: pod.metadata.uid ?? '' },
    },
  });
  const newest = items.toSorted((a, b) => Number(b.createdAt - a.createdAt))[0];
  if (!newest) throw new HttpError(404, `pod not found (${JSON.stringify(fullName(pod))})`);
  return newest.id;
}

/** Ports of a WebSocket port-forward: `port=80,81` or several `port`. */
function portsOf(query: URLSearchParams): number[] {
  return query
    .getAll('port')
    .flatMap((each) => each.split(','))
    .filter((each) => each !== '')
    .map((each) => {
      const port = Number(each);
      if (!Number.isInteger(port) || port < 1 || port > 65535)
        throw new HttpError(400, `invalid port ${JSON.stringify(each)}`);
      return port;
    });
}

/** Asks the runtime for the address at which it waits for the stream. */
async function streamingUrl(cri: CriRuntime, request: PodStreamRequest): Promise<string> {
  if (request.kind === 'portForward') {
    const podSandboxId = await readySandbox(cri, request.pod);
    return (await cri.portForward({ podSandboxId, port: portsOf(request.query) })).url;
  }
  const streams = remoteCommandStreams(request.query);
  if (!streams.stdin && !streams.stdout && !streams.stderr) {
    throw new HttpError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  }
  if (request.kind === 'attach') return attachUrl(cri, request, streams);
  const containerId = await runningContainer(cri, request.pod, request.container);
  const cmd = request.query.getAll('command');
  if (cmd.length === 0)
    throw new HttpError(400, 'you must specify a command to run: the parameter command is missing');
  return (await cri.exec({ ...streams, containerId, cmd })).url;
}

/** What a CRI refusal is in HTTP. */
export function httpErrorOf(error: unknown): unknown {
  if (!(error instanceof CriError)) return error;
  if (error.code === criCode.NotFound) return new HttpError(404, error.text, error);
  if (error.code === criCode.ResourceExhausted) return new HttpError(429, error.text, error);
  if (error.code === criCode.Unavailable)
    return new HttpError(503, `the container runtime is away: ${error.text}`, error);
  return new HttpError(500, error.text, error);
}

/**
 * Carries an upgraded connection to the runtime's streaming server, on the loopback of our network namespace. SPDY
 * and older WebSocket protocols pass as they are; WebSocket v5 and the port-forward tunnel, which no runtime speaks,
 * are translated. Throws `HttpError` before anything is answered; resolves when the stream has ended.
 */
export async function servePodStream(options: {
  cri: CriRuntime;
  request: PodStreamRequest;
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}): Promise<void> {
  const { incoming, socket, head, request } = options;
  try {
    const url = new URL(await streamingUrl(options.cri, request));
    const target = { url, connectTimeoutMs };
    if (isWebSocket(incoming) && request.kind !== 'portForward' && offersProtocol(incoming, webSocketV5)) {
      const streams = remoteCommandStreams(request.query);
      await translateRemoteCommand({ incoming, socket, head, streams, target });
    } else if (isWebSocket(incoming) && offersProtocol(incoming, portForwardTunnel)) {
      await translatePortForward({ incoming, socket, head, target });
    } else {
      await passUpgrade({ incoming, socket, head, target });
    }
  } catch (error) {
    if (error instanceof UpgradeRefused) {
      throw new HttpError(error.response.statusCode ?? 502, await readBody(error.response), error);
    }
    throw httpErrorOf(error);
  }
}
