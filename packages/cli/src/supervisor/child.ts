import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@cloudless/kube/logger';

export type ChildName = 'control-plane' | 'node-agent' | 'dns' | 'speaker';

/** What a child tells its supervisor over the IPC channel. */
export type ChildMessage =
  /** A step of its start; shown as progress. */
  | { type: 'progress'; step: string; detail?: string }
  | { type: 'ready' }
  /** There is work for another child, which is started if it does not run yet. */
  | { type: 'needs'; child: ChildName }
  /** It cannot run, and starting it again would not help (a port taken, a damaged file): the first start ends. */
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
  #wasReady = false;
  #gaveUp = false;
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
    const begunMs = performance.now();
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // No room for a log, no process to be had: that may pass.
      this.#startAgain(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#process = child;
    this.#gaveUp = false;
    this.#set('starting', child.pid);
    child.on('message', (message: ChildMessage) => this.#hear(message, child));
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => this.#log.error({ child: this.name, err: error.message }, 'cannot start'));
      child.once('close', (code, signal) => {
        this.#process = undefined;
        this.#afterExit(signal ? `signal ${signal}` : `exit code ${code}`, performance.now() - begunMs);
        resolve();
      });
    });
  }

  #spawn(): ChildProcess {
    mkdirSync(this.#logFolder, { recursive: true, mode: 0o755 });
    const log = openSync(join(this.#logFolder, `${this.name}.log`), 'a', 0o640);
    try {
      const [program, ...args] = this.#command() as [string, ...string[]];
      return spawn(program, args, {
        stdio: ['ignore', log, log, 'ipc'],
        // A Ctrl-C in the terminal reaches the supervisor alone, which stops its children in order.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
  }

  #hear(message: ChildMessage, child: ChildProcess): void {
    if (message.type === 'ready') {
      this.#wasReady = true;
      this.#set('ready', child.pid);
    }
    // What worked once may work again (the port's new holder may leave): only a first start gives up.
    if (message.type === 'fatal' && !this.#wasReady) {
      this.#gaveUp = true;
      this.#set('failed', child.pid);
    }
    if (message.type !== 'fatal' || this.#gaveUp) this.#onMessage(message);
    else this.#log.error({ child: this.name }, message.message);
  }

  #afterExit(exit: string, ranMs: number): void {
    this.#status.lastExit = exit;
    if (this.#stopping) this.#set('stopped', undefined);
    else if (this.#gaveUp) this.#set('failed', undefined);
    else {
      if (ranMs >= healthyAfterMs) this.#delayMs = firstDelayMs;
      this.#startAgain(exit);
    }
  }

  #startAgain(exit: string): void {
    this.#status.lastExit = exit;
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
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) {
      if (this.#status.state === 'waiting') this.#set('stopped', undefined);
      return;
    }
    child.kill(mode === 'stop-pods' ? 'SIGUSR2' : 'SIGTERM');
    const killer = setTimeout(() => {
      this.#log.error({ child: this.name, graceMs }, 'did not stop in time; killed');
      child.kill('SIGKILL');
    }, graceMs);
    await this.#exited;
    clearTimeout(killer);
  }
}
