import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Ledger, Operation } from './ledger.ts';

/** Runs writer.ts and keeps the ledger of what it acknowledged. */
export class WriterProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #ledger: Ledger;
  #errors = '';
  #partial = '';
  #waiting: Array<() => void> = [];
  #count = 0;

  constructor(path: string, ledger: Ledger, environment: Record<string, string> = {}) {
    this.#ledger = ledger;
    const script = new URL('./writer.ts', import.meta.url).pathname;
    this.#child = spawn(process.execPath, [script, path, String(ledger.nextSeq)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#child.stdout?.on('data', (data: Buffer) => this.#take(data.toString()));
    this.#child.stderr?.on('data', (data: Buffer) => (this.#errors += data.toString()));
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
    void this.#exited.then(() => this.#wake());
  }

  #take(data: string): void {
    const lines = (this.#partial + data).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) {
      const operation = JSON.parse(line) as Operation;
      this.#ledger.record(operation);
      if (operation.type === 'done') this.#count++;
    }
    this.#wake();
  }

  #wake(): void {
    for (const check of this.#waiting.splice(0)) check();
  }

  /** Resolves when so many operations were acknowledged. */
  async until(count: number): Promise<void> {
    while (this.#count < count) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the writer ended: ${this.#errors}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Freezes the process and waits until all it told before has arrived. */
  async freeze(): Promise<void> {
    this.#child.kill('SIGSTOP');
    while (!isStopped(this.#child.pid as number)) await new Promise((resolve) => setTimeout(resolve, 1));
    // The pipe holds no more than what was written before the stop; two idle turns mean it is drained.
    for (let idle = 0, last = -1; idle < 5;) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      idle = last === this.#count ? idle + 1 : 0;
      last = this.#count;
    }
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** `kill -9`, and waits until everything it told has arrived. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

/** Every thread of the process is stopped. */
function isStopped(pid: number): boolean {
  const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
  return state === 'T';
}
