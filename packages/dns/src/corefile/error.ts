/** A place in a Corefile and what is to be said of it. */
export interface CorefileProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** A Corefile cannot be used; the one before goes on serving. */
export class CorefileError extends Error {
  override readonly name = 'CorefileError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}
