import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@cloudless/kube/clock';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { PodSandboxState } from '../cri/generated/types.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { containersOf } from '../naming/pod.ts';
import { labels } from '../runtime/labels.ts';
import { containerLog, parseLogQuery } from './container-log.ts';
import { HttpError } from './http-error.ts';
import { httpErrorOf, type PodStreamRequest, runningContainer } from './pod-streams.ts';
import type { KubeletPods, KubeletServerOptions } from './server.ts';
import { Stats } from './stats.ts';

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  signal: AbortSignal;
}

/** Answers one authorized request, or throws `HttpError`. */
export type Routes = (exchange: Exchange) => Promise<void>;

type Handler = (exchange: Exchange, path: string[]) => Promise<void> | void;

/** The handlers of the kubelet's API by the first word of the path. */
export function makeRoutes(options: KubeletServerOptions & { clock: Clock }): Routes {
  const stats = new Stats({
    cri: options.cri,
    clock: options.clock,
    nodeName: options.nodeName,
    folder: options.statsFolder,
  });
  const handlers: Record<string, Handler> = {
    healthz: (exchange) => {
      const wrong = options.unhealthy?.();
      if (wrong !== undefined) throw new HttpError(500, wrong);
      text(exchange, 'ok');
    },
    pods: onlyGet((exchange) => json(exchange, podList(options.pods.list()))),
    runningpods: onlyGet(async (exchange) => json(exchange, podList(await runningPods(options.cri)))),
    containerLogs: onlyGet((exchange, path) => serveLog(options, exchange, path)),
    configz: onlyGet((exchange) => json(exchange, { kubeletconfig: options.configuration ?? {} })),
    stats: onlyGet(async (exchange, path) => {
      if (path[1] !== 'summary') throw new HttpError(404, 'the kubelet has statistics at /stats/summary\n');
      json(exchange, await stats.summary());
    }),
    metrics: onlyGet(async (exchange, path) => {
      if (path[1] === 'resource') text(exchange, await stats.resourceMetrics(), metricsType);
      else if (path.length === 1) text(exchange, (await options.metrics?.()) ?? '', metricsType);
      else throw new HttpError(404, 'the kubelet has metrics at /metrics and /metrics/resource\n');
    }),
    run: (exchange, path) => serveRun(options, exchange, path),
    exec: needsUpgrade,
    attach: needsUpgrade,
    portForward: needsUpgrade,
    logs: () => {
      throw new HttpError(405, 'logs endpoint is disabled.\n');
    },
  };
  return async (exchange) => {
    const path = segments(exchange.url);
    const handler = Object.hasOwn(handlers, path[0] ?? '') ? handlers[path[0] ?? ''] : undefined;
    if (!handler) throw new HttpError(404, '404 page not found\n');
    try {
      await handler(exchange, path);
    } catch (error) {
      throw httpErrorOf(error);
    }
  };
}

const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

function segments(url: URL): string[] {
  try {
    return url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    throw new HttpError(400, `the path ${url.pathname} is not well encoded\n`);
  }
}

const onlyGet =
  (handler: Handler): Handler =>
  (exchange, path) => {
    if (exchange.request.method !== 'GET') throw new HttpError(405, 'Method Not Allowed');
    return handler(exchange, path);
  };

const needsUpgrade: Handler = () => {
  throw new HttpError(400, 'Upgrade request required');
};

function text({ response }: Exchange, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(200, { 'content-type': type });
  response.end(body);
}

