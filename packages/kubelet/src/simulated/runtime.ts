import { randomBytes } from 'node:crypto';
import { durationMs } from '@cloudless/kube/duration';
import type { Clock } from '@cloudless/kube/clock';
import { criCode, CriError } from '../cri/error.ts';
import { criCalls, type CriCalls } from '../cri/generated/calls.ts';
import {
  type Container,
  type ContainerStatus,
  type Image,
  type PodSandbox,
  type PodSandboxStatus,
  CgroupDriver,
  ContainerState,
  NamespaceMode,
  PodSandboxState,
  Signal,
} from '../cri/generated/types.ts';
import type { CriRuntime, RuntimeEvent } from '../cri/runtime.ts';
import { annotations as ours } from '../runtime/labels.ts';
import { type AddressRange, addressRange } from './addresses.ts';

/** A runtime without containers: every call of CRI that the kubelet makes, as a state machine in memory. */
export interface SimulatedRuntime extends CriRuntime {
  /** Ends a running container as its process would. */
  exit(containerId: string, exitCode: number, reason?: string): void;
  /** What every ExecSync answers from now on. */
  answerExec(
    answer: (containerId: string, command: readonly string[]) => { exitCode: number; output?: string },
  ): void;
  /** Makes the next calls of a name fail, until given undefined. */
  failCall(call: keyof CriCalls, error: CriError | undefined): void;
  /** Calls made so far, by name. */
  readonly calls: ReadonlyMap<string, number>;
}

/** Annotations of a pod by which its simulated containers end: `2s`, `500ms`, and an exit code (default 0). */
export const simulatedAnnotations = {
  exitAfter: 'simulated.cloudless.dev/exit-after',
  exitCode: 'simulated.cloudless.dev/exit-code',
} as const;

interface Sandbox {
  status: PodSandboxStatus;
  address: string | undefined;
  range: AddressRange;
}

interface Run {
  status: ContainerStatus;
  sandboxId: string;
  timer: { cancel(): void } | undefined;
}

interface State {
  clock: Clock;
  sandboxes: Map<string, Sandbox>;
  runs: Map<string, Run>;
  images: Map<string, Image>;
  range: AddressRange;
  listeners: Set<(event: RuntimeEvent) => void>;
  lastNanos: bigint;
}

const defaultPodCidr = '10.244.0.0/16';

/**
 * Starts empty. Every image exists; containers run from the moment they are started until they are stopped (an
 * init container ends at once with 0; {@link simulatedAnnotations} end others). Nothing is written anywhere.
 */
export function simulatedRuntime(options: { clock: Clock; podCidr?: string | undefined }): SimulatedRuntime {
  const state: State = {
    clock: options.clock,
    sandboxes: new Map(),
    runs: new Map(),
    images: new Map(),
    range: addressRange(options.podCidr ?? defaultPodCidr),
    listeners: new Set(),
    lastNanos: 0n,
  };
  const made = new Map<string, number>();
  const failures = new Map<string, CriError>();
  let exec: Parameters<SimulatedRuntime['answerExec']>[0] = () => ({ exitCode: 0 });
  const implemented: Partial<CriCalls> = {
    ...runtimeCalls(state),
    ...sandboxCalls(state),
    ...containerCalls(state),
    ...imageCalls(state),
    execSync: async ({ containerId, cmd }) => {
      running(state, containerId ?? '');
      const answer = exec(containerId ?? '', cmd ?? []);
      return {
        exitCode: answer.exitCode,
        stdout: Buffer.from(answer.output ?? ''),
        stderr: new Uint8Array(),
      };
    },
  };
  return {
    ...counted(implemented, made, failures),
    socketPath: '',
    events: (signal) => eventsOf(state, signal),
    waitReady: async () => {},
    close: () => {
      for (const run of state.runs.values()) run.timer?.cancel();
    },
    exit: (containerId, exitCode, reason) => end(state, containerId, exitCode, reason),
    answerExec: (answer) => {
      exec = answer;
    },
    failCall: (call, error) => {
      if (error) failures.set(call, error);
      else failures.delete(call);
    },
    calls: made,
  };
}

function counted(
  implemented: Partial<CriCalls>,
  made: Map<string, number>,
  failures: Map<string, CriError>,
): CriCalls {
  const entries = (Object.keys(criCalls) as Array<keyof CriCalls>).map((key) => {
    const call = implemented[key] as ((request: object) => Promise<object>) | undefined;
    const wrapped = async (request: object): Promise<object> => {
      made.set(key, (made.get(key) ?? 0) + 1);
      const failure = failures.get(key);
      if (failure) throw failure;
      if (!call) {
        throw new CriError(
          key,
          criCode.Unimplemented,
          'the simulated runtime runs no processes, so it cannot do this',
        );
      }
      return call(request);
    };
    return [key, wrapped];
  });
  return Object.fromEntries(entries);
}

const notFound = (what: string, id: string): CriError =>
  new CriError(what, criCode.NotFound, `${what} "${id}" not found`);

