import type { TLSSocket } from 'node:tls';
import type { Credentials } from '../authn/authenticator.ts';
import type { Request } from './respond.ts';

interface PeerFacts {
  peerCertificate: Buffer | undefined;
  peerVerified: boolean;
}
/** A connection's certificate does not change: its DER is read once. */
const peers = new WeakMap<object, PeerFacts>();

function socketOf(request: Request): TLSSocket | undefined {
  const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
  return socket as TLSSocket | undefined;
}

/** Who the peer says it is, by certificate and headers. */
export function credentialsOf(request: Request): Credentials {
  const socket = socketOf(request);
  const headers = request.headers as Credentials['headers'];
  if (!socket) return { headers };
  // Node wraps an HTTP/2 session's socket in a proxy: the session is the key that lasts.
  const key = 'stream' in request ? (request.stream.session as object) : socket;
  let facts = peers.get(key);
  if (!facts) {
    const certificate = socket.getPeerCertificate() as { raw?: Buffer } | undefined;
    facts = { peerCertificate: certificate?.raw, peerVerified: socket.authorized };
    peers.set(key, facts);
  }
  return { ...facts, headers };
}

/** Address of the peer; undefined when the connection is gone. */
export const peerAddress = (request: Request): string | undefined => socketOf(request)?.remoteAddress;

/** Whether the peer showed a certificate, good or bad. */
export const sentCertificate = (request: Request): boolean =>
  credentialsOf(request).peerCertificate !== undefined;
