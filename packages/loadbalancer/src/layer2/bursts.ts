/** After taking over an address, how long after the start it is announced again: some segments lose the first. */
export const burstOffsetsMs: readonly number[] = [0, 50, 200, 1000, 3000];

interface Due {
  readonly address: string;
  readonly link: number;
  readonly startMs: number;
  readonly burst: object;
}

/**
 * When which address is announced on which interface: pure. Each step of all bursts is a queue in the order of time,
 * since all bursts have the same steps.
 */
export class Bursts {
  readonly #queues: Due[][] = burstOffsetsMs.map(() => []);
  /** The running burst of `address link`; what a queue has of an older one is dropped. */
  readonly #running = new Map<string, object>();

  /** Announces now and at every later step; a burst that runs for the same is replaced. */
  start(address: string, link: number, nowMs: number): void {
    const burst = {};
    this.#running.set(`${address} ${link}`, burst);
    this.#queues[0]?.push({ address, link, startMs: nowMs, burst });
  }

  stop(address: string, link: number): void {
    this.#running.delete(`${address} ${link}`);
  }

  nextMs(): number {
    let next = Infinity;
    this.#queues.forEach((queue, step) => {
      const [first] = queue;
      if (first !== undefined) next = Math.min(next, first.startMs + (burstOffsetsMs[step] as number));
    });
    return next;
  }

  /** Up to `most` announcements that are due, each moved on to its next step. */
  due(nowMs: number, most: number): Array<{ address: string; link: number }> {
    const found: Array<{ address: string; link: number }> = [];
    for (let step = 0; step < this.#queues.length; step++) {
      const queue = this.#queues[step] as Due[];
      const dueBy = nowMs - (burstOffsetsMs[step] as number);
      let taken = 0;
      for (const due of queue) {
        if (due.startMs > dueBy || found.length >= most) break;
        taken += 1;
        const key = `${due.address} ${due.link}`;
        if (this.#running.get(key) !== due.burst) continue;
        found.push({ address: due.address, link: due.link });
        const next = this.#queues[step + 1];
        if (next === undefined) this.#running.delete(key);
        else next.push(due);
      }
      queue.splice(0, taken);
    }
    return found;
  }
}
