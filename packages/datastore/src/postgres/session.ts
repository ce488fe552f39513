import type { ConnectionOptions } from 'node:tls';
import { Client, type Notification } from 'pg';
import type { PostgresAddress } from './address.ts';
import { explainConnecting, PostgresError } from './errors.ts';

/** Slower statements are ended by the server: they hold what others wait for. */
const statementTimeoutMs = 5000;
/** Later answers mean that the connection is lost, or that the commit itself hangs. */
const answerTimeoutMs = 7000;
/** A server that holds the log and is gone lets it go after this. */
const idleInTransactionMs = 5000;
const oldestVersion = 120_000;

/** A statement; `name` lets the server parse it once per connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  /** Strings go as text, buffers as binary. */
  readonly values?: ReadonlyArray<string | Buffer | null>;
}

/** A column in PostgreSQL's text form; bytes are `\\x` and hexadecimal digits. */
export type Cell = string | null;

/** One connection to one PostgreSQL server. Statements are sent at once and answered in order. */
export class Session {
  readonly host: string;
  readonly port: number;
  /** The server's process for this connection. */
  readonly pid: number;
  readonly facts: ServerFacts;
  /** Called when the connection ends by itself. */
  onLost: (error: Error) => void = () => undefined;
  onNotify: (payload: string) => void = () => undefined;
  /** The server warned about a commit (it is there, and not known to be on a replica that it must be on). */
  onWarning: (message: string) => void = () => undefined;
  readonly #client: Client;
  #ended = false;

  constructor(client: Client, pid: number, facts: ServerFacts) {
    this.#client = client;
    this.host = client.host;
    this.port = client.port;
    this.pid = pid;
    this.facts = facts;
    client.removeAllListeners('error');
    client.on('error', (error) => this.#lost(error));
    client.on('end', () => this.#lost(new Error('the connection was closed')));
    client.on('notification', ({ payload }: Notification) => this.onNotify(payload ?? ''));
    client.on('notice', ({ code, message }) => {
      if (code === '01000') this.onWarning(message ?? '');
    });
  }

  /** The rows, columns in order. @throws what the server says, or that the connection is lost */
  async rows({ name, text, values = [] }: Statement): Promise<Cell[][]> {
    const { rows } = await this.#client.query<Cell[]>({
      ...(name === undefined ? {} : { name }),
      text,
      values: [...values],
      rowMode: 'array',
      types: asText,
    });
    return rows;
  }

  /** Runs it for its effect; the command that was done (`COMMIT` may turn out to be a `ROLLBACK`). */
  async run(text: string): Promise<string> {
    const { command } = await this.#client.query(text);
    return command;
  }

  /** Ends the connection at once; what is under way is rejected. */
  end(): void {
    this.#ended = true;
    this.#client.connection?.stream.destroy();
    void this.#client.end().catch(() => undefined);
  }

  #lost(error: Error): void {
    if (this.#ended) return;
    this.end();
    this.onLost(error);
  }
}

/** No type is parsed by pg: what a column means is known where it is read. */
const asText = { getTypeParser: () => (value: unknown) => value };

/** What a server says of itself at the start. */
export interface ServerFacts {
  readonly version: number;
  /** Settings under which an acknowledged write may be lost in a crash. */
  readonly unsafe: readonly string[];
}

export interface SessionOptions {
  address: PostgresAddress;
  host: string;
  port: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** For work that takes its time: statements end by themselves only. */
  isPatient?: boolean;
}

/**
 * Connects, and makes sure that the server takes writes and that a commit is durable when it is answered.
 *
 * @throws PostgresError
 */
export async function connectSession(options: SessionOptions): Promise<Session> {
  const { address, host, port } = options;
  const at = host.startsWith('/') ? host : `${host}:${port}`;
  try {
    const { sslMode } = address;
    if (sslMode === 'prefer' && !host.startsWith('/')) {
      try {
        return await connect(options, at, tlsOptions(address));
      } catch (error) {
        if (explainConnecting(address, at, error).reason !== 'tls') throw error;
        return await connect(options, at, false);
      }
    }
    // A unix socket has no TLS, whatever the mode, as with libpq.
    const plain = sslMode === 'disable' || sslMode === 'prefer' || host.startsWith('/');
    return await connect(options, at, plain ? false : tlsOptions(address));
  } catch (error) {
    throw explainConnecting(address, at, error);
  }
}

