import type { CorefileProblem } from './error.ts';

/** What a Corefile asks for, read and checked. Names are lower case, without the final dot; the root is ''. */
export interface CorefileConfig {
  readonly servers: readonly ServerConfig[];
  /** What it asks for and is not done here, in order of lines. */
  readonly warnings: readonly CorefileProblem[];
}

/** One server block. Plugins answer in CoreDNS's order: rewrite, cache, template, hosts, kubernetes, forward. */
export interface ServerConfig {
  readonly zones: readonly string[];
  readonly line: number;
  readonly logs: readonly LogConfig[];
  readonly rewrites: readonly RewriteConfig[];
  readonly cache: CacheConfig | undefined;
  readonly templates: readonly TemplateConfig[];
  readonly hosts: HostsConfig | undefined;
  readonly kubernetes: KubernetesConfig | undefined;
  readonly forwards: readonly ForwardConfig[];
  /** Look for forwarding loops. */
  readonly loop: boolean;
  /** Addresses are handed out in a random order. */
  readonly loadbalance: boolean;
}

/** Which names go on to the next plugin when there is no answer; undefined: none. */
export type Fallthrough = readonly string[] | undefined;

export interface KubernetesConfig {
  readonly zones: readonly string[];
  readonly pods: 'disabled' | 'insecure' | 'verified';
  readonly endpointPodNames: boolean;
  readonly noEndpoints: boolean;
  readonly ignoreEmptyService: boolean;
  readonly ttlSeconds: number;
  /** undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** Label selectors, as text; '' selects everything. */
  readonly labels: string;
  readonly namespaceLabels: string;
  readonly fallthrough: Fallthrough;
}

export interface TlsConfig {
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly caFile: string | undefined;
}

export interface UpstreamConfig {
  /** IP address. */
  readonly host: string;
  readonly port: number;
  readonly transport: 'dns' | 'tls';
  /** Name that the certificate must be for. */
  readonly serverName: string | undefined;
}

export interface ForwardConfig {
  readonly line: number;
  /** Names at and below are forwarded. */
  readonly from: string;
  readonly except: readonly string[];
  /** Servers, or files in the form of resolv.conf. */
  readonly to: ReadonlyArray<UpstreamConfig | { readonly file: string }>;
  readonly policy: 'random' | 'round_robin' | 'sequential';
  readonly forceTcp: boolean;
  readonly preferUdp: boolean;
  /** Questions under way; more are refused. */
  readonly maxConcurrent: number;
  /** How long an idle connection is kept. */
  readonly expireMs: number;
  readonly readTimeoutMs: number;
  /** 0: servers are never held to be down. */
  readonly maxFails: number;
  readonly healthCheck: {
    readonly intervalMs: number;
    readonly recursionDesired: boolean;
    readonly domain: string;
  };
  /** Fail at once when every server is down, instead of trying one at random. */
  readonly failFast: boolean;
  /** Response codes after which the next server is asked. */
  readonly failover: readonly number[];
  /** Response codes after which the next forward of the block is asked. */
  readonly next: readonly number[];
  readonly tls: TlsConfig;
}

export interface CacheTypeConfig {
  readonly entries: number;
  readonly maxTtlSeconds: number;
  readonly minTtlSeconds: number;
  /** Zones for which nothing of this type is kept. */
  readonly disabled: readonly string[];
}

export interface CacheConfig {
  readonly zones: readonly string[];
  readonly success: CacheTypeConfig;
  readonly denial: CacheTypeConfig;
  readonly servfailMs: number;
  readonly keepTtl: boolean;
  readonly prefetch:
    | { readonly amount: number; readonly durationMs: number; readonly percentage: number }
    | undefined;
  readonly serveStale:
    | {
        readonly durationMs: number;
        /** `verify`: ask first and serve what is stale only without an answer. */
        readonly mode: 'immediate' | 'verify';
        /** How long a client waits for the answer to be verified; 0: until the servers have failed. */
        readonly verifyTimeoutMs: number;
        readonly ttlSeconds: number;
        /** A refresh that failed is not tried again for so long. */
        readonly failureRecheckMs: number;
      }
    | undefined;
}

export interface HostsConfig {
  readonly zones: readonly string[];
  /** A hosts file to read beside; undefined: the lines below are all. */
  readonly file: string | undefined;
  readonly entries: ReadonlyArray<{ readonly address: string; readonly names: readonly string[] }>;
  readonly ttlSeconds: number;
  readonly reverse: boolean;
  readonly reloadMs: number;
  readonly fallthrough: Fallthrough;
}

export type NameMatch = 'exact' | 'prefix' | 'suffix' | 'substring' | 'regex';

export interface AnswerRewrite {
  readonly what: 'name' | 'value';
  readonly from: RegExp;
  readonly to: string;
}

export interface RewriteConfig {
  readonly line: number;
  readonly action: 'continue' | 'stop';
  readonly match: NameMatch;
  readonly from: string;
  readonly to: string;
  /** Put the name that was asked for in the place of the one it was rewritten to. */
  readonly answerAuto: boolean;
  readonly answers: readonly AnswerRewrite[];
}

export interface TemplateConfig {
  readonly line: number;
  /** 255: any. */
  readonly class: number;
  /** 255: any. */
  readonly type: number;
  readonly zones: readonly string[];
  readonly matches: readonly RegExp[];
  readonly answers: readonly string[];
  readonly authorities: readonly string[];
  readonly additionals: readonly string[];
  readonly rcode: number;
  readonly extendedError: { readonly code: number; readonly text: string } | undefined;
  readonly fallthrough: Fallthrough;
}

export interface LogConfig {
  readonly names: readonly string[];
  readonly format: string;
  readonly classes: ReadonlyArray<'all' | 'success' | 'denial' | 'error'>;
}
