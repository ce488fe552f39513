import type { Peer } from '../request.ts';
import type { ThreadReport } from './messages.ts';

/** Requests by UDP that the main thread has at once from one thread; forged ones must not keep it busy. */
const mostUnderWay = 64;
const mostInSecond = 500;

/** Requests by UDP that the main thread answers: one message each. `Where` is how its sender is answered. */
export class UdpRequests<Where> {
  readonly #report: (report: ThreadReport) => void;
  readonly #waiting = new Map<number, Where>();
  #next = 0;
  #secondBeginMs = 0;
  #inSecond = 0;

  constructor(report: (report: ThreadReport) => void) {
    this.#report = report;
  }

  /** False: there are too many, and the sender is left to try again. */
  ask(message: Uint8Array, peer: Peer, where: Where, nowMs: number): boolean {
    if (nowMs - this.#secondBeginMs >= 1000) {
      this.#secondBeginMs = nowMs;
      this.#inSecond = 0;
    }
    if (this.#waiting.size >= mostUnderWay || this.#inSecond >= mostInSecond) return false;
    this.#inSecond += 1;
    const request = this.#next++;
    this.#waiting.set(request, where);
    this.#report({ kind: 'request', request, message: Uint8Array.from(message), peer });
    return true;
  }

  /** Who waits for the answer to a request, which is done with now. */
  take(request: number): Where | undefined {
    const where = this.#waiting.get(request);
    this.#waiting.delete(request);
    return where;
  }
}
