/** Why a container does not run; `reason` and `message` are its waiting state. */
export class StartError extends Error {
  readonly reason: string;
  readonly retryAtMs: number | undefined;

  constructor(
    reason: string,
    message: string,
    options: { retryAtMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StartError';
    this.reason = reason;
    this.retryAtMs = options.retryAtMs;
  }
}
