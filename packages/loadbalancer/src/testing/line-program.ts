import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A child that takes commands and reports as lines of JSON. */
export class LineProgram<Command, Report> {
  readonly child: ChildProcess;
  readonly #waiting: Array<{ want: (report: Report) => boolean; take: (report: Report) => void }> = [];
  /** Every report so far. */
  readonly reports: Report[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    if (child.stdout === null) throw new Error('the program has no standard output to read');
    createInterface(child.stdout).on('line', (line) => {
      const report = JSON.parse(line) as Report;
      this.reports.push(report);
      const i = this.#waiting.findIndex(({ want }) => want(report));
      if (i >= 0) this.#waiting.splice(i, 1)[0]?.take(report);
    });
  }

  send(command: Command): void {
    this.child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** The first report from now on that `want` takes. */
  next(want: (report: Report) => boolean = () => true, timeoutMs = 10_000): Promise<Report> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no report within ${timeoutMs} ms`)), timeoutMs);
      const exited = (): void => reject(new Error('the program ended without the report'));
      this.child.once('exit', exited);
      this.#waiting.push({
        want,
        take: (report) => {
          clearTimeout(timer);
          this.child.off('exit', exited);
          resolve(report);
        },
      });
    });
  }

  /** Sends a command and takes the next report that `want` takes as its answer. */
  ask<R extends Report = Report>(
    command: Command,
    want?: (report: Report) => boolean,
    timeoutMs?: number,
  ): Promise<R> {
    const answer = this.next(want, timeoutMs);
    this.send(command);
    return answer as Promise<R>;
  }

  /** Closes its input and waits for its end. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.stdin?.end();
    await exited;
  }
}
