import type { Logger } from '@cloudless/kube/logger';
import { loadRoot, messageCodec, type PackageFacts } from '@cloudless/kube/protobuf/facts';
import type { Channel } from './channel.ts';
import { CriError, isCriRefused } from './error.ts';
import type { CriCalls } from './generated/calls.ts';
import { ContainerEventType } from './generated/types.ts';

/** Something that happened to a container or to a sandbox's own process; `containerId` may be either's. */
export type RuntimeEvent =
  | { kind: 'resync'; reason: string }
  | { kind: 'relist-only'; reason: string }
  | { kind: 'created' | 'started' | 'oom' | 'deleted'; containerId: string }
  | { kind: 'exited'; containerId: string; exitCode?: number | undefined };

interface Source {
  channel: Channel;
  calls: CriCalls;
  log: Logger;
  signal: AbortSignal;
}

/** Messages of containerd's own event service (containerd: api/services/events/v1, api/events), what we read of them. */
const eventFacts: PackageFacts = {
  package: 'containerd.events',
  syntax: 'proto3',
  imports: [],
  enums: {},
  messages: {
    SubscribeRequest: [{ name: 'filters', number: 1, type: 'string', label: 'repeated' }],
    Any: [
      { name: 'typeUrl', number: 1, type: 'string' },
      { name: 'value', number: 2, type: 'bytes' },
    ],
    Envelope: [
      { name: 'namespace', number: 2, type: 'string' },
      { name: 'topic', number: 3, type: 'string' },
      { name: 'event', number: 4, type: 'Any' },
    ],
    TaskStart: [{ name: 'containerId', number: 1, type: 'string' }],
    TaskOOM: [{ name: 'containerId', number: 1, type: 'string' }],
    TaskExit: [
      { name: 'containerId', number: 1, type: 'string' },
      { name: 'id', number: 2, type: 'string' },
      { name: 'exitStatus', number: 4, type: 'uint32' },
    ],
    TaskDelete: [
      { name: 'containerId', number: 1, type: 'string' },
      { name: 'id', number: 5, type: 'string' },
    ],
  },
};
const root = loadRoot([eventFacts]);
const subscribeCodec = messageCodec<{ filters: string[] }>(root, 'containerd.events.SubscribeRequest');
const envelopeCodec = messageCodec<{
  namespace: string;
  topic: string;
  event?: { typeUrl: string; value: Uint8Array };
}>(root, 'containerd.events.Envelope');
const taskCodec = messageCodec<{ containerId: string }>(root, 'containerd.events.TaskStart');
const exitCodec = messageCodec<{ containerId: string; id: string; exitStatus: number }>(
  root,
  'containerd.events.TaskExit',
);
const deleteCodec = messageCodec<{ containerId: string; id: string }>(root, 'containerd.events.TaskDelete');

/** The namespace in which containerd's CRI plugin keeps everything. */
const criNamespace = 'k8s.io';
const topics = ['/tasks/start', '/tasks/exit', '/tasks/oom', '/tasks/delete'];

/** Undefined for what concerns no container: an exec's process that ended, an unknown topic. */
function fromEnvelope(bytes: Buffer): RuntimeEvent | undefined {
  const { topic, event } = envelopeCodec.decode(bytes);
  if (!event) return undefined;
  switch (topic) {
    case '/tasks/start':
      return { kind: 'started', containerId: taskCodec.decode(event.value).containerId };
    case '/tasks/oom':
      return { kind: 'oom', containerId: taskCodec.decode(event.value).containerId };
    case '/tasks/exit': {
      const exit = exitCodec.decode(event.value);
      if (exit.id !== '' && exit.id !== exit.containerId) return undefined;
      return { kind: 'exited', containerId: exit.containerId, exitCode: exit.exitStatus };
    }
    case '/tasks/delete': {
      const gone = deleteCodec.decode(event.value);
      if (gone.id !== '' && gone.id !== gone.containerId) return undefined;
      return { kind: 'deleted', containerId: gone.containerId };
    }
    default:
      return undefined;
  }
}

async function* fromContainerd(source: Source): AsyncGenerator<RuntimeEvent, void, undefined> {
  const request = subscribeCodec.encode({
    filters: topics.map((topic) => `namespace==${criNamespace},topic=="${topic}"`),
  });
  const call = {
    name: 'Subscribe',
    path: '/containerd.services.events.v1.Events/Subscribe',
    signal: source.signal,
    deadlineMs: Infinity,
  };
  for await (const bytes of source.channel.stream(call, request)) {
    const event = fromEnvelope(bytes);
    if (event) yield event;
  }
}

const criKinds: Record<number, 'created' | 'started' | 'exited' | 'deleted'> = {
  [ContainerEventType.CONTAINER_CREATED_EVENT]: 'created',
  [ContainerEventType.CONTAINER_STARTED_EVENT]: 'started',
  [ContainerEventType.CONTAINER_STOPPED_EVENT]: 'exited',
  [ContainerEventType.CONTAINER_DELETED_EVENT]: 'deleted',
};

/** CRI's own events, which containerd has from 1.7 and CRI-O from 1.26. */
async function* fromCri(source: Source): AsyncGenerator<RuntimeEvent, void, undefined> {
  for await (const event of source.calls.getContainerEvents({}, { signal: source.signal })) {
    const kind = criKinds[event.containerEventType];
    if (kind) yield { kind, containerId: event.containerId };
  }
}

const longestPauseMs = 1000;

/**
 * Events from whichever source the runtime has: containerd's own, else CRI's, else none. A subscription cannot
 * be told apart from a silent one, so a `resync` follows each: a listing after it misses nothing.
 */
export async function* watchRuntimeEvents(source: Source): AsyncGenerator<RuntimeEvent, void, undefined> {
  const sources = [fromContainerd, fromCri];
  let pauseMs = 50;
  let why = 'first subscription';
  while (!source.signal.aborted) {
    const subscribe = sources[0];
    if (!subscribe) {
      yield { kind: 'relist-only', reason: why };
      return;
    }
    try {
      for await (const event of subscribed(subscribe, source, why)) {
        pauseMs = 50;
        yield event;
      }
      why = 'the runtime ended the event stream';
    } catch (error) {
      if (source.signal.aborted) return;
      if (!(error instanceof CriError)) throw error;
      why = error.message;
      if (isCriRefused(error)) {
        sources.shift();
        source.log.info({ reason: error.text }, 'the runtime refuses this kind of events');
        continue;
      }
      source.log.debug({ reason: error.text, pauseMs }, 'runtime events interrupted');
    }
    await pause(pauseMs, source.signal);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** How long a fresh subscription is given to be refused before it counts as standing. */
const settleMs = 20;

/** Puts a `resync` in front once the subscription stands, that is, is not refused at once. */
async function* subscribed(
  subscribe: (source: Source) => AsyncGenerator<RuntimeEvent, void, undefined>,
  source: Source,
  reason: string,
): AsyncGenerator<RuntimeEvent, void, undefined> {
  const ended = new AbortController();
  const events = subscribe({ ...source, signal: AbortSignal.any([source.signal, ended.signal]) });
  const first = events.next();
  try {
    const settled = new Promise<'standing'>((resolve) => setTimeout(() => resolve('standing'), settleMs));
    const early = await Promise.race([first, settled]);
    yield { kind: 'resync', reason };
    if (early !== 'standing' && early.done) return;
    const head = await first;
    if (head.done) return;
    yield head.value;
    yield* events;
  } finally {
    // Left early: a read may be pending, which only the end of the call settles.
    ended.abort();
    first.catch(() => undefined);
    await events.return().catch(() => undefined);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