/** Nanoseconds since the epoch, never the same twice: creation order is kept. */
function nowNanos(state: State): bigint {
  const now = BigInt(Math.floor(state.clock.nowMs())) * 1_000_000n;
  state.lastNanos = now > state.lastNanos ? now : state.lastNanos + 1n;
  return state.lastNanos;
}

const newId = (): string => randomBytes(32).toString('hex');

function tell(state: State, event: RuntimeEvent): void {
  for (const listener of state.listeners) listener(event);
}

async function* eventsOf(state: State, signal: AbortSignal): AsyncGenerator<RuntimeEvent, void, undefined> {
  const queue: RuntimeEvent[] = [{ kind: 'resync', reason: 'first subscription' }];
  let wake: (() => void) | undefined;
  const listener = (event: RuntimeEvent): void => {
    queue.push(event);
    wake?.();
  };
  const ended = (): void => wake?.();
  state.listeners.add(listener);
  signal.addEventListener('abort', ended, { once: true });
  try {
    while (!signal.aborted) {
      const event = queue.shift();
      if (event) yield event;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
    }
  } finally {
    state.listeners.delete(listener);
    signal.removeEventListener('abort', ended);
  }
}

function runtimeCalls(state: State): Partial<CriCalls> {
  return {
    version: async () => ({
      version: '0.1.0',
      runtimeName: 'simulated',
      runtimeVersion: '0.1.0',
      runtimeApiVersion: 'v1',
    }),
    status: async () => ({
      status: {
        conditions: ['RuntimeReady', 'NetworkReady'].map((type) => ({
          type,
          status: true,
          reason: '',
          message: '',
        })),
      },
      info: {},
      runtimeHandlers: [],
    }),
    runtimeConfig: async () => ({ linux: { cgroupDriver: CgroupDriver.CGROUPFS } }),
    updateRuntimeConfig: async ({ runtimeConfig }) => {
      const cidr = runtimeConfig?.networkConfig?.podCidr;
      if (cidr) state.range = addressRange(cidr.split(',')[0]!);
      return {};
    },
  };
}

function sandboxCalls(state: State): Partial<CriCalls> {
  return {
    runPodSandbox: async ({ config }) => {
      const id = newId();
      const network = config?.linux?.securityContext?.namespaceOptions?.network ?? NamespaceMode.POD;
      const address = network === NamespaceMode.NODE ? undefined : state.range.take();
      state.sandboxes.set(id, {
        address,
        range: state.range,
        status: {
          id,
          metadata: {
            name: config?.metadata?.name ?? '',
            namespace: config?.metadata?.namespace ?? '',
            uid: config?.metadata?.uid ?? '',
            attempt: config?.metadata?.attempt ?? 0,
          },
          state: PodSandboxState.SANDBOX_READY,
          createdAt: nowNanos(state),
          network: { ip: address ?? '', additionalIps: [] },
          linux: { namespaces: { options: { network, pid: 0, ipc: 0, targetId: '' } } },
          labels: { ...config?.labels },
          annotations: { ...config?.annotations },
          runtimeHandler: '',
        },
      });
      return { podSandboxId: id };
    },
    stopPodSandbox: async ({ podSandboxId = '' }) => {
      stopSandbox(state, podSandboxId);
      return {};
    },
    removePodSandbox: async ({ podSandboxId = '' }) => {
      stopSandbox(state, podSandboxId);
      for (const [id, run] of state.runs) if (run.sandboxId === podSandboxId) state.runs.delete(id);
      state.sandboxes.delete(podSandboxId);
      return {};
    },
    podSandboxStatus: async ({ podSandboxId = '' }) => {
      const sandbox = state.sandboxes.get(podSandboxId);
      if (!sandbox) throw notFound('PodSandboxStatus', podSandboxId);
      return { status: sandbox.status, info: {}, containersStatuses: [], timestamp: 0n };
    },
    listPodSandbox: async ({ filter }) => ({
      items: [...state.sandboxes.values()]
        .map(({ status }): PodSandbox => ({ ...status }))
        .filter((item) => fits(item.labels, filter?.labelSelector) && (!filter?.id || item.id === filter.id)),
    }),
  };
}

const fits = (
  labels: Record<string, string>,
  selector: Readonly<Record<string, string>> | undefined,
): boolean => Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);

function stopSandbox(state: State, id: string): void {
  const sandbox = state.sandboxes.get(id);
  if (!sandbox) return;
  for (const [runId, run] of state.runs) {
    if (run.sandboxId === id && run.status.state === ContainerState.CONTAINER_RUNNING)
      end(state, runId, 137, 'Error');
  }
  if (sandbox.address) sandbox.range.give(sandbox.address);
  sandbox.address = undefined;
  if (sandbox.status.state === PodSandboxState.SANDBOX_NOTREADY) return;
  sandbox.status = { ...sandbox.status, state: PodSandboxState.SANDBOX_NOTREADY };
  tell(state, { kind: 'exited', containerId: id });
}

