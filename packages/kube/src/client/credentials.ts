import { readFileSync, statSync } from 'node:fs';

/** A file that somebody rotates: re-read when it changes, looked at once per `checkEveryMs`. */
export class RotatingFile {
  readonly #path: string;
  readonly #checkEveryMs: number;
  #seen = '';
  #checkedAtMs = -Infinity;
  #content: string | undefined;

  constructor(path: string, checkEveryMs: number) {
    this.#path = path;
    this.#checkEveryMs = checkEveryMs;
  }

  /**
   * The content now. When the file cannot be read after it once was (in the middle of a rotation), the last
   * content; before that, an error that names the file.
   */
  read(): string {
    const now = performance.now();
    if (this.#content !== undefined && now - this.#checkedAtMs < this.#checkEveryMs) return this.#content;
    this.#checkedAtMs = now;
    try {
      const stat = statSync(this.#path, { bigint: true });
      const seen = `${stat.ino}:${stat.mtimeNs}:${stat.size}`;
      if (this.#content === undefined || seen !== this.#seen) {
        this.#content = readFileSync(this.#path, 'utf8');
        this.#seen = seen;
      }
    } catch (error) {
      if (this.#content === undefined) {
        throw new Error(`cannot read the credential ${this.#path}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
    return this.#content;
  }

  /** Makes the next read look at the file, whatever the time. */
  expire(): void {
    this.#checkedAtMs = -Infinity;
  }
}
