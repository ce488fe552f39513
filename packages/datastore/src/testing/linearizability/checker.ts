/**
 * Is a history linearizable? Porcupine's algorithm: Wing and Gong's search (Testing and verifying concurrent
 * objects, 1993) with Lowe's memoisation (Testing for linearizability, 2017), as in Anish Athalye's porcupine. It
 * knows nothing of stores: the sequential behaviour comes as a {@link Model}.
 */

/** One call by one client. */
export interface Operation<I, O> {
  readonly client: number;
  readonly input: I;
  /** Undefined: nobody knows what became of it; it took effect once at any time after its call, or never. */
  readonly output: O | undefined;
  /** When it was asked for; calls and returns share one clock and no two have the same time. */
  readonly calledAt: number;
  /** When it was answered; Infinity when it never was. */
  readonly returnedAt: number;
}

export interface Model<S, I, O> {
  readonly initial: S;
  /**
   * The state after the operation, or undefined when that output (or, if it is unknown, that effect) is impossible
   * in this state. States are never changed.
   */
  step(state: S, operation: Operation<I, O>): S | undefined;
  /** Equal for equal states, different for different ones. */
  fingerprint(state: S): string;
}

export type Verdict<S, I, O> =
  | { readonly type: 'linearizable'; readonly order: ReadonlyArray<Operation<I, O>>; readonly state: S }
  | {
      readonly type: 'not-linearizable';
      /** The longest order that explains a beginning of the history. */
      readonly longest: ReadonlyArray<Operation<I, O>>;
      /** Where it ends: the answers that nothing explains then. */
      readonly stuck: ReadonlyArray<Operation<I, O>>;
      readonly state: S;
    }
  /** The search was given up: neither yes nor no. */
  | { readonly type: 'too-long'; readonly steps: number };

/** A call or a return, in a list from which the operations that have their place are lifted out. */
interface Entry<I, O> {
  readonly operation: Operation<I, O>;
  readonly id: number;
  /** Of a call whose answer is known. */
  readonly answer: Entry<I, O> | undefined;
  readonly isCall: boolean;
  previous: Entry<I, O> | undefined;
  next: Entry<I, O> | undefined;
}

const defaultMaxSteps = 5_000_000;

/**
 * Searches for an order of the operations in which each takes effect between its call and its return and every
 * output is the model's.
 *
 * @param maxSteps tries of the model before giving up
 */
export function checkLinearizable<S, I, O>(
  history: ReadonlyArray<Operation<I, O>>,
  model: Model<S, I, O>,
  maxSteps = defaultMaxSteps,
): Verdict<S, I, O> {
  return new Search(history, model, maxSteps).run();
}

class Search<S, I, O> {
  readonly #model: Model<S, I, O>;
  readonly #maxSteps: number;
  readonly #head: Entry<I, O>;
  /** Answers that still have to be explained. */
  #answersLeft = 0;
  readonly #placed: Uint32Array;
  readonly #seen = new Map<string, Uint32Array[]>();
  readonly #stack: Array<{ entry: Entry<I, O>; before: S }> = [];
  #state: S;
  #longest: { order: Array<Operation<I, O>>; stuck: Array<Operation<I, O>>; state: S };

  constructor(history: ReadonlyArray<Operation<I, O>>, model: Model<S, I, O>, maxSteps: number) {
    this.#model = model;
    this.#maxSteps = maxSteps;
    this.#state = model.initial;
    this.#longest = { order: [], stuck: [], state: model.initial };
    this.#placed = new Uint32Array(Math.ceil(history.length / 32));
    this.#head = listOf(history);
    for (let entry = this.#head.next; entry !== undefined; entry = entry.next) {
      if (!entry.isCall) this.#answersLeft++;
    }
  }

