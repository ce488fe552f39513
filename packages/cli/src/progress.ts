/** Where progress is shown: a terminal gets a line that is rewritten, anything else a line a step. */
export interface ProgressOutput {
  write(text: string): void;
  isTerminal: boolean;
}

/** Where no terminal is, a long step says so often how far it is. */
const detailEveryMs = 10_000;

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Live progress of one long action. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #startedMs = performance.now();
  #step: { text: string; startedMs: number; detail: string; toldMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(
    output: ProgressOutput = {
      write: (text) => void process.stderr.write(text),
      isTerminal: process.stderr.isTTY,
    },
  ) {
    this.#output = output;
  }

  /** Ends the step under way, if any, as done and begins the next. */
  step(text: string): void {
    this.done();
    const now = performance.now();
    this.#step = { text, startedMs: now, detail: '', toldMs: now };
    if (!this.#output.isTerminal) return;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 100);
  }

  /** How far the step under way is. */
  detail(text: string): void {
    if (!this.#step) return;
    this.#step.detail = text;
    const now = performance.now();
    if (this.#output.isTerminal || now - this.#step.toldMs < detailEveryMs) return;
    this.#step.toldMs = now;
    this.#output.write(`… ${this.#step.text}: ${text}\n`);
  }

  /** Ends the step under way as done; `detail` says what came of it. */
  done(detail = ''): void {
    this.#end('✓', detail);
  }

  /** Ends the step under way as failed. */
  fail(detail: string): void {
    this.#end('✗', detail);
  }

  /** A line beside the steps. */
  note(text: string): void {
    this.#clearLine();
    this.#output.write(`${text}\n`);
    if (this.#step && this.#output.isTerminal) this.#draw();
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #end(mark: string, detail: string): void {
    clearInterval(this.#timer);
    if (!this.#step) return;
    const ms = Math.round(performance.now() - this.#step.startedMs);
    this.#clearLine();
    this.#output.write(`${mark} ${this.#step.text}${detail === '' ? '' : `: ${detail}`} (${formatMs(ms)})\n`);
    this.#step = undefined;
  }

  #draw(): void {
    if (!this.#step) return;
    this.#frame = (this.#frame + 1) % frames.length;
    const ms = performance.now() - this.#step.startedMs;
    const { text, detail } = this.#step;
    const what = detail === '' ? text : `${text}: ${detail}`;
    this.#output.write(`\r\x1b[K${frames[this.#frame]} ${what} … ${formatMs(ms)}`);
  }

  #clearLine(): void {
    if (this.#output.isTerminal) this.#output.write('\r\x1b[K');
  }
}

/** `40 ms`, `1.2 s`. */
export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
