import type { UserInfo } from '@cloudless/kube/user';

/** What of a connection and its headers authentication may look at. */
export interface Credentials {
  /** DER of the client's certificate, whose chain TLS has verified against the client CA. */
  peerCertificate?: Buffer | undefined;
  /** True when TLS verified the chain; false: a certificate was sent that no known CA signed. */
  peerVerified?: boolean;
  /** Request headers, lower-case names. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Authenticated {
  user: UserInfo;
  /** Audiences the credential is valid for; absent for audience-less credentials such as certificates. */
  audiences?: readonly string[];
}

/**
 * `undefined`: no credential of this kind was given, the next authenticator is asked. Throws
 * `StatusError` 401 for a credential that is given and bad.
 */
export interface Authenticator {
  authenticate(credentials: Credentials): Promise<Authenticated | undefined> | Authenticated | undefined;
}
