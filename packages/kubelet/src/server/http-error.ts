/** A request that gets a plain-text answer other than 200, as the kubelet's API gives it. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HttpError';
    this.status = status;
  }
}
