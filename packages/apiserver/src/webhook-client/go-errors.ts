import { X509Certificate } from 'node:crypto';

/** Where a connection was to go, for the text of its failure. */
export interface Dialed {
  readonly host: string;
  readonly port: number;
  /** The name that the server's certificate must hold. */
  readonly serverName: string;
}

const untrusted: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);
const errno: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'connect: connection timed out',
  EACCES: 'connect: permission denied',
};

const hostPort = (host: string, port: number): string =>
  (host.includes(':') ? `[${host}]` : host) + `:${port}`;

/** `dial tcp …`, `tls: …` and their like: a failed connection as users of Kubernetes know it (Go's net and crypto/tls). */
export function connectionErrorText(error: unknown, at: Dialed): string {
  if (!(error instanceof Error)) return String(error);
  const { code = '' } = error as NodeJS.ErrnoException;
  const known = errno[code];
  if (known) return `dial tcp ${hostPort(at.host, at.port)}: ${known}`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const why = code === 'ENOTFOUND' ? 'no such host' : 'server misbehaving';
    return `dial tcp: lookup ${at.host}: ${why}`;
  }
  if (untrusted.has(code))
    return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  if (code === 'EPROTO' && /wrong version number|http request|packet length/i.test(error.message))
    return 'http: server gave HTTP response to HTTPS client';
  if (code === 'ECONNRESET' || error.message === 'socket hang up') return 'EOF';
  return error.message;
}

/** A certificate that is not for this server. The message is Go's. */
export class WrongServerName extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WrongServerName';
  }
}

/**
 * Whether a certificate is for `serverName` by its subject alternative names alone: as in Go, a common name counts for
 * nothing (RFC 6125, 6.4.4).
 */
export function checkServerName(serverName: string, raw: Buffer): WrongServerName | undefined {
  const certificate = new X509Certificate(raw);
  const names = certificate.subjectAltName;
  const isAddress = /^[\d.]+$|:/.test(serverName);
  const found = isAddress
    ? certificate.checkIP(serverName)
    : certificate.checkHost(serverName, { subject: 'never' });
  if (found !== undefined) return undefined;
  const prefix = 'tls: failed to verify certificate: x509: ';
  if (names === undefined)
    return new WrongServerName(`${prefix}certificate relies on legacy Common Name field, use SANs instead`);
  const kind = isAddress ? 'IP Address:' : 'DNS:';
  const valid = names
    .split(', ')
    .filter((name) => name.startsWith(kind))
    .map((name) => name.slice(kind.length));
  if (isAddress && valid.length === 0)
    return new WrongServerName(
      `${prefix}cannot validate certificate for ${serverName} because it doesn't contain any IP SANs`,
    );
  if (valid.length === 0)
    return new WrongServerName(
      `${prefix}certificate is not valid for any names, but wanted to match ${serverName}`,
    );
  return new WrongServerName(`${prefix}certificate is valid for ${valid.join(', ')}, not ${serverName}`);
}