function tlsOptions({ sslMode, tls }: PostgresAddress): ConnectionOptions {
  const verifies = sslMode === 'verify-ca' || sslMode === 'verify-full';
  return {
    ...tls,
    // As libpq: `require` with a certificate authority verifies the chain, not the name.
    rejectUnauthorized: verifies || (sslMode === 'require' && tls.ca !== undefined),
    ...(sslMode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
}

async function connect(
  { address, host, port, applicationName, isPatient = false }: SessionOptions,
  at: string,
  ssl: ConnectionOptions | false,
): Promise<Session> {
  const client = new Client({
    host,
    port,
    user: address.user,
    // A function: without it, pg would look into files and variables of the user who runs this.
    password: () => address.password ?? '',
    database: address.database,
    ssl,
    application_name: applicationName,
    connectionTimeoutMillis: address.connectTimeoutMs,
    ...(isPatient ? {} : { query_timeout: answerTimeoutMs }),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: true,
  });
  // Without a listener an error while connecting would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, string>>(prepareSession(address.schema, isPatient));
    const row = rows[0] as Record<string, string>;
    return new Session(client, Number(row['pid']), factsOf(address, at, row));
  } catch (error) {
    client.connection?.stream.destroy();
    throw error;
  }
}

function factsOf(address: PostgresAddress, at: string, row: Record<string, string>): ServerFacts {
  const version = Number(row['version']);
  if (version < oldestVersion) {
    throw new PostgresError('version', `PostgreSQL at ${at} is of version ${version}: 12 or newer is needed`);
  }
  if (row['standby'] === 'yes') {
    throw new PostgresError(
      'read-only',
      `PostgreSQL at ${at} (${address.name}) is a replica and takes no writes: use the primary's address, or name ` +
        'all servers: postgres://user@first,second/database',
    );
  }
  if (row['read_only'] === 'on') {
    throw new PostgresError(
      'read-only',
      `PostgreSQL at ${at} (${address.name}) is read-only (default_transaction_read_only): set it to off for ` +
        `the user ${address.user} and the database ${address.database}`,
    );
  }
  return { version, unsafe: ['fsync', 'full_page_writes'].filter((name) => row[name] === 'off') };
}

/**
 * Settings of our sessions, in one statement that also asks what the server is. Every statement of ours goes by a
 * primary key: the planner is kept from guessing otherwise while the tables have no statistics.
 */
function prepareSession(schema: string, isPatient: boolean): string {
  const settings: ReadonlyArray<readonly [string, string | number]> = [
    ['search_path', schema],
    ['default_transaction_isolation', 'read committed'],
    ['statement_timeout', isPatient ? 0 : statementTimeoutMs],
    ['lock_timeout', 0],
    ['idle_in_transaction_session_timeout', idleInTransactionMs],
    ['client_min_messages', 'warning'],
    ['tcp_keepalives_idle', 10],
    ['tcp_keepalives_interval', 5],
    ['tcp_keepalives_count', 3],
    ['tcp_user_timeout', 15_000],
    ['jit', 'off'],
    ['enable_seqscan', 'off'],
    ['enable_bitmapscan', 'off'],
    ['plan_cache_mode', 'force_generic_plan'],
  ];
  const set = settings.map(([name, value]) => `set_config('${name}', '${value}', false)`);
  return `SELECT ${set.join(', ')},
    set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('on', 'remote_apply')
      THEN current_setting('synchronous_commit') ELSE 'on' END, false),
    pg_backend_pid()::text AS pid, current_setting('server_version_num') AS version,
    CASE WHEN pg_is_in_recovery() THEN 'yes' ELSE 'no' END AS standby,
    current_setting('transaction_read_only') AS read_only, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes`;
}
