/**
 * A refusal as PowerDNS's API gives it: the status, and `{"error": message}`. A message that is the status's own words goes
 * out as plain text, unless JSON is asked for.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const notFound = (): ApiError => new ApiError(404, 'Not Found');
export const unprocessable = (message: string): ApiError => new ApiError(422, message);
