/**
 * Where a store lies, as people write it: `sqlite:///var/lib/cloudless/state.db`, `postgres://user@host/database`.
 * What a kind of store needs is loaded when one is opened.
 */
import type { Datastore } from './datastore.ts';
import type { StoreOptions } from './options.ts';

export type Endpoint =
  /** `path` is absolute. */
  { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'postgres'; readonly url: string };

/** A text that is no endpoint; says what one looks like. */
export class EndpointError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EndpointError';
  }
}

const shapes = 'write sqlite:///path/to/state.db or postgres://user:password@host/database';

/** @throws EndpointError in a sentence that repeats no password */
export function parseEndpoint(text: string): Endpoint {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):/i.exec(text) ?? [];
  if (scheme === undefined) throw new EndpointError(`${JSON.stringify(text)} is no endpoint: ${shapes}`);
  if (scheme === 'sqlite') return { kind: 'sqlite', path: sqlitePathOf(text) };
  if (scheme === 'postgres' || scheme === 'postgresql') return { kind: 'postgres', url: text };
  throw new EndpointError(`an endpoint of kind ${scheme}:// is not known: ${shapes}`);
}

function sqlitePathOf(text: string): string {
  const [, host, path] = /^sqlite:\/\/([^/]*)(\/.*)?$/.exec(text) ?? [];
  if (path === undefined || path.endsWith('/'))
    throw new EndpointError(`${text} names no file: write sqlite:///path/to/state.db`);
  if (host !== '')
    throw new EndpointError(
      `${text} names a host (${host}): a path begins with a third slash, sqlite:///${host}${path}`,
    );
  if (path.includes('?')) throw new EndpointError(`${text}: sqlite endpoints take no options`);
  try {
    return decodeURIComponent(path);
  } catch {
    throw new EndpointError(`${text}: a % in the path is written %25`);
  }
}

/** The endpoint for messages: without its password. */
export function endpointName(endpoint: Endpoint): string {
  if (endpoint.kind === 'sqlite') return `sqlite://${endpoint.path}`;
  return endpoint.url
    .replace(/^(\w+:\/\/[^:@/?#]*):[^@/?#]*@/, '$1@')
    .replace(/([?&]password=)[^&#]*/g, '$1…');
}

export interface OpenEndpointOptions extends StoreOptions {
  /** Of the database's user, where the URL has none. */
  password?: string | undefined;
}

/** Opens the store; resolves when it answers. @throws what the kind of store throws, in sentences */
export async function openEndpoint(
  endpoint: Endpoint,
  options: OpenEndpointOptions = {},
): Promise<Datastore> {
  if (endpoint.kind === 'sqlite') {
    const { openDatastore } = await import('./index.ts');
    const { password: _, ...forFile } = options;
    return openDatastore({ path: endpoint.path, ...forFile });
  }
  const { openPostgresDatastore } = await import('./postgres/open.ts');
  return openPostgresDatastore({ url: endpoint.url, ...options });
}
