import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { CriError } from '../cri/error.ts';
import { connectCri, type CriRuntime } from '../cri/runtime.ts';
import { ensurePauseImage, pauseImage } from '../image/pause.ts';
import { containerdConfig } from './config.ts';
import { ContainerdError } from './error.ts';
import { keepLogShort, lastErrors } from './log.ts';
import {
  cgroupDriver,
  containerObstacles,
  findProgram,
  hasCapability,
  needProgram,
  searchPath,
  snapshotterFor,
} from './machine.ts';
import { configFileOf, findContainerd, inNodeNamespace, pidFileOf } from './namespace.ts';
import { identify, isAlive, kill, type PidRecord, waitEnded, writePidRecord } from './process.ts';
import { removeContainerd } from './remove.ts';

/** The node's container runtime, watched over. `stop()` leaves it and its pods running. */
export interface Containerd extends Running {
  readonly socketPath: string;
  /** Process id of the private containerd at this moment; undefined for the machine's own, or while it is down. */
  readonly pid: number | undefined;
  /** True when a containerd of an earlier agent was found running and kept. */
  readonly adopted: boolean;
  readonly cgroupDriver: 'systemd' | 'cgroupfs';
  /**
   * Removes every pod, ends containerd and leaves no process, mount or socket of it behind. Images stay. With the
   * machine's own containerd only its Kubernetes pods are removed.
   */
  shutdown(): Promise<void>;
}

export interface ContainerdOptions {
  context: NodeContext;
  log: Logger;
  /** Ends the watch over containerd as `stop()` does. */
  signal?: AbortSignal | undefined;
  /** Socket of the machine's own containerd; without it a private one is run. */
  machineSocket?: string | undefined;
  /** Milliseconds containerd may take to be ready. */
  readyTimeoutMs?: number | undefined;
}

const socketPathLimitBytes = 107;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** A containerd that ran this long starts anew with the shortest pause. */
const steadyMs = 30_000;
/** How often a containerd that is not our child is looked at; our own child tells us itself. */
const lookMs = 250;

/**
 * Runs the node's containerd, ready to make pods when the promise resolves: the pause image is in its store.
 *
 * A private one is started detached, so that it and its pods outlive the agent; one of an earlier agent is
 * adopted as long as its configuration is the same. When it dies it is started again, with back-off; pods live on
 * in their shims. Throws `ContainerdError` when containers cannot run here.
 */
export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  if (options.machineSocket !== undefined) return useMachineContainerd(options, options.machineSocket);
  const [obstacle] = containerObstacles();
  if (obstacle) throw obstacle;
  const keeper = new Keeper(options, await prepare(options.context));
  const cri = connectCri({ socketPath: options.context.paths.containerdSocket, log: options.log });
  try {
    await keeper.start(cri);
    await ensurePauseImage({ cri, context: options.context });
  } catch (error) {
    keeper.release();
    throw error;
  } finally {
    cri.close();
  }
  return keeper.handle();
}

interface Prepared {
  configPath: string;
  configDigest: string;
  logPath: string;
}

/** Writes the configuration and makes the folders it names. */
async function prepare(context: NodeContext): Promise<Prepared> {
  const { paths } = context;
  if (Buffer.byteLength(`${paths.containerdSocket}.ttrpc`) > socketPathLimitBytes) {
    throw new ContainerdError(
      'path-too-long',
      `${paths.containerdSocket}: the path of a unix socket holds ${socketPathLimitBytes} bytes with .ttrpc at its end: use a shorter --root`,
    );
  }
  for (const folder of [paths.containerdRoot, paths.containerdState, paths.run]) {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
  }
  for (const folder of [paths.cniBin, paths.cniConf, paths.logs]) mkdirSync(folder, { recursive: true });
  const registryFolder = join(paths.state, 'registries');
  mkdirSync(registryFolder, { recursive: true });
  const configPath = configFileOf(context);
  const config = containerdConfig({
    rootFolder: paths.containerdRoot,
    stateFolder: paths.containerdState,
    socketPath: paths.containerdSocket,
    cniBinFolder: paths.cniBin,
    cniConfFolder: paths.cniConf,
    sandboxImage: pauseImage,
    snapshotter: await knownSnapshotter(configPath, paths.containerdRoot),
    systemdCgroup: cgroupDriver() === 'systemd',
    restrictOomScoreAdj: !hasCapability('sysResource'),
    runcPath: needProgram('runc'),
    registryFolder,
  });
  writeFileSync(configPath, config, { mode: 0o600 });
  return {
    configPath,
    configDigest: createHash('sha256').update(config).digest('hex'),
    logPath: join(paths.logs, 'containerd.log'),
  };
}

