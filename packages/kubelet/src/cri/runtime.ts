import type { Logger } from '@cloudless/kube/logger';
import { loadRoot, messageCodec, type MessageCodec } from '@cloudless/kube/protobuf/facts';
import { Channel } from './channel.ts';
import { CriError, criCode, isCriRefused } from './error.ts';
import { type RuntimeEvent, watchRuntimeEvents } from './events.ts';
import { type CallOptions, type CriCalls, criCalls } from './generated/calls.ts';
import { criFacts } from './generated/facts.ts';

export type { CallOptions, CriCalls, RuntimeEvent };

/** A container runtime behind CRI v1. Every failed call throws `CriError`. */
export interface CriRuntime extends CriCalls {
  readonly socketPath: string;
  /**
   * What happens to containers, as it happens. Starts with `resync` and gives another one after every gap (the
   * runtime restarted): list everything then. Reconnects by itself until `signal` aborts, then returns. Where
   * the runtime offers no events, it gives one `relist-only` and returns.
   *
   * containerd reports an exit before its CRI status shows it (a few milliseconds): whoever reads
   * `containerStatus` after `exited` must read again while it still says running.
   */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>;
  /** Resolves when the runtime answers and calls itself ready; throws the last error after `timeoutMs`, or at once without CRI. */
  waitReady(options: { signal?: AbortSignal; timeoutMs: number }): Promise<void>;
  /** Ends the connection; calls in flight fail as cancelled. */
  close(): void;
}

const seconds = 1000;
/** Upstream: `runtimeRequestTimeout`, two minutes. */
const defaultDeadlineMs = 120 * seconds;
/** Beyond a request's own timeout, so that the runtime answers first. */
const slackMs = 2 * seconds;

/**
 * Milliseconds after which a call is given up (upstream: remote_runtime.go): twice the default for a sandbox,
 * the container's own grace on top for a stop, the probe's for ExecSync (which the runtime itself does not keep
 * when a child holds the output open), none for pulls and endless streams.
 */
function deadlineOf(call: keyof CriCalls, request: object): number {
  const timeoutMs =
    'timeout' in request && typeof request.timeout === 'bigint' ? Number(request.timeout) * seconds : 0;
  switch (call) {
    case 'runPodSandbox':
      return 2 * defaultDeadlineMs;
    case 'stopContainer':
      return timeoutMs + defaultDeadlineMs;
    case 'execSync':
      return timeoutMs === 0 ? Infinity : timeoutMs + slackMs;
    case 'pullImage':
    case 'getContainerEvents':
      return Infinity;
    case 'version':
    case 'status':
      return 10 * seconds;
    default:
      return defaultDeadlineMs;
  }
}

type Call = (request: object, options?: CallOptions) => unknown;

function callsOver(channel: Channel): CriCalls {
  const root = loadRoot([criFacts], { camelCase: true });
  const codecs = new Map<string, MessageCodec<object>>();
  const codec = (name: string): MessageCodec<object> => {
    const known = codecs.get(name) ?? messageCodec<object>(root, name);
    codecs.set(name, known);
    return known;
  };
  const entries = (Object.keys(criCalls) as Array<keyof CriCalls>).map((key): [string, Call] => {
    const fact = criCalls[key];
    const name = fact.path.slice(fact.path.lastIndexOf('/') + 1);
    const at = (request: object, options: CallOptions | undefined) => ({
      name,
      path: fact.path,
      signal: options?.signal,
      deadlineMs: options?.deadlineMs ?? deadlineOf(key, request),
    });
    if (fact.stream) {
      return [
        key,
        async function* (request, options) {
          for await (const bytes of channel.stream(at(request, options), codec(fact.request).encode(request)))
            yield codec(fact.response).decode(bytes);
        },
      ];
    }
    return [
      key,
      async (request, options) =>
        codec(fact.response).decode(
          await channel.unary(at(request, options), codec(fact.request).encode(request)),
        ),
    ];
  });
  return Object.fromEntries(entries) as unknown as CriCalls;
}

async function waitReady(
  calls: CriCalls,
  options: { signal?: AbortSignal; timeoutMs: number },
): Promise<void> {
  const end = performance.now() + options.timeoutMs;
  for (;;) {
    options.signal?.throwIfAborted();
    let last: CriError;
    try {
      const { status } = await calls.status({}, { signal: options.signal, deadlineMs: 2 * seconds });
      const ready = status?.conditions.find((condition) => condition.type === 'RuntimeReady');
      if (ready?.status) return;
      last = new CriError('Status', criCode.FailedPrecondition, ready?.message || 'the runtime is not ready');
    } catch (error) {
      // A runtime that answers without CRI has it switched off, or could not load it: waiting is no help.
      if (!(error instanceof CriError) || isCriRefused(error)) throw error;
      last = error;
    }
    if (performance.now() >= end) throw last;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * A client of the CRI runtime at `socketPath`; nothing is sent until the first call. `signal` closes it.
 */
export function connectCri(options: { socketPath: string; signal?: AbortSignal; log: Logger }): CriRuntime {
  const channel = new Channel(options.socketPath);
  const calls = callsOver(channel);
  const closed = new AbortController();
  const close = (): void => {
    closed.abort();
    channel.close();
  };
  options.signal?.addEventListener('abort', close, { once: true });
  return {
    ...calls,
    socketPath: options.socketPath,
    events: (signal) =>
      watchRuntimeEvents({
        channel,
        calls,
        log: options.log,
        signal: AbortSignal.any([signal, closed.signal]),
      }),
    waitReady: (wait) => waitReady(calls, wait),
    close,
  };
}