function containerCalls(state: State): Partial<CriCalls> {
  return {
    createContainer: async ({ podSandboxId = '', config }) => {
      if (!state.sandboxes.has(podSandboxId)) throw notFound('CreateContainer', podSandboxId);
      const id = newId();
      const image = config?.image?.image ?? '';
      state.runs.set(id, {
        sandboxId: podSandboxId,
        timer: undefined,
        status: {
          id,
          metadata: { name: config?.metadata?.name ?? '', attempt: config?.metadata?.attempt ?? 0 },
          state: ContainerState.CONTAINER_CREATED,
          createdAt: nowNanos(state),
          startedAt: 0n,
          finishedAt: 0n,
          exitCode: 0,
          image: imageSpec(image),
          imageRef: image,
          reason: '',
          message: '',
          labels: { ...config?.labels },
          annotations: { ...config?.annotations },
          mounts: [],
          logPath: '',
          imageId: image,
          stopSignal: Signal.SIGNAL_RUNTIME_DEFAULT,
        },
      });
      tell(state, { kind: 'created', containerId: id });
      return { containerId: id };
    },
    startContainer: async ({ containerId = '' }) => {
      start(state, containerId);
      return {};
    },
    stopContainer: async ({ containerId = '' }) => {
      const run = state.runs.get(containerId);
      if (run?.status.state === ContainerState.CONTAINER_RUNNING) end(state, containerId, 0);
      return {};
    },
    removeContainer: async ({ containerId = '' }) => {
      state.runs.get(containerId)?.timer?.cancel();
      if (state.runs.delete(containerId)) tell(state, { kind: 'deleted', containerId });
      return {};
    },
    containerStatus: async ({ containerId = '' }) => {
      const run = state.runs.get(containerId);
      if (!run) throw notFound('ContainerStatus', containerId);
      return { status: run.status, info: {} };
    },
    listContainers: async ({ filter }) => ({
      containers: [...state.runs.values()]
        .filter(({ status, sandboxId }) => {
          if (filter?.id && status.id !== filter.id) return false;
          if (filter?.podSandboxId && sandboxId !== filter.podSandboxId) return false;
          return fits(status.labels, filter?.labelSelector);
        })
        .map(({ status, sandboxId }): Container => ({ ...status, podSandboxId: sandboxId })),
    }),
  };
}

function running(state: State, id: string): Run {
  const run = state.runs.get(id);
  if (!run) throw notFound('container', id);
  if (run.status.state !== ContainerState.CONTAINER_RUNNING) {
    throw new CriError('ExecSync', criCode.FailedPrecondition, `container "${id}" is not running`);
  }
  return run;
}

function start(state: State, id: string): void {
  const run = state.runs.get(id);
  if (!run) throw notFound('StartContainer', id);
  run.status = { ...run.status, state: ContainerState.CONTAINER_RUNNING, startedAt: nowNanos(state) };
  tell(state, { kind: 'started', containerId: id });
  const pod = state.sandboxes.get(run.sandboxId)?.status.annotations ?? {};
  const after = durationMs(pod[simulatedAnnotations.exitAfter] ?? '');
  const kind = run.status.annotations[ours.kind];
  if (kind === 'init') end(state, id, 0);
  else if (after !== undefined && kind === 'regular') {
    const exitCode = Number(pod[simulatedAnnotations.exitCode] ?? '0');
    run.timer = state.clock.setTimeout(() => end(state, id, exitCode), after);
  }
}

function end(
  state: State,
  id: string,
  exitCode: number,
  reason = exitCode === 0 ? 'Completed' : 'Error',
): void {
  const run = state.runs.get(id);
  if (!run || run.status.state !== ContainerState.CONTAINER_RUNNING) return;
  run.timer?.cancel();
  run.status = {
    ...run.status,
    state: ContainerState.CONTAINER_EXITED,
    finishedAt: nowNanos(state),
    exitCode,
    reason,
  };
  tell(state, { kind: 'exited', containerId: id, exitCode });
}

const imageSpec = (image: string) => ({
  image,
  annotations: {},
  userSpecifiedImage: image,
  runtimeHandler: '',
  imageRef: '',
});

function imageCalls(state: State): Partial<CriCalls> {
  const known = (name: string): Image => {
    let image = state.images.get(name);
    if (!image) {
      image = {
        id: name,
        repoTags: [name],
        repoDigests: [],
        size: 0n,
        username: '',
        pinned: false,
        spec: imageSpec(name),
      };
      state.images.set(name, image);
    }
    return image;
  };
  return {
    imageStatus: async ({ image }) => ({ image: known(image?.image ?? ''), info: {} }),
    pullImage: async ({ image }) => ({ imageRef: known(image?.image ?? '').id }),
    listImages: async () => ({ images: [...state.images.values()] }),
    removeImage: async ({ image }) => {
      state.images.delete(image?.image ?? '');
      return {};
    },
    imageFsInfo: async () => ({ imageFilesystems: [], containerFilesystems: [] }),
  };
}