  run(): Verdict<S, I, O> {
    let steps = 0;
    let entry = this.#head.next;
    while (this.#answersLeft > 0) {
      if (++steps > this.#maxSteps) return { type: 'too-long', steps };
      if (entry?.isCall) {
        entry = this.#place(entry) ? this.#head.next : entry.next;
        continue;
      }
      // An answer whose operation has no place yet: something before it must go elsewhere.
      this.#noteStuck();
      const top = this.#stack.pop();
      if (top === undefined) {
        const { order, stuck, state } = this.#longest;
        return { type: 'not-linearizable', longest: order, stuck, state };
      }
      this.#takeBack(top.entry);
      this.#state = top.before;
      entry = top.entry.next;
    }
    return { type: 'linearizable', order: this.#order(), state: this.#state };
  }

  #order(): Array<Operation<I, O>> {
    return this.#stack.map(({ entry }) => entry.operation);
  }

  /** Lets the operation take effect now; false when it cannot, or when that was tried already. */
  #place(entry: Entry<I, O>): boolean {
    const after = this.#model.step(this.#state, entry.operation);
    if (after === undefined) return false;
    flip(this.#placed, entry.id);
    if (!this.#isNew(after)) {
      flip(this.#placed, entry.id);
      return false;
    }
    this.#stack.push({ entry, before: this.#state });
    this.#state = after;
    unlink(entry);
    if (entry.answer !== undefined) {
      unlink(entry.answer);
      this.#answersLeft--;
    }
    return true;
  }

  #takeBack(entry: Entry<I, O>): void {
    flip(this.#placed, entry.id);
    if (entry.answer !== undefined) {
      relink(entry.answer);
      this.#answersLeft++;
    }
    relink(entry);
  }

  /** Whether these operations have led to this state for the first time. */
  #isNew(state: S): boolean {
    const name = `${hash(this.#placed)} ${this.#model.fingerprint(state)}`;
    const known = this.#seen.get(name);
    if (known === undefined) {
      this.#seen.set(name, [this.#placed.slice()]);
      return true;
    }
    if (known.some((placed) => placed.every((word, i) => word === this.#placed[i]))) return false;
    known.push(this.#placed.slice());
    return true;
  }

  #noteStuck(): void {
    if (this.#stack.length < this.#longest.order.length && this.#longest.stuck.length > 0) return;
    const stuck: Array<Operation<I, O>> = [];
    for (let entry = this.#head.next; entry !== undefined; entry = entry.next) {
      if (!entry.isCall) break;
      stuck.push(entry.operation);
    }
    this.#longest = { order: this.#order(), stuck, state: this.#state };
  }
}

/** Calls and returns in the order of time, behind a head that is neither. */
function listOf<I, O>(history: ReadonlyArray<Operation<I, O>>): Entry<I, O> {
  const timed: Array<{ atMs: number; entry: Entry<I, O> }> = [];
  for (const [id, operation] of history.entries()) {
    const isKnown = operation.output !== undefined;
    const links = { previous: undefined, next: undefined };
    const answer: Entry<I, O> | undefined = isKnown
      ? { operation, id, answer: undefined, isCall: false, ...links }
      : undefined;
    timed.push({ atMs: operation.calledAt, entry: { operation, id, answer, isCall: true, ...links } });
    if (answer !== undefined) timed.push({ atMs: operation.returnedAt, entry: answer });
  }
  timed.sort((a, b) => a.atMs - b.atMs);
  const head = { isCall: true } as Entry<I, O>;
  let last = head;
  for (const { entry } of timed) {
    last.next = entry;
    entry.previous = last;
    last = entry;
  }
  return head;
}

function unlink<I, O>(entry: Entry<I, O>): void {
  (entry.previous as Entry<I, O>).next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

/** Undoes the latest `unlink` that is not undone. */
function relink<I, O>(entry: Entry<I, O>): void {
  (entry.previous as Entry<I, O>).next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}

function flip(bits: Uint32Array, id: number): void {
  bits[id >>> 5] = (bits[id >>> 5] as number) ^ (1 << (id & 31));
}

/** FNV-1a over the words. */
function hash(bits: Uint32Array): number {
  let value = 0x811c9dc5;
  for (const word of bits) value = Math.imul(value ^ word, 0x01000193) ^ (word >>> 15);
  return value >>> 0;
}