/** What an earlier start found (a mount to try costs 10 ms), else what the file system can do. */
async function knownSnapshotter(configPath: string, folder: string): Promise<'overlayfs' | 'native'> {
  if (existsSync(configPath)) {
    const before = /^ {4}snapshotter = "(overlayfs|native)"$/m.exec(readFileSync(configPath, 'utf8'))?.[1];
    if (before === 'overlayfs' || before === 'native') return before;
  }
  return snapshotterFor(folder);
}

/** Keeps one private containerd running until released. */
class Keeper {
  readonly #context: NodeContext;
  readonly #log: Logger;
  readonly #signal: AbortSignal | undefined;
  readonly #readyTimeoutMs: number;
  readonly #prepared: Prepared;
  readonly #pidFile: string;
  #record: PidRecord | undefined;
  #child: ChildProcess | undefined;
  #adopted = false;
  #released = false;
  #startedAtMs = 0;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;
  #stopLog: (() => void) | undefined;

  constructor(options: ContainerdOptions, prepared: Prepared) {
    this.#context = options.context;
    this.#log = options.log;
    this.#signal = options.signal;
    this.#readyTimeoutMs = options.readyTimeoutMs ?? 20_000;
    this.#prepared = prepared;
    this.#pidFile = pidFileOf(options.context);
  }

