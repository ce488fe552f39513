/** gRPC status codes that CRI runtimes answer with (grpc/status). */
export const criCode = {
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
} as const;

/** A CRI call that failed: the gRPC code and the runtime's own words. */
export class CriError extends Error {
  /** gRPC status code; see {@link criCode}. */
  readonly code: number;
  /** What the runtime said, without the code. */
  readonly text: string;
  /** The call, as in the service definition: `RunPodSandbox`. */
  readonly call: string;

  constructor(call: string, code: number, text: string, cause?: unknown) {
    super(`${call}: ${text}`, cause === undefined ? undefined : { cause });
    this.name = 'CriError';
    this.call = call;
    this.code = code;
    this.text = text;
  }
}

const has = (error: unknown, code: number): boolean => error instanceof CriError && error.code === code;
export const isCriNotFound = (error: unknown): boolean => has(error, criCode.NotFound);

/** The answer, or undefined when the runtime knows no such sandbox or container any more. */
export async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isCriNotFound(error)) return undefined;
    throw error;
  }
}

/** The runtime has no such call, or refuses it to us. */
export const isCriRefused = (error: unknown): boolean =>
  has(error, criCode.Unimplemented) || has(error, criCode.PermissionDenied);
