import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@cloudless/kube/logger';

export type ChildName = 'control-plane' | 'node-agent' | 'dns';

/** What a child tells its supervisor over the IPC channel. */
export type ChildMessage =
  /** A step of its start; shown as progress. */
  | { type: 'progress'; step: string; detail?: string }
  | { type: 'ready' }
  /** It cannot run, and starting it again would not help (a port taken, a damaged file). */
  | { type: 'fatal'; message: string };

export interface ChildStatus {
  name: ChildName;
  pid: number | undefined;
  state: 'starting' | 'ready' | 'waiting' | 'stopped' | 'failed';
  restarts: number;
  sinceMs: number;
  lastExit: string | undefined;
}

const firstDelayMs = 100;
const longestDelayMs = 10_000;
/** A child that ran this long is healthy: its next failure is restarted at once again. */
const healthyAfterMs = 30_000;

/**
 * One child process, started again with back-off when it ends by itself. Its standard error goes straight into
 * `LOGS/NAME.log`, so that it outlives its supervisor.
 */
export class SupervisedChild {
  readonly name: ChildName;
  readonly #command: () => readonly string[];
  readonly #logFolder: string;
  readonly #onMessage: (message: ChildMessage) => void;
  readonly #log: Logger;
  #process: ChildProcess | undefined;
  #status: ChildStatus;
  #delayMs = firstDelayMs;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #stopMode: 'leave-pods' | 'stop-pods' = 'leave-pods';
  #exited: Promise<void> = Promise.resolve();

  constructor(options: {
    name: ChildName;
    /** Program and arguments; asked anew at each start. */
    command: () => readonly string[];
    logFolder: string;
    onMessage: (message: ChildMessage) => void;
    log: Logger;
  }) {
    this.name = options.name;
    this.#command = options.command;
    this.#logFolder = options.logFolder;
    this.#onMessage = options.onMessage;
    this.#log = options.log;
    this.#status = {
      name: options.name,
      pid: undefined,
      state: 'stopped',
      restarts: 0,
      sinceMs: Date.now(),
      lastExit: undefined,
    };
  }

  get status(): ChildStatus {
    return { ...this.#status };
  }

  start(): void {
    if (this.#stopping || this.#process) return;
    mkdirSync(this.#logFolder, { recursive: true, mode: 0o755 });
    const log = openSync(join(this.#logFolder, `${this.name}.log`), 'a', 0o640);
    const begunMs = performance.now();
    const [program, ...args] = this.#command() as [string, ...string[]];
    const child = spawn(program, args, {
      stdio: ['ignore', log, log, 'ipc'],
      // A Ctrl-C in the terminal reaches the supervisor alone, which stops its children in order.
      detached: true,
    });
    closeSync(log);
    this.#process = child;
    this.#set('starting', child.pid);
    child.on('message', (message: ChildMessage) => {
      if (message.type === 'ready') this.#set('ready', child.pid);
      if (message.type === 'fatal') this.#set('failed', child.pid);
      this.#onMessage(message);
    });
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => this.#log.error({ child: this.name, err: error.message }, 'cannot start'));
      child.once('close', (code, signal) => {
        this.#process = undefined;
        this.#afterExit(code, signal, performance.now() - begunMs);
        resolve();
      });
    });
  }

  #afterExit(code: number | null, signal: NodeJS.Signals | null, ranMs: number): void {
    const exit = signal ? `signal ${signal}` : `exit code ${code}`;
    this.#status.lastExit = exit;
    if (this.#stopping) {
      this.#set('stopped', undefined);
      return;
    }
    if (this.#status.state === 'failed') return;
    if (ranMs >= healthyAfterMs) this.#delayMs = firstDelayMs;
    this.#log.warn(
      { child: this.name, exit, againInMs: this.#delayMs },
      'ended by itself; starting it again',
    );
    this.#status.restarts += 1;
    this.#set('waiting', undefined);
    this.#timer = setTimeout(() => this.start(), this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs);
  }

  #set(state: ChildStatus['state'], pid: number | undefined): void {
    this.#status = { ...this.#status, state, pid, sinceMs: Date.now() };
  }

  /** SIGTERM, then SIGKILL after `graceMs`. `stop-pods` asks the node agent to end its pods as well. */
  async stop(graceMs: number, mode: 'leave-pods' | 'stop-pods'): Promise<void> {
    this.#stopping = true;
    this.#stopMode = mode;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) return;
    child.kill(this.#stopMode === 'stop-pods' ? 'SIGUSR2' : 'SIGTERM');
    const killer = setTimeout(() => {
      this.#log.error({ child: this.name, graceMs }, 'did not stop in time; killed');
      child.kill('SIGKILL');
    }, graceMs);
    await this.#exited;
    clearTimeout(killer);
  }
}
