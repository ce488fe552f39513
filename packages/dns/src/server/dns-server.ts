import type { Clock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ZoneRegistry } from '../zone/registry.ts';
import type { AccessRules, RateLimit, RequestHandler } from './request.ts';

/** Certificate chain and private key, PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** What the server says of itself. Undefined: the question is refused. */
export interface ServerIdentity {
  /** Answer to `version.bind` and `version.server` CH TXT. */
  readonly version?: string | undefined;
  /** Answer to `id.server` and `hostname.bind` CH TXT (RFC 4892), and NSID (RFC 5001). */
  readonly id?: string | undefined;
}

export interface DnsServerOptions {
  /** Addresses to answer on, each bound by itself; no wildcards, which would answer from the wrong address. */
  readonly addresses: readonly string[];
  /** UDP and TCP; 0: one that is free for both on every address. */
  readonly port: number;
  /** DNS over TLS (RFC 7858) on its own port of the same addresses; 0: a free one. */
  readonly tls?: (ServerCertificate & { readonly port: number }) | undefined;
  /** UDP threads that share the port. Default 1; TCP and TLS have one thread more. */
  readonly threads?: number | undefined;
  readonly access: AccessRules;
  readonly rateLimit: RateLimit;
  /** What is served: its snapshots are followed. */
  readonly zones: Pick<ZoneRegistry, 'onSnapshot'>;
  /** Answers what serving threads do not, in this thread. */
  readonly onRequest: RequestHandler;
  /** SERVFAIL (with extended error 14, Not Ready) until {@link DnsServer.setReady}. Default true. */
  readonly isReady?: boolean | undefined;
  readonly identity?: ServerIdentity | undefined;
  /** `native` (default, where the C library can be called): many datagrams by one system call. `node`: dgram. */
  readonly udp?: 'native' | 'node' | undefined;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
}

/** One answered query, for the query log. */
export interface LoggedQuery {
  /** `192.0.2.1:4711` or `[2001:db8::1]:4711`. */
  readonly client: string;
  readonly transport: 'udp' | 'tcp' | 'tls';
  /** As asked, escaped: safe to print. */
  readonly name: string;
  /** `A`, `TYPE65280`. */
  readonly type: string;
  /** `NOERROR`. */
  readonly rcode: string;
  readonly answerBytes: number;
}

/** The server of zones. `stop()` ends its threads and closes its sockets. */
export interface DnsServer extends Running {
  /** Of UDP and TCP. */
  readonly port: number;
  readonly tlsPort: number | undefined;
  setReady(isReady: boolean): void;
  /** Counts for the next query. Throws for a network that is none. */
  setLimits(access: AccessRules, rateLimit: RateLimit): void;
  /** Counts for new connections; throws for a certificate or key that cannot be used, the old one stays then. */
  setCertificate(certificate: ServerCertificate): void;
  /** Resolves when every thread answers from the snapshots that were handed out so far. */
  settled(): Promise<void>;
  /** Prometheus's text, under CoreDNS's names where it has them. */
  metrics(): string;
  /**
   * Tells queries as they are answered, at most some hundreds in a second; `omitted` are those left out since the last call.
   * Undefined: no more.
   */
  logQueries(sink: ((queries: readonly LoggedQuery[], omitted: number) => void) | undefined): void;
}
