/**
 * One thing that a thread's loop looks after: sockets and deadlines. Everything is synchronous, on one thread; a part that
 * throws ends the thread, which is then started anew.
 */
export interface LoopPart {
  /** Descriptors to wait on for input. The same array while nothing changed: it is compared by identity. */
  fds(): readonly number[];
  /** `fd` has input or an error. Non-blocking: take what is there, up to a bound, and return. */
  readable(fd: number): void;
  /** When {@link deadline} is wanted, in the loop's time; Infinity: not. */
  nextDeadlineMs(): number;
  deadline(nowMs: number): void;
  /**
   * The thread did not run for `gapMs` (stopped, starved, suspended): what waits in sockets is old, and the world may
   * have chosen another owner. Called on every part, in order, before anything that waits is answered.
   */
  frozen(gapMs: number): void;
}

/** What the loop needs of the kernel; a test passes its own. */
export interface LoopKernel {
  /** Milliseconds of a clock that goes on while the machine is suspended (CLOCK_BOOTTIME). */
  nowMs(): number;
  /** poll(2) over `fds`, struct pollfd packed; how many are ready, or −1 when interrupted. */
  poll(fds: Uint8Array, count: number, timeoutMs: number): number;
}

/** A gap of so long between two looks at the clock is a freeze. */
export const freezeMs = 250;

/** A loop that looks for freezes never sleeps longer, so that a sleep and a freeze within it can be told apart. */
export const longestWaitMs = 100;

/** poll(2) takes an int. */
const longestPollMs = 2 ** 31 - 1;

const pollfdBytes = 8;
const input = 1; // POLLIN

/** The poll(2) loop of a thread that makes its system calls itself. */
export class Loop {
  readonly #kernel: LoopKernel;
  readonly #looksForFreezes: boolean;
  readonly #parts: LoopPart[] = [];
  #lastMs: number;
  #stopped = false;
  #known: Array<readonly number[]> = [];
  #owners: LoopPart[] = [];
  #pollfds = new DataView(new ArrayBuffer(0));
  /** How often the loop found that it had been frozen. */
  freezes = 0;

  /**
   * @param options `looksForFreezes` (default true): wakes ten times a second and tells the parts when it did not run for a
   *   while. Else it sleeps until there is something to do.
   */
  constructor(kernel: LoopKernel, options: { looksForFreezes?: boolean } = {}) {
    this.#kernel = kernel;
    this.#looksForFreezes = options.looksForFreezes ?? true;
    this.#lastMs = kernel.nowMs();
  }

  /** Parts are served in the order in which they were added. */
  add(part: LoopPart): void {
    this.#parts.push(part);
  }

  /** The time of the last look at the clock: what parts measure by. */
  get nowMs(): number {
    return this.#lastMs;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Runs until {@link stop}. */
  run(): void {
    while (!this.#stopped) this.turn();
  }

  /** One round: waits, then serves what is ready and what is due. */
  turn(): void {
    if (this.checkpoint()) return;
    this.#register();
    const due = this.#parts.reduce((first, part) => Math.min(first, part.nextDeadlineMs()), Infinity);
    const longestMs = this.#looksForFreezes ? longestWaitMs : longestPollMs;
    const waitMs = Math.max(0, Math.min(longestMs, Math.ceil(due - this.#lastMs)));
    const ready = this.#kernel.poll(new Uint8Array(this.#pollfds.buffer), this.#owners.length, waitMs);
    if (this.checkpoint()) return;
    if (ready > 0) this.#serve(ready);
    for (const part of this.#parts)
      if (!this.#stopped && part.nextDeadlineMs() <= this.#lastMs) part.deadline(this.#lastMs);
  }

  /**
   * Looks at the clock; true when the thread had been frozen, and every part was told. A part asks before it sends what
   * it worked out from input, and on true gives that up.
   */
  checkpoint(): boolean {
    const nowMs = this.#kernel.nowMs();
    const gapMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (gapMs <= freezeMs || !this.#looksForFreezes) return false;
    this.freezes += 1;
    for (const part of this.#parts) part.frozen(gapMs);
    // What the parts did just now is no freeze.
    this.#lastMs = this.#kernel.nowMs();
    return true;
  }

  #serve(ready: number): void {
    const owners = this.#owners;
    const pollfds = this.#pollfds;
    for (let i = 0, left = ready; i < owners.length && left > 0; i++) {
      if (pollfds.getInt16(i * pollfdBytes + 6, true) === 0) continue;
      left -= 1;
      // A part served before may have closed this one's socket.
      if (pollfds !== this.#pollfds || this.#stopped) return;
      const owner = owners[i] as LoopPart;
      const fd = pollfds.getInt32(i * pollfdBytes, true);
      if (owner.fds().includes(fd)) owner.readable(fd);
    }
  }

  /** Packs struct pollfd for poll(2) when a part's descriptors changed. */
  #register(): void {
    const lists = this.#parts.map((part) => part.fds());
    if (lists.length === this.#known.length && lists.every((list, i) => list === this.#known[i])) return;
    this.#known = lists;
    this.#owners = this.#parts.flatMap((part, i) => (lists[i] as readonly number[]).map(() => part));
    this.#pollfds = new DataView(new ArrayBuffer(this.#owners.length * pollfdBytes));
    lists.flat().forEach((fd, i) => {
      this.#pollfds.setInt32(i * pollfdBytes, fd, true);
      this.#pollfds.setInt16(i * pollfdBytes + 4, input, true);
    });
  }
}
