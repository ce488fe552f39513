import { StatusError } from '@cloudless/kube/status';

const mutating: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** Bounds requests in flight, reads and writes apart; watches and streams are not counted (upstream: WithMaxInFlightLimit). */
export class InflightLimit {
  readonly #maxReading: number;
  readonly #maxMutating: number;
  reading = 0;
  mutating = 0;

  constructor(maxReading: number, maxMutating: number) {
    this.#maxReading = maxReading;
    this.#maxMutating = maxMutating;
  }

  /** Returns the way to give the place back, or throws 429 with Retry-After. `exempt`: system:masters. */
  enter(verb: string, exempt: boolean): () => void {
    const writes = mutating.has(verb);
    const full = writes ? this.mutating >= this.#maxMutating : this.reading >= this.#maxReading;
    if (full && !exempt) {
      throw new StatusError(429, 'TooManyRequests', 'Too many requests, please try again later.', {
        retryAfterSeconds: 1,
      });
    }
    if (writes) this.mutating++;
    else this.reading++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (writes) this.mutating--;
      else this.reading--;
    };
  }
}
