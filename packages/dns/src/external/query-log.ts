import type { LineSource } from '@cloudless/kube/health';
import type { DnsServer, LoggedQuery } from '../server/dns-server.ts';
import { isSubdomain, lowerName, parseName } from '../wire/name.ts';

/** A line of the query log, as JSON. */
export interface QueryLine extends LoggedQuery {
  /** When it was told, RFC 3339. */
  readonly time: string;
}

/** Queries that no line tells of, because they were too many. */
export interface OmittedLine {
  readonly time: string;
  readonly omitted: number;
}

/**
 * The query log of a server for those who listen, and only while somebody does: a line of JSON for each query, of names at
 * or below `?below=NAME` where that is given.
 */
export function queryLog(server: Pick<DnsServer, 'logQueries'>): LineSource {
  const listeners = new Set<(queries: readonly LoggedQuery[], omitted: number) => void>();
  const tell = (queries: readonly LoggedQuery[], omitted: number): void => {
    for (const listener of listeners) listener(queries, omitted);
  };
  return (query, write) => {
    const asked = query.get('below');
    const below = asked === null ? undefined : lowerName(parseName(asked));
    const listener = (queries: readonly LoggedQuery[], omitted: number): void => {
      const time = new Date().toISOString();
      for (const one of queries)
        if (below === undefined || isSubdomain(lowerName(one.name), below))
          write(JSON.stringify({ time, ...one } satisfies QueryLine));
      if (omitted > 0) write(JSON.stringify({ time, omitted } satisfies OmittedLine));
    };
    listeners.add(listener);
    if (listeners.size === 1) server.logQueries(tell);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) server.logQueries(undefined);
    };
  };
}
