import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { PostgresError } from './errors.ts';

/** libpq's modes, with libpq's meanings (PostgreSQL's documentation, "SSL Support"). */
export const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof sslModes)[number];

/** What a `postgres://` URL says. */
export interface PostgresAddress {
  /** The address without the password, for messages. */
  readonly name: string;
  /** Tried in order; the first that takes writes is used. A host that begins with `/` is a socket's folder. */
  readonly hosts: ReadonlyArray<{ readonly host: string; readonly port: number }>;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** The schema that holds the tables. */
  readonly schema: string;
  readonly sslMode: SslMode;
  /** PEM, read when the address was parsed. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly connectTimeoutMs: number;
}

const parameters = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'schema',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'connect_timeout',
  'target_session_attrs',
] as const;

/**
 * Reads `postgres://user:password@host:port,host:port/database?sslmode=…`, as libpq does (several hosts, socket
 * folders by `?host=/run/postgresql`), plus `schema` (default `cloudless`). What it does not know is refused by name.
 *
 * @throws PostgresError that names the part and never the password
 */
export function parsePostgresUrl(url: string): PostgresAddress {
  const match =
    /^postgres(?:ql)?:\/\/(?:(?<credentials>[^@/?#]*)@)?(?<hosts>[^/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/.exec(
      url,
    );
  if (match?.groups === undefined) {
    throw wrong('expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…, special characters as %XX');
  }
  const query = new URLSearchParams(match.groups['query'] ?? '');
  for (const name of query.keys()) {
    if (!parameters.some((known) => known === name)) {
      throw wrong(`the parameter ${name} is not known; known are ${parameters.join(', ')}`);
    }
  }
  const [userPart = '', ...passwordPart] = (match.groups['credentials'] ?? '').split(':');
  const user = query.get('user') ?? decode('the user', userPart);
  if (user === '') throw wrong('it names no user: postgres://USER@…');
  const password =
    query.get('password') ??
    (passwordPart.length > 0 ? decode('the password', passwordPart.join(':')) : undefined);
  const database = query.get('dbname') ?? (decode('the database', match.groups['database'] ?? '') || user);
  const schema = query.get('schema') ?? 'cloudless';
  if (!/^[a-z_][a-z0-9_]{0,40}$/.test(schema)) {
    throw wrong(`schema=${schema}: expected up to 41 lower-case letters, digits and underscores`);
  }
  const target = query.get('target_session_attrs') ?? 'read-write';
  if (!['any', 'read-write', 'primary'].includes(target)) {
    throw wrong(`target_session_attrs=${target}: a datastore writes; expected read-write`);
  }
  const hosts = hostsOf(match.groups['hosts'] ?? '', query);
  return {
    name: nameOf(user, hosts, database),
    hosts,
    user,
    password,
    database,
    schema,
    sslMode: sslModeOf(query),
    tls: filesOf(query),
    connectTimeoutMs: secondsOf(query, hosts.length > 1 ? 2 : 5) * 1000,
  };
}

const wrong = (why: string): PostgresError =>
  new PostgresError('address', `the address of the PostgreSQL database cannot be used: ${why}`);

function decode(what: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(`${what} has a % that is no escape: write it as %25`);
  }
}

function hostsOf(text: string, query: URLSearchParams): Array<{ host: string; port: number }> {
  const inQuery = query.get('host');
  const parts = (inQuery ?? text).split(',');
  const ports = query.get('port')?.split(',') ?? [];
  return parts.map((part, i) => {
    const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]]*))(?::(?<port>\d*))?$/.exec(part);
    const raw =
      inQuery !== null && isIP(part) === 6 ? part : (match?.groups?.['v6'] ?? match?.groups?.['name']);
    if (raw === undefined) throw wrong(`${part} is no host with a port`);
    const portText = match?.groups?.['port'] || ports[i] || ports[0] || '5432';
    const port = Number(portText);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw wrong(`the port ${portText} is none`);
    return { host: decode('a host', raw) || 'localhost', port };
  });
}

function nameOf(
  user: string,
  hosts: ReadonlyArray<{ host: string; port: number }>,
  database: string,
): string {
  const places = hosts.map(({ host, port }) => (port === 5432 ? host : `${host}:${port}`));
  return `postgres://${user}@${places.join(',')}/${database}`;
}

function sslModeOf(query: URLSearchParams): SslMode {
  const text = query.get('sslmode') ?? (query.has('sslrootcert') ? 'verify-full' : 'prefer');
  const mode = sslModes.find((known) => known === text);
  if (mode === undefined) throw wrong(`sslmode=${text}: expected one of ${sslModes.join(', ')}`);
  if (mode === 'verify-ca' && !query.has('sslrootcert')) {
    throw wrong('sslmode=verify-ca needs sslrootcert=FILE, the certificate authority that signs the server');
  }
  return mode;
}

function filesOf(query: URLSearchParams): PostgresAddress['tls'] {
  const read = (name: string): string | undefined => {
    const path = query.get(name);
    if (path === null) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw wrong(
        `${name}=${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      );
    }
  };
  const [ca, cert, key] = [read('sslrootcert'), read('sslcert'), read('sslkey')];
  if ((cert === undefined) !== (key === undefined)) throw wrong('sslcert and sslkey go together');
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function secondsOf(query: URLSearchParams, otherwise: number): number {
  const text = query.get('connect_timeout');
  if (text === null) return otherwise;
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 600) {
    throw wrong(`connect_timeout=${text}: expected seconds between 1 and 600`);
  }
  return seconds;
}
