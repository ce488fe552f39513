import type { ContainerStatus, Pod } from '@cloudless/kube/types/core-v1';
import type { Clock } from '@cloudless/kube/clock';
import { ContainerState } from '../cri/generated/types.ts';
import { isCriNotFound } from '../cri/error.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { HttpError } from './http-error.ts';
import { type LogReadOptions, readLog } from './log-reader.ts';

/** What a client asked for; query parameters of PodLogOptions. */
export interface LogRequest {
  selection: LogReadOptions;
  previous: boolean;
}

const truths = new Set(['1', 'true', 'True', 'TRUE', 't', 'T']);

/** Reads PodLogOptions from a query; throws 400 and 422 as upstream's kubelet does. */
export function parseLogQuery(query: URLSearchParams, clock: Clock): LogRequest {
  const invalid = (): HttpError => new HttpError(422, '{"message": "Invalid request."}');
  const number = (name: string, least: number): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^-?\d+$/.test(text)) throw new HttpError(400, '{"message": "Unable to decode query."}');
    const value = Number(text);
    if (value < least) throw invalid();
    return value;
  };
  const flag = (name: string): boolean => truths.has(query.get(name) ?? '');
  // `tail` is the older name; "all" is the same as leaving it out.
  const tail = query.get('tail');
  if (tail && tail !== 'all') query.set('tailLines', tail);
  const sinceSeconds = number('sinceSeconds', 1);
  const sinceTime = query.get('sinceTime');
  const at = sinceTime ? Date.parse(sinceTime) : undefined;
  if (at !== undefined && Number.isNaN(at))
    throw new HttpError(400, '{"message": "Unable to decode query."}');
  if (at !== undefined && sinceSeconds !== undefined) throw invalid();
  const stream = query.get('stream') || 'All';
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') throw invalid();
  return {
    previous: flag('previous'),
    selection: {
      follow: flag('follow'),
      timestamps: flag('timestamps'),
      tailLines: number('tailLines', 0),
      limitBytes: number('limitBytes', 1),
      sinceMs: sinceSeconds === undefined ? at : clock.nowMs() - sinceSeconds * 1000,
      stream,
    },
  };
}

const waitingTexts: Record<string, string> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: 'trying and failing to pull image',
};

/** The id of the container whose log is meant, or why there is none (upstream: validateContainerLogStatus). */
export function loggedContainerId(pod: Pod, container: string, previous: boolean): string {
  const podName = pod.metadata.name ?? '';
  const text = (what: string): HttpError => new HttpError(400, what);
  const of = `container "${container}" in pod "${podName}"`;
  const status = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ].find((each: ContainerStatus) => each.name === container);
  if (!status) throw text(`${of} is not available`);
  const before = status.lastState?.terminated?.containerID;
  const { waiting, running, terminated } = status.state ?? {};
  let id: string | undefined;
  if (previous) {
    if (!before) throw text(`previous terminated ${of} not found`);
    id = before;
  } else if (running) {
    id = status.containerID;
  } else if (terminated) {
    id = terminated.containerID || before;
    if (!id) throw text(`${of} is terminated`);
  } else if (status.lastState?.terminated) {
    if (!before) throw text(`${of} is terminated`);
    id = before;
  } else if (waiting) {
    throw text(`${of} is waiting to start: ${waitingTexts[waiting.reason ?? ''] ?? waiting.reason ?? ''}`);
  }
  if (!id) throw text(`${of} is waiting to start - no logs yet`);
  return id.replace(/^[a-z0-9-]+:\/\//, '');
}

/**
 * The log of a pod's container in chunks. The first step throws `HttpError`; later ones end the stream.
 */
export async function* containerLog(options: {
  cri: CriRuntime;
  pod: Pod;
  container: string;
  request: LogRequest;
  signal: AbortSignal;
}): AsyncGenerator<Buffer, void, undefined> {
  const { cri, signal } = options;
  const containerId = loggedContainerId(options.pod, options.container, options.request.previous);
  const look = async (): Promise<{ running: boolean; logPath: string } | undefined> => {
    try {
      const { status } = await cri.containerStatus({ containerId }, { signal });
      return {
        running: status?.state === ContainerState.CONTAINER_RUNNING,
        logPath: status?.logPath ?? '',
      };
    } catch (error) {
      if (isCriNotFound(error)) return undefined;
      throw error;
    }
  };
  const found = await look();
  if (!found) {
    throw new HttpError(400, `unable to retrieve container logs for containerd://${containerId}`);
  }
  if (found.logPath === '') {
    throw new HttpError(
      400,
      `container "${options.container}" has no log: its sandbox was made without a log directory`,
    );
  }
  const chunks = readLog({
    path: found.logPath,
    selection: options.request.selection,
    isRunning: async () => (await look())?.running ?? false,
    signal,
  });
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new HttpError(
        400,
        `unable to retrieve container logs for containerd://${containerId}: ${error.message}`,
        error,
      );
    }
    throw error;
  }
}
