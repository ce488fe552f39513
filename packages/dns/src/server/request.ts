/** Where a message came from. */
export interface Peer {
  /** IPv4 as dotted quad, never IPv4-mapped. */
  readonly address: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp' | 'tls';
}

/**
 * What serving threads cannot answer from a snapshot and the main thread answers: opcodes NOTIFY and UPDATE, AXFR and IXFR,
 * anything with a TSIG record. Bytes as they came, whole.
 */
export interface Request {
  readonly message: Buffer;
  readonly peer: Peer;
  /** Aborts when the connection ends: a transfer stops. */
  readonly signal: AbortSignal;
}

/**
 * One or several messages in answer (a transfer is many, over TCP only); none: silence. The next one is asked for when
 * the socket takes more. A rejection becomes SERVFAIL.
 */
export type RequestHandler = (request: Request) => AsyncIterable<Buffer> | Promise<Buffer | undefined>;

/** Which addresses may ask, by longest prefix. `0.0.0.0/0` and `::/0` are everybody. */
export interface AccessRules {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** Response rate limiting, as BIND and Knot have it: identical answers to one network, over UDP alone. */
export interface RateLimit {
  /** Answers of one kind to one network in a second; 0: no limit. */
  readonly responsesPerSecond: number;
  /** NXDOMAIN and errors; 0: as above. */
  readonly errorsPerSecond: number;
  /** Every n-th answer over the limit is sent truncated, so that a real client can come back by TCP; 0: none. */
  readonly slip: number;
  readonly ipv4PrefixLength: number;
  readonly ipv6PrefixLength: number;
  /** Networks that are not limited. */
  readonly exempt: readonly string[];
}
