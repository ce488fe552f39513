import type { Endpoint } from '@cloudless/datastore/endpoint';
import { parseEndpoint } from '@cloudless/datastore/endpoint';
import { parseRetention } from '@cloudless/datastore/maintenance/auto-compaction';
import { defaultQuotaBytes } from '@cloudless/datastore/maintenance/quota';
import type { ListenAddress, TlsFiles } from '@cloudless/datastore/server/serve';
import { UsageError } from '../../options.ts';

/** The flags as they are given. */
export interface ServeFlags {
  endpoint: string;
  listenAddress?: string;
  serverCertFile?: string;
  serverKeyFile?: string;
  trustedCaFile?: string;
  advertiseClientUrls?: string;
  metricsAddress?: string;
  quotaBytes?: string;
  autoCompaction?: string;
  commitWindow?: string;
  watchProgressNotifyInterval?: string;
}

export interface ServeSettings {
  readonly endpoint: Endpoint;
  readonly listen: ListenAddress;
  readonly tls: TlsFiles | undefined;
  readonly advertise: readonly string[] | undefined;
  readonly metrics: ListenAddress | undefined;
  /** `Infinity`: none. */
  readonly quotaBytes: number;
  /** How much history is kept; 0: compaction is left to clients. */
  readonly retentionMs: number;
  readonly commitWindowMs: number;
  /** How often an idle watch that asked for it is told the revision; undefined: the engine's default. */
  readonly progressIntervalMs: number | undefined;
}

const defaultAddress = '127.0.0.1:2379';
/** Writes wait no longer than clients do for an answer. */
const maxWindowMs = 2000;

/** Reads the flags of `datastore serve`. @throws UsageError, EndpointError in a sentence that names the flag */
export function parseServeFlags(flags: ServeFlags): ServeSettings {
  return {
    endpoint: parseEndpoint(flags.endpoint),
    listen: addressOf('--listen-address', flags.listenAddress ?? defaultAddress),
    tls: tlsOf(flags),
    advertise: flags.advertiseClientUrls?.split(',').map(urlOf),
    metrics:
      flags.metricsAddress === undefined ? undefined : addressOf('--metrics-address', flags.metricsAddress),
    quotaBytes: quotaOf(flags.quotaBytes),
    retentionMs: retentionOf(flags.autoCompaction),
    commitWindowMs: windowOf(flags.commitWindow),
    progressIntervalMs: progressIntervalOf(flags.watchProgressNotifyInterval),
  };
}

function tlsOf({ serverCertFile, serverKeyFile, trustedCaFile }: ServeFlags): TlsFiles | undefined {
  if (serverCertFile === undefined && serverKeyFile === undefined) {
    if (trustedCaFile === undefined) return undefined;
    throw new UsageError('--trusted-ca-file needs TLS: give --server-cert-file and --server-key-file too');
  }
  if (serverCertFile === undefined || serverKeyFile === undefined)
    throw new UsageError('--server-cert-file and --server-key-file go together');
  return { certFile: serverCertFile, keyFile: serverKeyFile, trustedCaFile };
}

/** `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every address, `unix:///path`. */
function addressOf(flag: string, text: string): ListenAddress {
  const [, path] = /^unix:\/\/(\/.+)$/.exec(text) ?? [];
  if (path !== undefined) return { path };
  const [, bracketed, plain, digits] = /^(?:\[(.+)\]|([^:/]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535)
    throw new UsageError(`${flag} ${text}: expected HOST:PORT, [IPv6]:PORT or unix:///path`);
  const host = bracketed ?? plain ?? '';
  return { host: host === '' ? '::' : host, port };
}

function urlOf(text: string): string {
  if (!/^(https?:\/\/[^/]+:\d+|unix:\/\/\/.+)$/.test(text))
    throw new UsageError(`--advertise-client-urls ${text}: expected https://HOST:PORT, several with commas`);
  return text;
}

function quotaOf(text: string | undefined): number {
  if (text === undefined) return defaultQuotaBytes;
  const bytes = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(bytes))
    throw new UsageError(`--quota-bytes ${text}: expected a number of bytes, or 0 for none`);
  return bytes === 0 ? Infinity : bytes;
}

function retentionOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = parseRetention(text);
  if (ms === undefined || (ms > 0 && ms < 10_000))
    throw new UsageError(
      `--auto-compaction ${text}: expected a duration of 10s or more (10m, 1h30m), whole hours (12), or 0 for off`,
    );
  return ms;
}

function progressIntervalOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+ms$/.test(text)
    ? Number.parseInt(text, 10)
    : /[hms]$/.test(text)
      ? parseRetention(text)
      : undefined;
  // etcd's least interval, and the longest delay of a timer.
  if (ms === undefined || ms < 100 || ms > 0x7fffffff)
    throw new UsageError(
      `--watch-progress-notify-interval ${text}: expected a duration of 100ms or more, such as 5s or 10m`,
    );
  return ms;
}

function windowOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const [, digits, unit] = /^(\d+)(ms|s)$/.exec(text) ?? [];
  const ms = Number(digits) * (unit === 's' ? 1000 : 1);
  if (digits === undefined || ms > maxWindowMs)
    throw new UsageError(
      `--commit-window ${text}: expected a duration up to ${maxWindowMs} ms, such as 100ms`,
    );
  return ms;
}
