import type { UserInfo } from '@cloudless/kube/user';
import type { Registry } from '../registry/registry.ts';
import type { RequestInfo } from '../request/info.ts';
import type { FlowControl } from './flow-control.ts';
import type { Seat, Waiter } from './priority-level.ts';
import { workEstimate } from './work-estimate.ts';

const reads: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

/** Where the headers of an answer are set, and who tells that nobody waits for it any more. */
interface Answer extends Waiter {
  readonly response: { setHeader(name: string, value: string): unknown };
}

/** Leave to carry out one request. */
export interface Admittance {
  /** Gives its place back; once is enough. */
  leave(): void;
}

class CountedSeat implements Admittance {
  readonly #gate: FlowGate;
  readonly #seat: Seat;
  readonly #isRead: boolean;
  #left = false;

  constructor(gate: FlowGate, seat: Seat, isRead: boolean) {
    this.#gate = gate;
    this.#seat = seat;
    this.#isRead = isRead;
    if (isRead) gate.reading++;
    else gate.mutating++;
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    if (this.#isRead) this.#gate.reading--;
    else this.#gate.mutating--;
    this.#seat.leave();
  }
}

/** Where requests over the wire pass priority and fairness (upstream: server/filters/priority-and-fairness.go). */
export class FlowGate {
  readonly #control: FlowControl;
  readonly #stored: (info: RequestInfo) => number;
  /** Requests being carried out, long-running ones aside. */
  reading = 0;
  mutating = 0;

  constructor(control: FlowControl, registry: Registry) {
    this.#control = control;
    this.#stored = ({ group, version, resource, subresource }) => {
      const served = subresource === '' ? registry.catalogue.find(group, version, resource) : undefined;
      return served ? (registry.open(served.resource).startedCache?.entries.size ?? 0) : 0;
    };
  }

  /**
   * Lets a request in, at once or when its flow's turn comes, and tells in two headers what it was classified as. Throws
   * or rejects with 429.
   */
  enter(
    user: UserInfo,
    info: RequestInfo,
    query: URLSearchParams,
    timeoutMs: number,
    out: Answer,
  ): Admittance | Promise<Admittance> {
    const flow = this.#control.classify(user, info);
    const { schema } = flow;
    const { level } = schema;
    // Names would tell what an administrator thinks of a client.
    const { response } = out;
    response.setHeader('x-kubernetes-pf-flowschema-uid', schema.object.metadata.uid ?? '');
    response.setHeader('x-kubernetes-pf-prioritylevel-uid', level.uid);
    const seats = level.exempt ? 1 : workEstimate(info, query, this.#stored);
    const isRead = reads.has(info.verb);
    const entered = this.#control.enter(flow, seats, timeoutMs, out);
    if (entered instanceof Promise) return entered.then((seat) => new CountedSeat(this, seat, isRead));
    return new CountedSeat(this, entered, isRead);
  }
}
