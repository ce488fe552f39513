import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import type { CrashFault } from './faults.ts';

const log = logger('server-process').child({}, { level: 'silent' });

export interface ServerProcessOptions {
  /** `sqlite://PATH`, `postgres://…`. */
  endpoint: string;
  /** Where it listens. */
  socket: string;
  fault?: CrashFault | undefined;
}

/** A server of a store in a process of its own, and a client of it; both new after each kill. */
export class ServerProcess {
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | undefined;
  #store: EtcdStore | undefined;

  constructor(options: ServerProcessOptions) {
    this.#options = options;
  }

  /** The client; after a kill it answers nothing any more. */
  get store(): EtcdStore {
    if (this.#store === undefined) throw new Error('the server was never launched');
    return this.#store;
  }

  /** Starts the process. Resolves when it answers. */
  async launch(): Promise<void> {
    const { endpoint, socket, fault } = this.#options;
    rmSync(socket, { force: true });
    const script = new URL('./serve.ts', import.meta.url).pathname;
    const parameters = [script, endpoint, socket, ...(fault === undefined ? [] : [fault])];
    const child = spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    let errors = '';
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('close', () => reject(new Error(`the server ended before it answered: ${errors}`)));
    });
    this.#store = await connectEtcd({ endpoints: [`unix://${socket}`], log });
  }

  /** `kill -9`; what was asked and not answered has an unknown outcome from now on. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    // One that ended by itself tells of it no second time.
    if (child.exitCode === null && child.signalCode === null) {
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await closed;
    }
    await this.#store?.close();
  }
}