function json({ response }: Exchange, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

const podList = (pods: readonly Pod[]): object => ({
  kind: 'PodList',
  apiVersion: 'v1',
  metadata: {},
  items: pods,
});

/** Pods as the runtime has them, wanted or not (upstream: GetRunningPods). */
async function runningPods(cri: CriRuntime): Promise<Pod[]> {
  const [{ items }, { containers }] = await Promise.all([
    cri.listPodSandbox({ filter: { state: { state: PodSandboxState.SANDBOX_READY } } }),
    cri.listContainers({}),
  ]);
  return items.map((sandbox) => ({
    metadata: {
      name: sandbox.metadata?.name ?? '',
      namespace: sandbox.metadata?.namespace ?? '',
      uid: sandbox.metadata?.uid ?? '',
    },
    spec: {
      containers: containers
        .filter((each) => each.podSandboxId === sandbox.id)
        .map((each) => ({ name: each.labels[labels.containerName] ?? '', image: each.image?.image ?? '' })),
    },
  }));
}

function findPod(
  pods: KubeletPods,
  namespace: string | undefined,
  name: string | undefined,
  uid?: string,
): Pod {
  const pod = pods.find(namespace ?? '', name ?? '');
  if (!pod || (uid !== undefined && pod.metadata.uid !== uid))
    throw new HttpError(404, `pod "${name}" does not exist`);
  return pod;
}

async function serveLog(
  options: KubeletServerOptions & { clock: Clock },
  { response, url, signal }: Exchange,
  [, namespace, name, container]: string[],
): Promise<void> {
  if (!namespace || !name || !container) throw new HttpError(400, '{"message": "Missing container name."}');
  const request = parseLogQuery(url.searchParams, options.clock);
  const pod = findPod(options.pods, namespace, name);
  if (!containersOf(pod).some(({ spec }) => spec.name === container)) {
    throw new HttpError(404, `container "${container}" not found in pod "${name}"`);
  }
  const head = (): void => {
    if (response.headersSent) return;
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.flushHeaders();
  };
  const chunks = containerLog({ cri: options.cri, pod, container, request, signal });
  // A follower of a silent container must see the headers; what is wrong shows before the first wait.
  const first = chunks.next();
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), headersAfterMs);
  });
  const early = await Promise.race([first, waited]).finally(() => clearTimeout(timer));
  head();
  const done = early ?? (await first);
  try {
    if (!done.done) {
      await write(response, done.value, signal);
      for await (const chunk of chunks) await write(response, chunk, signal);
    }
  } finally {
    // A reader that left at the first chunk has left the file open.
    await chunks.return();
  }
  response.end();
}

/** A follower gets its headers after this long, even when there is nothing to show. */
const headersAfterMs = 200;

/** Waits while the client is slower than the log. */
async function write(response: ServerResponse, chunk: Buffer, signal: AbortSignal): Promise<void> {
  if (response.write(chunk)) return;
  await once(response, 'drain', { signal });
}

/** `/run/NS/POD[/UID]/CONTAINER?cmd=…`: runs a command to its end and answers with its output. */
async function serveRun(options: KubeletServerOptions, exchange: Exchange, path: string[]): Promise<void> {
  if (exchange.request.method !== 'POST') throw new HttpError(405, 'Method Not Allowed');
  const [, namespace, name, third, fourth] = path;
  const pod = findPod(options.pods, namespace, name, fourth === undefined ? undefined : third);
  const containerId = await runningContainer(options.cri, pod, fourth ?? third ?? '');
  const cmd = (exchange.url.searchParams.get('cmd') ?? '').split(' ').filter(Boolean);
  if (cmd.length === 0) throw new HttpError(400, 'the parameter cmd is missing');
  const { stdout, stderr, exitCode } = await options.cri.execSync(
    { containerId, cmd, timeout: 0n },
    { signal: exchange.signal, deadlineMs: 120_000 },
  );
  const output = Buffer.concat([stdout, stderr]).toString('utf8');
  if (exitCode !== 0)
    throw new HttpError(500, `command '${cmd.join(' ')}' exited with ${exitCode}: ${output}`);
  text(exchange, output);
}

/** Reads `/exec/NS/POD[/UID]/CONTAINER`, `/attach/…` and `/portForward/NS/POD[/UID]`; throws 404 for others. */
export function streamOf(url: URL, pods: KubeletPods): PodStreamRequest {
  const [kind, namespace, name, third, fourth] = segments(url);
  if (kind === 'portForward') {
    return { kind, pod: findPod(pods, namespace, name, third), container: '', query: url.searchParams };
  }
  if (kind !== 'exec' && kind !== 'attach') throw new HttpError(404, '404 page not found\n');
  if (!third) throw new HttpError(404, 'the path lacks the name of the container');
  const pod = findPod(pods, namespace, name, fourth === undefined ? undefined : third);
  return { kind, pod, container: fourth ?? third, query: url.searchParams };
}
