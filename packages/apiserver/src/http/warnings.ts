/** From so many characters on, each warning is cut, so that headers stay within what clients take. */
const truncateAtTotal = 4 * 1024;
const truncateItemAt = 256;

interface Counted {
  readonly text: string;
  /** Characters, not code units. */
  readonly length: number;
}

/** A `299 - "text"` header (RFC 7234, 5.5; apimachinery/pkg/util/net). */
function headerOf(text: string): string {
  const clean = text.replace(/\p{Cc}+/gu, ' ').replace(/[\\"]/g, (quoted) => `\\${quoted}`);
  return `299 - "${clean}"`;
}

function cut({ text, length }: Counted): Counted {
  if (length <= truncateItemAt) return { text, length };
  return { text: Array.from(text).slice(0, truncateItemAt).join(''), length: truncateItemAt };
}

/** The warnings of one answer: each once, and not more than fit (upstream: endpoints/filters/warning.go). */
export class Warnings {
  readonly #seen = new Set<string>();
  #shown: Counted[] = [];
  #total = 0;
  #truncating = false;

  add(text: string): void {
    if (text === '' || this.#seen.has(text)) return;
    if (this.#truncating && this.#total >= truncateAtTotal) return;
    this.#seen.add(text);
    const whole: Counted = { text, length: Array.from(text).length };
    if (!this.#truncating && this.#total + whole.length > truncateAtTotal) {
      this.#truncating = true;
      this.#shown = this.#shown.map(cut);
      this.#total = this.#shown.reduce((sum, { length }) => sum + length, 0);
    }
    const counted = this.#truncating ? cut(whole) : whole;
    this.#shown.push(counted);
    this.#total += counted.length;
  }

  /** Values of `Warning` headers, in order. */
  headers(): string[] {
    return this.#shown.map(({ text }) => headerOf(text));
  }
}
