import { errors } from '@cloudless/kube/status';
import type { Authenticator, Credentials } from './authenticator.ts';

/** The token of an `Authorization: Bearer` header (RFC 6750); undefined when there is none. */
export function bearerToken(credentials: Credentials): string | undefined {
  const header = credentials.headers['authorization'];
  if (typeof header !== 'string') return undefined;
  const match = /^bearer +(\S+)\s*$/i.exec(header);
  return match?.[1];
}

/**
 * Comes last: a token that nobody knew is refused with 401 instead of being taken for no credential at all, so that a
 * client with a stale token learns of it and is not served as anonymous.
 */
export const unknownTokenRefusal: Authenticator = {
  authenticate(credentials: Credentials): undefined {
    if (bearerToken(credentials) !== undefined) throw errors.unauthorized();
    return undefined;
  },
};
