import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ServerIdentity } from '../server/dns-server.ts';
import type { RecordKeeper } from '../update/change.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import type { Zones } from '../zone/zones.ts';
import type { ExternalDnsConfig } from './config.ts';
import type { LostRecords, ObjectReference } from './records.ts';

/** Where the configuration comes from. All but `given` are watched; what is bad leaves the last good one in force. */
export type ConfigSource =
  /**
   * ConfigMap `values` (key `values.yaml`), ConfigMaps labelled `dns.cloudless.dev/zones=true`, and the Secrets
   * `tsig-keys` and `api-key`, all in the DNS's namespace. Needs a client.
   */
  | { readonly from: 'cluster' }
  /** A values file; with a client, records are derived from that cluster too. */
  | { readonly from: 'values'; readonly path: string }
  /** A folder with a master file for each zone, named by its origin (`example.org` or `example.org.zone`). */
  | { readonly from: 'zones'; readonly path: string }
  | { readonly from: 'given'; readonly config: ExternalDnsConfig };

export interface ExternalDnsOptions {
  /** None: zones are served from their texts alone. */
  client?: KubeClient | undefined;
  config: ConfigSource;
  /** Of our own objects: ConfigMaps, Secrets, serials, DNSEndpoints made through an API. Default `cloudless-dns`. */
  namespace?: string | undefined;
  /** Addresses to answer on, UDP and TCP; each is bound by itself. */
  addresses: readonly string[];
  port: number;
  /** DNS over TLS, on its own port of the same addresses; both PEM. */
  tls?: { readonly port: number; readonly certificate: string; readonly key: string } | undefined;
  /** Folder of DNSSEC keys, files as BIND has them; only where there is no cluster to keep them. */
  keysFolder?: string | undefined;
  /** What the server says of itself to CH TXT questions and in NSID. */
  identity?: ServerIdentity | undefined;
  /**
   * Port on loopback of `/healthz`, `/readyz`, `/metrics`, and as JSON `/status`, `/records?zone=ORIGIN` and
   * `/why?name=NAME`.
   */
  healthPort?: number | undefined;
  /** Where that is, instead of loopback: probes of a pod come from its node. */
  healthAddress?: string | undefined;
  /** Port of PowerDNS's HTTP API; nobody may ask it before the configuration has `api`. */
  apiPort?: number | undefined;
  /** Where the API listens. Default loopback alone: without `apiTls` its key goes over the wire as it is. */
  apiAddresses?: readonly string[] | undefined;
  /** Both PEM. */
  apiTls?: { readonly certificate: string; readonly key: string } | undefined;
  /** Serving threads. Default 1. */
  threads?: number | undefined;
  log: Logger;
  clock?: Clock | undefined;
}

/** The authoritative DNS, running. */
export interface ExternalDns extends Running {
  /** Resolves after the first full sync, serials recorded and zones published; SERVFAIL until then. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  readonly zones: Zones;
  /** Where records made through an API are kept. */
  readonly keeper: RecordKeeper;
  /** Bound ports; another than asked for where that was 0. */
  readonly ports: {
    readonly dns: number;
    readonly tls: number | undefined;
    readonly health: number | undefined;
    readonly api: number | undefined;
  };
  /** Who made the records of a name, and who lost. `name` in any case, with or without the final dot. */
  why(name: string): WhyAnswer;
  /** What is served, of one zone or of all, in canonical order. */
  records(origin?: string): ServedRecords[];
  status(): ExternalDnsStatus;
  /** Prometheus's text. */
  metrics(): Promise<string>;
}

/** One record set in presentation form. */
export interface ShownRecords {
  readonly name: string;
  /** `A`, or `TYPE65280`. */
  readonly type: string;
  readonly ttlSeconds: number;
  /** RDATA as a master file has it. */
  readonly data: readonly string[];
}

export interface ServedRecords extends ShownRecords {
  readonly origin: string;
  /** The objects that asked for them; none: written by hand in the zone's text. */
  readonly from: readonly ObjectReference[];
}

export interface WhyAnswer {
  readonly name: string;
  /** The zone that the name belongs to; undefined: none here. */
  readonly origin: string | undefined;
  readonly serial: number | undefined;
  readonly records: readonly ServedRecords[];
  readonly lost: ReadonlyArray<
    ShownRecords & Pick<LostRecords, 'reason' | 'message' | 'winner'> & { readonly from: ObjectReference }
  >;
  /** One sentence that sums it up. */
  readonly message: string;
}

export interface ZoneStatus {
  readonly origin: string;
  readonly role: 'primary' | 'secondary';
  /**
   * `serving`; `waiting`: the newest content waits for a serial, what was served before goes on; `bad`: the text has errors
   * and there was no good one before, so SERVFAIL; `expired`: a secondary whose primary is silent.
   */
  readonly state: 'serving' | 'waiting' | 'bad' | 'expired';
  readonly serial: number | undefined;
  readonly records: number;
  /** Record sets from objects that are served, and that lost. */
  readonly derived: number;
  readonly lost: number;
  readonly signed: boolean;
  readonly problems: readonly ZoneProblem[];
}

export interface ExternalDnsStatus {
  readonly ready: boolean;
  /** Why it is not ready, or why changes do not come into force; undefined: nothing. */
  readonly waitingFor: string | undefined;
  readonly zones: readonly ZoneStatus[];
  /** What keeps the newest configuration from coming into force. */
  readonly problems: readonly ZoneProblem[];
  /** What is watched. `error`: why the last try to reach the API failed. */
  readonly sources: ReadonlyArray<{
    readonly resource: string;
    readonly synced: boolean;
    readonly objects: number;
    readonly error: string | undefined;
  }>;
  /** Names that objects ask for and no zone here holds. */
  readonly outside: ReadonlyArray<ShownRecords & { readonly from: ObjectReference }>;
}
