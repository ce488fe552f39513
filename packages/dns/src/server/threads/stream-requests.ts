import type { Peer } from '../request.ts';
import type { ThreadReport } from './messages.ts';

/** Requests by TCP and TLS that the main thread has at once: transfers take as long as their secondary. */
const mostUnderWay = 256;

interface Waiting {
  readonly messages: Buffer[];
  isWhole: boolean;
  wake: () => void;
}

/** Requests over connections that the main thread answers, message by message, as fast as the client takes them. */
export class StreamRequests {
  readonly #report: (report: ThreadReport) => void;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(report: (report: ThreadReport) => void) {
    this.#report = report;
  }

  /** The messages of the answer; undefined: there are too many requests. Ends early when `signal` aborts. */
  ask(message: Buffer, peer: Peer, signal: AbortSignal): AsyncIterable<Buffer> | undefined {
    if (this.#waiting.size >= mostUnderWay) return undefined;
    const request = this.#next++;
    const waiting: Waiting = { messages: [], isWhole: false, wake: () => {} };
    this.#waiting.set(request, waiting);
    this.#report({ kind: 'request', request, message: Uint8Array.from(message), peer });
    return this.#messages(request, waiting, signal);
  }

  /** One message of an answer; undefined: there are no more. */
  take(request: number, message: Uint8Array | undefined): void {
    const waiting = this.#waiting.get(request);
    if (!waiting) return;
    if (message) waiting.messages.push(Buffer.from(message.buffer, message.byteOffset, message.byteLength));
    else waiting.isWhole = true;
    waiting.wake();
  }

  async *#messages(request: number, waiting: Waiting, signal: AbortSignal): AsyncIterable<Buffer> {
    const aborted = (): void => waiting.wake();
    signal.addEventListener('abort', aborted);
    try {
      while (!signal.aborted) {
        const message = waiting.messages.shift();
        if (message) {
          yield message;
          this.#report({ kind: 'taken', request });
        } else if (waiting.isWhole) return;
        else await new Promise<void>((resolve) => (waiting.wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', aborted);
      this.#waiting.delete(request);
      if (!waiting.isWhole) this.#report({ kind: 'gone', request });
    }
  }
}
