import type { AccessRules, RateLimit } from '../server/request.ts';
import type { Permission, Remote, TsigKey } from '../transfer/keys.ts';
import type { Place } from '../zone/zone.ts';

/** A zone as somebody wrote it. */
export interface ZoneText {
  /** Lower case; the key it stood under. */
  readonly origin: string;
  readonly text: string;
  /** Where the text's first line is. */
  readonly place: Place;
  /** What `$INCLUDE NAME` finds: the other texts of the same ConfigMap, folder or values, by their key. */
  readonly includes?: ReadonlyMap<string, IncludedText> | undefined;
}

/** Text beside a zone's, with the place of its first line. */
export interface IncludedText {
  readonly text: string;
  readonly place: Place;
}

/** Kinds of objects that records are derived from; the names are external-dns's. */
export type SourceName =
  | 'service'
  | 'ingress'
  | 'node'
  | 'crd'
  | 'gateway-httproute'
  | 'gateway-grpcroute'
  | 'gateway-tlsroute'
  | 'gateway-tcproute'
  | 'gateway-udproute';

/**
 * What the authoritative DNS is told to be: read from the values of stateless-dns with our own additions
 * (`values/`), from a ConfigMap or from a file. Whole and valid: what is bad is refused while it is read.
 */
export interface ExternalDnsConfig {
  readonly zones: readonly ZoneText[];
  readonly sources: readonly SourceName[];
  /** `sync`: records go with their object; `upsert-only`: they stay. */
  readonly policy: 'sync' | 'upsert-only';
  /** Types of derived records. */
  readonly managedRecordTypes: readonly string[];
  /** Only objects with this annotation or label, as external-dns's filters of those names. */
  readonly annotationFilter: string | undefined;
  readonly labelFilter: string | undefined;
  /** TTL of a derived record that asks for none. */
  readonly defaultTtlSeconds: number;
  readonly transfers: { readonly allow: readonly Permission[]; readonly notify: readonly Remote[] };
  /** Zones held for others, by origin. */
  readonly secondaries: ReadonlyMap<string, { readonly primaries: readonly Remote[] }>;
  readonly updates: { readonly allow: readonly Permission[] };
  readonly tsigKeys: readonly TsigKey[];
  /** By origin. Keys are in the Secret `dnssec-keys`, made when missing. */
  readonly dnssec: ReadonlyMap<
    string,
    {
      readonly denial: 'compact' | 'nsec3';
      /** What CDS and CDNSKEY ask of the parent; `publish` when left out. `delete` before a zone goes unsigned. */
      readonly cds?: 'publish' | 'delete' | 'none';
    }
  >;
  readonly access: AccessRules;
  readonly rateLimit: RateLimit;
  /** PowerDNS's HTTP API; undefined: not served. `key` is what X-API-Key must be. */
  readonly api: { readonly key: string } | undefined;
  /** `powerdns`: zones are handed to a PowerDNS by its API, too; what is asked here is answered all the same. */
  readonly engine:
    | { readonly name: 'own' }
    | { readonly name: 'powerdns'; readonly url: string; readonly key: string };
}
