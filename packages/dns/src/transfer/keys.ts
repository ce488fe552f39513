/** A key of RFC 8945. `secret` never appears in a log or an error. */
export interface TsigKey {
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly algorithm:
    | 'hmac-sha1'
    | 'hmac-sha224'
    | 'hmac-sha256'
    | 'hmac-sha384'
    | 'hmac-sha512'
    | 'hmac-md5';
  readonly secret: Buffer;
}

/** Who may do something: all that is given must hold. Neither network nor key: nobody. */
export interface Permission {
  /** CIDR. */
  readonly network: string | undefined;
  /** Name of a TSIG key. */
  readonly key: string | undefined;
  /** Zones that it counts for; undefined: every one. */
  readonly zones: readonly string[] | undefined;
}

/** Another server: one that is notified, or one that a secondary zone is transferred from. */
export interface Remote {
  readonly address: string;
  readonly port: number;
  /** Name of the TSIG key that requests to it are signed with. */
  readonly key: string | undefined;
}