  async start(cri: CriRuntime): Promise<void> {
    if (!inNodeNamespace(this.#context)) {
      throw new ContainerdError(
        'other-mount-namespace',
        `pods of this node run in another mount namespace than this process, which could not hand them volumes: start the agent with the command 'cloudless', or end the pods with 'cloudless down' first (socket ${this.#context.paths.containerdSocket})`,
      );
    }
    this.#stopLog = keepLogShort(this.#prepared.logPath);
    await this.#adoptOrEnd();
    if (!this.#record) this.#spawn();
    try {
      await this.#ready(cri);
    } catch (error) {
      if (!this.#adopted) await this.#end();
      throw error;
    }
    this.#watch();
    this.#signal?.addEventListener('abort', this.release, { once: true });
  }

  /** Keeps a running containerd with our configuration; ends one whose configuration has changed. */
  async #adoptOrEnd(): Promise<void> {
    const found = findContainerd(this.#context);
    if (!found) return;
    if (found.configDigest === this.#prepared.configDigest) {
      this.#record = found;
      this.#adopted = true;
      this.#log.info({ pid: found.pid }, 'adopted the running containerd');
      return;
    }
    this.#log.info({ pid: found.pid }, 'containerd has another configuration: starting it anew, pods stay');
    kill(found.pid, 'SIGTERM');
    if (!(await waitEnded(found, 10_000))) {
      kill(found.pid, 'SIGKILL');
      await waitEnded(found, 5_000);
    }
  }

  #spawn(): void {
    const { paths } = this.#context;
    for (const path of [paths.containerdSocket, `${paths.containerdSocket}.ttrpc`])
      rmSync(path, { force: true });
    const output = openSync(this.#prepared.logPath, 'a', 0o640);
    let child: ChildProcess;
    try {
      child = spawn(needProgram('containerd'), ['--config', this.#prepared.configPath], {
        cwd: '/',
        detached: true,
        stdio: ['ignore', output, output],
        env: { PATH: searchPath(), ...proxySettings() },
      });
    } finally {
      closeSync(output);
    }
    child.on('error', (error) => this.#log.error({ error: error.message }, 'containerd cannot be started'));
    child.unref();
    this.#child = child;
    this.#startedAtMs = performance.now();
    const id = child.pid === undefined ? undefined : identify(child.pid);
    if (!id) return;
    this.#record = { ...id, configDigest: this.#prepared.configDigest };
    writePidRecord(this.#pidFile, this.#record);
    this.#log.info({ pid: id.pid, config: this.#prepared.configPath }, 'started containerd');
  }

  async #ready(cri: CriRuntime): Promise<void> {
    const gone = new AbortController();
    this.#child?.once('exit', () => gone.abort());
    try {
      await cri.waitReady({ signal: gone.signal, timeoutMs: this.#readyTimeoutMs });
    } catch (error) {
      const why = gone.signal.aborted
        ? 'ended at once'
        : `is not ready: ${error instanceof Error ? error.message : ''}`;
      throw new ContainerdError(
        'not-ready',
        `containerd ${why}${lastErrors(this.#prepared.logPath)} (its log: ${this.#prepared.logPath}, its configuration: ${this.#prepared.configPath})`,
        error,
      );
    }
  }

  #watch(): void {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.once('exit', () => this.#died());
      return;
    }
    this.#timer = setTimeout(() => {
      if (this.#released) return;
      if (this.#record && isAlive(this.#record)) this.#watch();
      else this.#died();
    }, lookMs);
    this.#timer.unref();
  }

  #died(): void {
    if (this.#released) return;
    this.#record = undefined;
    if (performance.now() - this.#startedAtMs > steadyMs) this.#pauseMs = firstPauseMs;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
    this.#log.warn(
      { pauseMs, errors: lastErrors(this.#prepared.logPath) },
      'containerd ended; starting it again',
    );
    this.#timer = setTimeout(() => {
      if (this.#released) return;
      if (findProgram('containerd')) this.#spawn();
      else
        this.#log.error('the program containerd is gone; install it with: apt-get install --yes containerd');
      this.#watch();
    }, pauseMs);
  }

  async #end(): Promise<void> {
    if (this.#record) {
      kill(this.#record.pid, 'SIGKILL');
      await waitEnded(this.#record, 5_000);
    }
    rmSync(this.#pidFile, { force: true });
  }

  /** Ends the watch; containerd goes on. */
  readonly release = (): void => {
    this.#released = true;
    clearTimeout(this.#timer);
    this.#stopLog?.();
    this.#signal?.removeEventListener('abort', this.release);
  };

  handle(): Containerd {
    const pid = (): number | undefined => this.#record?.pid;
    let gone: Promise<void> | undefined;
    return {
      ...running(this.release),
      socketPath: this.#context.paths.containerdSocket,
      get pid() {
        return pid();
      },
      adopted: this.#adopted,
      cgroupDriver: cgroupDriver(),
      shutdown: () => {
        this.release();
        return (gone ??= removeContainerd({ context: this.#context, log: this.#log }));
      },
    };
  }
}

/** Pulls go through the machine's proxy, if it has one. */
function proxySettings(): NodeJS.ProcessEnv {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

async function useMachineContainerd(options: ContainerdOptions, socketPath: string): Promise<Containerd> {
  const cri = connectCri({ socketPath, log: options.log });
  try {
    await cri.waitReady({ timeoutMs: options.readyTimeoutMs ?? 5_000 });
  } catch (error) {
    const text = error instanceof CriError ? error.text : String(error);
    const disabled = /unknown service runtime\.v1/.test(text);
    throw new ContainerdError(
      disabled ? 'cri-disabled' : 'not-ready',
      disabled
        ? `the containerd at ${socketPath} has CRI switched off: take "cri" out of disabled_plugins in /etc/containerd/config.toml and restart it (systemctl restart containerd), or let Cloudless run its own`
        : `the containerd at ${socketPath} does not answer: ${text}; start it (systemctl start containerd), or let Cloudless run its own`,
      error,
    );
  } finally {
    cri.close();
  }
  return {
    ...running(() => undefined),
    socketPath,
    pid: undefined,
    adopted: true,
    cgroupDriver: cgroupDriver(),
    shutdown: () =>
      removeContainerd({ context: options.context, log: options.log, machineSocket: socketPath }),
  };
}
