/** Why a PostgreSQL database cannot be used as a datastore. Nothing in it was changed. */
export type PostgresReason =
  | 'address'
  | 'unreachable'
  | 'starting'
  | 'credentials'
  | 'no-database'
  | 'tls'
  | 'read-only'
  | 'rights'
  | 'foreign'
  | 'newer-schema'
  | 'version'
  | 'history-lost'
  | 'unusable';

/** A clear sentence about the database, with a remedy; it never holds a password. */
export class PostgresError extends Error {
  readonly reason: PostgresReason;

  constructor(reason: PostgresReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PostgresError';
    this.reason = reason;
  }
}

/** PostgreSQL's codes that mean something to us (its documentation, appendix A). */
export const sqlState = {
  readOnly: '25006',
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  noSuchDatabase: '3D000',
  noSuchSchema: '3F000',
  deadlock: '40P01',
  serialization: '40001',
  noRights: '42501',
  noSuchTable: '42P01',
  noSuchColumn: '42703',
  diskFull: '53100',
  tooManyConnections: '53300',
  canceled: '57014',
  startingUp: '57P03',
  warning: '01000',
} as const;

/** The SQLSTATE of an error that the server sent; undefined when the connection itself failed. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && severity !== undefined ? code : undefined;
}

export const messageOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
};

interface Place {
  /** Without the password. */
  readonly name: string;
  readonly user: string;
  readonly database: string;
}

/** Says why a connection could not be made, and what to do. */
export function explainConnecting(place: Place, at: string, error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  const what = (reason: PostgresReason, why: string): PostgresError =>
    new PostgresError(reason, `PostgreSQL at ${at} (${place.name}): ${why}`, error);
  const message = messageOf(error);
  switch (sqlStateOf(error)) {
    case sqlState.invalidPassword:
    case sqlState.invalidAuthorization:
      return what(
        'credentials',
        `it refuses the user ${place.user}: ${message}. Check password and pg_hba.conf`,
      );
    case sqlState.noSuchDatabase:
      return what('no-database', `there is no database ${place.database}: CREATE DATABASE ${place.database}`);
    case sqlState.startingUp:
      return what('starting', `it is starting or stopping: ${message}`);
    case sqlState.tooManyConnections:
      return what('unreachable', `it takes no more connections: ${message}. Raise max_connections`);
    case undefined:
      break;
    default:
      return what('unusable', message);
  }
  if (/password must be/.test(message)) {
    return what('credentials', 'it asks for a password and none was given');
  }
  if (/does not support SSL/.test(message)) {
    return what('tls', 'it does not speak TLS: use sslmode=disable, or set ssl = on there');
  }
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  if (
    /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code) ||
    /certificate/.test(message)
  ) {
    return what('tls', `TLS failed: ${message}. Check sslmode, sslrootcert, sslcert and sslkey`);
  }
  return what('unreachable', `it is not reachable: ${message}`);
}
