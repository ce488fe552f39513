import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ledger, Operation } from './ledger.ts';

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

/**
 * Runs writer.ts and keeps the ledger of what it acknowledged. The writer tells it through a file: unlike a
 * pipe, a file holds everything that was written before a kill.
 */
export class WriterProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #ledger: Ledger;
  readonly #folder: string;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(1024 * 1024);
  #offset = 0;
  #errors = '';
  #partial = '';
  #count = 0;

  constructor(path: string, ledger: Ledger, environment: Record<string, string> = {}) {
    this.#ledger = ledger;
    this.#folder = mkdtempSync(join(tmpdir(), 'datastore-writer-'));
    const told = join(this.#folder, 'told');
    const out = openSync(told, 'a');
    const script = new URL('./writer.ts', import.meta.url).pathname;
    this.#child = spawn(process.execPath, [script, path, String(ledger.nextSeq)], {
      stdio: ['ignore', out, 'pipe'],
      env: { ...process.env, ...environment },
    });
    closeSync(out);
    this.#fd = openSync(told, 'r');
    this.#child.stderr?.on('data', (data: Buffer) => (this.#errors += data.toString()));
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  /** Operations acknowledged so far. */
  get count(): number {
    return this.#count;
  }

  /** Takes over what the writer has told. */
  #listen(): void {
    for (;;) {
      const bytes = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, this.#offset);
      if (bytes === 0) return;
      this.#offset += bytes;
      const lines = (this.#partial + this.#buffer.toString('latin1', 0, bytes)).split('\n');
      this.#partial = lines.pop() ?? '';
      for (const line of lines) {
        const operation = JSON.parse(line) as Operation;
        this.#ledger.record(operation);
        if (operation.type === 'done') this.#count++;
      }
    }
  }

  /** Resolves when so many operations were acknowledged. */
  async until(count: number): Promise<void> {
    for (this.#listen(); this.#count < count; this.#listen()) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the writer ended: ${this.#errors}`);
      }
      await pause();
    }
  }

  /** Freezes the process, and has heard all it told before. */
  async freeze(): Promise<void> {
    this.#child.kill('SIGSTOP');
    while (!isStopped(this.#child.pid as number)) await pause();
    this.#listen();
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** `kill -9`, and has heard all it told. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
    this.#listen();
    closeSync(this.#fd);
    rmSync(this.#folder, { recursive: true });
  }
}

/** Every thread of the process is stopped. */
function isStopped(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return status.slice(status.lastIndexOf(')') + 2, status.lastIndexOf(')') + 3) === 'T';
}
