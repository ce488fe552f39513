import { statSync, copyFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { nodeNamespacePrefix } from '@cloudless/kubelet/containerd/namespace';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import { type ChildMessage, type ChildName, SupervisedChild } from './child.ts';
import { serveControlSocket, type SupervisorStatus } from './control-socket.ts';
import { nodeFlagsOf } from './node-flags.ts';
import { openProgramPrefix } from './open-program.ts';

const log = logger('supervisor');
const logLimitBytes = 32 * 1024 * 1024;
const program = join(import.meta.dirname, '..', '..', '..', '..');
const mainScript = 'packages/cli/src/main.ts';

/** A start that cannot succeed; the message comes from the process that gave up. */
export class StartFailedError extends Error {
  override readonly name = 'StartFailedError';
}

export interface Supervisor extends Running {
  /** Resolves when every process is ready; rejects with {@link StartFailedError}. */
  readonly ready: Promise<void>;
  status(): SupervisorStatus;
  /** Resolves when `cloudless down` asked for the end. */
  readonly stopRequested: Promise<void>;
  /**
   * Ends the processes in reverse order; with `stop-pods` the node's pods end too. `afterwards` runs when they have
   * ended and before `cloudless down` hears of it: until then no other supervisor can start here.
   */
  end(mode: 'leave-pods' | 'stop-pods', afterwards?: () => Promise<void>): Promise<void>;
}

/** Reported as the start goes on: a child's step. */
export type OnProgress = (child: ChildName, step: string, detail: string) => void;

/**
 * Which processes run, in the order of their start. The speaker waits until another says that there is something to
 * announce, unless a file says so from the beginning.
 */
function childrenOf(config: ClusterConfig): { names: ChildName[]; later: ReadonlySet<ChildName> } {
  const names: ChildName[] = config.role === 'agent' ? ['node-agent'] : ['control-plane', 'node-agent'];
  if (config.role === 'up' && !config.disable.includes('dns')) names.push('dns');
  const speaks = config.runtime !== 'simulated' && !config.disable.includes('loadbalancer');
  if (speaks) names.push('speaker');
  return { names, later: new Set(config.announcementsFile === undefined ? ['speaker'] : []) };
}

/** Starts and supervises the processes of `up` or `agent`. */
export async function startSupervisor(
  config: ClusterConfig,
  configPath: string,
  onProgress: OnProgress,
): Promise<Supervisor> {
  const context = contextOf(config);
  const startedMs = Date.now();
  const { names, later } = childrenOf(config);
  const awaited = (): SupervisedChild[] => children.filter((child) => !later.has(child.name));
  const isReady = (): boolean => awaited().every((child) => child.status.state === 'ready');
  const started = new Set<ChildName>(names.filter((name) => !later.has(name)));
  let step = 'starting';
  let failure: string | undefined;
  const ready = Promise.withResolvers<void>();
  // `up` may fail before anybody awaits it.
  ready.promise.catch(() => {});
  const stopRequested = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();

  const onMessage = (name: ChildName, message: ChildMessage): void => {
    switch (message.type) {
      case 'progress':
        step = `${name}: ${message.step}`;
        onProgress(name, message.step, message.detail ?? '');
        return;
      case 'ready':
        if (isReady()) ready.resolve();
        return;
      case 'needs':
        if (started.has(message.child)) return;
        started.add(message.child);
        children.find((child) => child.name === message.child)?.start();
        return;
      case 'fatal':
        log.error({ child: name }, message.message);
        // What was started later may fail alone.
        if (later.has(name)) return;
        failure = `${name}: ${message.message}`;
        ready.reject(new StartFailedError(message.message));
    }
  };
  const prefixOf = (name: ChildName): string[] => {
    // The kubelet and its private containerd share a mount namespace, so that volumes' mounts propagate.
    if (name === 'node-agent' && config.runtime === 'containerd') return nodeNamespacePrefix(context);
    // It gives root away, and loads the authoritative DNS when that is asked for.
    return name === 'dns' ? openProgramPrefix(program) : [];
  };
  const scriptOf = (prefix: readonly string[]): string =>
    prefix.at(-1) === program ? mainScript : join(program, mainScript);
  const children = names.map(
    (name) =>
      new SupervisedChild({
        name,
        command: () => {
          const prefix = prefixOf(name);
          const node = [process.execPath, ...nodeFlagsOf(name), scriptOf(prefix)];
          return [...prefix, ...node, 'process', name, '--config', configPath];
        },
        logFolder: context.paths.logs,
        onMessage: (message) => onMessage(name, message),
        log,
      }),
  );
  const status = (): SupervisorStatus => ({
    pid: process.pid,
    startedMs,
    ready: isReady(),
    step,
    failure,
    children: children.filter(({ name }) => started.has(name)).map((child) => child.status),
  });

  const socket = await serveControlSocket(context, async (request) => {
    if (request.command === 'stop') {
      stopRequested.resolve();
      await stopped.promise;
    }
    return status();
  });
  for (const child of awaited()) child.start();
  const rotation = setInterval(() => rotateLogs(context.paths.logs, names), 60_000);

  let ending: Promise<void> | undefined;
  const end: Supervisor['end'] = (mode, afterwards) =>
    (ending ??= (async () => {
      clearInterval(rotation);
      // The speaker first, so that others take its addresses over; then the node: ending its pods properly needs the
      // API; then the control plane.
      for (const name of ['speaker', 'node-agent', 'dns', 'control-plane'] as const) {
        const child = children.find((candidate) => candidate.name === name);
        const delayMs = name === 'control-plane' ? (config.shutdownDelayMs ?? 0) : 0;
        const graceMs = name === 'node-agent' && mode === 'stop-pods' ? 90_000 : 15_000;
        await child?.stop(graceMs + delayMs, mode);
      }
      try {
        await afterwards?.();
      } finally {
        stopped.resolve();
        await socket.stop();
      }
    })());
  return {
    ready: ready.promise,
    status,
    stopRequested: stopRequested.promise,
    end,
    stop: () => end('leave-pods'),
    [Symbol.asyncDispose]: () => end('leave-pods'),
  };
}

/** Keeps each log below a limit: the file is open in append mode, so copying and truncating loses at most a line. */
function rotateLogs(folder: string, names: readonly ChildName[]): void {
  for (const name of [...names, 'supervisor']) {
    const path = join(folder, `${name}.log`);
    try {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (size < logLimitBytes) continue;
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    } catch (error) {
      log.warn({ path, err: String(error) }, 'could not rotate a log');
    }
  }
}
