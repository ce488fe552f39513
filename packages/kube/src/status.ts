import type { Status, StatusCause, StatusDetails } from './generated/types/meta-v1.ts';

/** Reasons of a failed request (upstream: metav1.StatusReason). */
export type StatusReason =
  | ''
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Expired'
  | 'Invalid'
  | 'ServerTimeout'
  | 'StoreReadError'
  | 'Timeout'
  | 'TooManyRequests'
  | 'BadRequest'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'RequestEntityTooLarge'
  | 'UnsupportedMediaType'
  | 'InternalError'
  | 'ServiceUnavailable';

/**
 * The one error of the Kubernetes API: a `Status` of kind Failure. The server throws it and encodes it; the
 * client decodes it and throws it, so that a controller sees the same error in process and over HTTPS.
 */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: StatusReason;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: StatusReason, message: string, details?: StatusDetails, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StatusError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The body that goes over the wire. */
  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }

  static fromStatus(status: Status): StatusError {
    return new StatusError(
      status.code ?? 500,
      (status.reason ?? '') as StatusReason,
      status.message ?? 'unknown error',
      status.details,
    );
  }
}

interface Named {
  group: string;
  plural: string;
}
const qualified = (resource: Named): string =>
  resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
const detailsOf = (resource: Named, name: string): StatusDetails => ({
  ...(name === '' ? {} : { name }),
  ...(resource.group === '' ? {} : { group: resource.group }),
  kind: resource.plural,
});

/** Constructors with upstream's words (apimachinery/pkg/api/errors). */
export const errors = {
  notFound: (resource: Named, name: string) =>
    new StatusError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, detailsOf(resource, name)),
  alreadyExists: (resource: Named, name: string) =>
    new StatusError(
      409,
      'AlreadyExists',
      `${qualified(resource)} "${name}" already exists`,
      detailsOf(resource, name),
    ),
  conflict: (resource: Named, name: string, why: string) =>
    new StatusError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
      detailsOf(resource, name),
    ),
  /** The text of an update whose resourceVersion is stale. */
  modified: (resource: Named, name: string) =>
    errors.conflict(
      resource,
      name,
      'the object has been modified; please apply your changes to the latest version and try again',
    ),
  forbidden: (resource: Named, name: string, why: string) =>
    new StatusError(
      403,
      'Forbidden',
      name === ''
        ? `${qualified(resource)} is forbidden: ${why}`
        : `${qualified(resource)} "${name}" is forbidden: ${why}`,
      detailsOf(resource, name),
    ),
  unauthorized: (message = 'Unauthorized') => new StatusError(401, 'Unauthorized', message),
  /** What is wrong in one place is said once, though several rules may find it. */
  invalid: (kind: { group: string; kind: string }, name: string, found: StatusCause[]) => {
    const byText = new Map(found.map((cause) => [`${cause.field}: ${cause.message}`, cause]));
    const texts = [...byText.keys()];
    const causes = [...byText.values()];
    const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
    return new StatusError(
      422,
      'Invalid',
      `${kind.kind}${kind.group === '' ? '' : `.${kind.group}`} "${name}" is invalid: ${list}`,
      {
        ...(name === '' ? {} : { name }),
        ...(kind.group === '' ? {} : { group: kind.group }),
        ...(kind.kind === '' ? {} : { kind: kind.kind }),
        causes,
      },
    );
  },
  badRequest: (message: string) => new StatusError(400, 'BadRequest', message),
  /** A path that is there, but not for this method. */
  methodNotAllowed: () =>
    new StatusError(
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
      {},
    ),
  /** The watch or list version is no longer in the history. */
  expired: (message: string) => new StatusError(410, 'Expired', message),
  tooLarge: (message: string) => new StatusError(413, 'RequestEntityTooLarge', message),
  tooManyRequests: (message: string, retryAfterSeconds: number) =>
    new StatusError(429, 'TooManyRequests', message, { retryAfterSeconds }),
  unsupportedMediaType: (message: string) => new StatusError(415, 'UnsupportedMediaType', message),
  notAcceptable: (message: string) => new StatusError(406, 'NotAcceptable', message),
  internal: (message: string, cause?: unknown) =>
    new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, undefined, cause),
  unavailable: (message: string, cause?: unknown) =>
    new StatusError(503, 'ServiceUnavailable', message, undefined, cause),
  timeout: (message: string, retryAfterSeconds = 0) =>
    new StatusError(504, 'Timeout', `Timeout: ${message}`, { retryAfterSeconds }),
};

const has = (error: unknown, reason: StatusReason): boolean =>
  error instanceof StatusError && error.reason === reason;
export const isNotFound = (error: unknown): boolean => has(error, 'NotFound');
export const isAlreadyExists = (error: unknown): boolean => has(error, 'AlreadyExists');
export const isConflict = (error: unknown): boolean => has(error, 'Conflict');
export const isForbidden = (error: unknown): boolean => has(error, 'Forbidden');
export const isInvalid = (error: unknown): boolean => has(error, 'Invalid');
export const isExpired = (error: unknown): boolean => has(error, 'Expired') || has(error, 'Gone');
