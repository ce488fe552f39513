import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { ConfigSource } from '@cloudless/dns/external/external-dns';
import { startExternalDns } from '@cloudless/dns/external/start';
import { startPowerDnsEngine } from '@cloudless/dns/powerdns/engine';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { defaultPorts } from '@cloudless/kube/node/context';
import { ownVersion } from '../../kubernetes-version.ts';
import { UsageError } from '../../options.ts';
import { interrupted, namedCluster, portOf } from '../named-cluster.ts';
import { endpointOf, listenOf, userAgent } from './listen.ts';

export interface ExternalFlags {
  kubeconfig?: string;
  values?: string;
  zones?: string;
  listen?: string[];
  tlsListenPort?: string;
  tlsCertFile?: string;
  tlsKeyFile?: string;
  apiListen?: string;
  engine: string;
  powerdnsUrl?: string;
  powerdnsKeyFile?: string;
  keys?: string;
  namespace: string;
  threads: string;
  port?: string;
  host: string;
}

/** `cloudless dns external`: the authoritative DNS of files, of a cluster, or of both. */
export async function external(flags: ExternalFlags): Promise<void> {
  const log = logger('dns');
  const config = sourceOf(flags);
  // A file is served without a cluster unless one is named: whoever tries a zone must not write into a cluster.
  const client =
    config.from === 'cluster' || flags.kubeconfig !== undefined
      ? namedCluster(flags.kubeconfig, userAgent)
      : undefined;
  if (config.from === 'cluster' && !client)
    throw new UsageError(
      'serve what? Name a file with --values, a folder with --zones, or a cluster with --kubeconfig or KUBECONFIG',
    );
  const { addresses, port } = listenOf(flags.listen ?? ['127.0.0.1:5353']);
  const certificate = certificateOf(flags);
  const feeding = feedingOf(flags);
  const api = flags.apiListen === undefined ? undefined : endpointOf('--api-listen', flags.apiListen);
  const tlsPort =
    flags.tlsListenPort === undefined ? undefined : portOf('--tls-listen-port', flags.tlsListenPort);
  if (tlsPort !== undefined && !certificate)
    throw new UsageError('--tls-listen-port needs --tls-cert-file and --tls-key-file');
  const healthPort = portOf('--port', flags.port ?? String(defaultPorts.dnsExternalHealth));
  const stop = interrupted();
  const parts: Running[] = [];
  try {
    const dns = await startExternalDns({
      client,
      config,
      namespace: flags.namespace,
      addresses,
      port,
      ...(tlsPort !== undefined && certificate ? { tls: { port: tlsPort, ...certificate } } : {}),
      keysFolder: flags.keys === undefined ? undefined : resolve(flags.keys),
      healthPort: healthPort === 0 ? undefined : healthPort,
      healthAddress: flags.host,
      apiPort: api?.port,
      apiAddresses: api && [api.address],
      apiTls: certificate,
      threads: threadsOf(flags.threads),
      identity: { version: `cloudless ${ownVersion}`, id: hostname() },
      log,
    });
    parts.push(dns);
    if (feeding)
      parts.push(
        startPowerDnsEngine({ ...feeding, zones: dns.zones, ready: dns.ready, clock: systemClock, log }),
      );
    dns.ready.then(
      () =>
        log.info(
          { addresses, port: dns.ports.dns, api: dns.ports.api, zones: dns.zones.all.size },
          'the authoritative DNS serves',
        ),
      () => undefined,
    );
    await stop;
  } finally {
    for (const part of parts.reverse()) await part.stop();
  }
}

function sourceOf(flags: ExternalFlags): ConfigSource {
  if (flags.values !== undefined && flags.zones !== undefined)
    throw new UsageError('--values and --zones: choose one; values can hold zones as well');
  if (flags.values !== undefined) return { from: 'values', path: readable('--values', flags.values) };
  if (flags.zones !== undefined) return { from: 'zones', path: resolve(flags.zones) };
  return { from: 'cluster' };
}

/** A path whose file is there: what comes later is waited for, but a wrong name is said at once. */
function readable(flag: string, path: string): string {
  textOf(flag, path);
  return resolve(path);
}

function textOf(flag: string, path: string): string {
  try {
    return readFileSync(resolve(path), 'utf8');
  } catch (cause) {
    throw new UsageError(`${flag} ${path}: cannot read it: ${(cause as Error).message}`, { cause });
  }
}

function certificateOf(flags: ExternalFlags): { certificate: string; key: string } | undefined {
  const { tlsCertFile, tlsKeyFile } = flags;
  if (tlsCertFile === undefined && tlsKeyFile === undefined) return undefined;
  if (tlsCertFile === undefined || tlsKeyFile === undefined)
    throw new UsageError('--tls-cert-file and --tls-key-file go together');
  return { certificate: textOf('--tls-cert-file', tlsCertFile), key: textOf('--tls-key-file', tlsKeyFile) };
}

function feedingOf(flags: ExternalFlags): { url: string; key: string } | undefined {
  if (flags.engine === 'own') {
    if (flags.powerdnsUrl !== undefined) throw new UsageError('--powerdns-url goes with --engine powerdns');
    return undefined;
  }
  if (flags.engine !== 'powerdns') throw new UsageError(`--engine ${flags.engine}: expected own or powerdns`);
  const url = flags.powerdnsUrl;
  const key = (
    flags.powerdnsKeyFile === undefined
      ? process.env['POWERDNS_API_KEY']
      : textOf('--powerdns-key-file', flags.powerdnsKeyFile)
  )?.trim();
  if (url === undefined || !/^https?:/.test(url) || !URL.canParse(url))
    throw new UsageError('--engine powerdns needs --powerdns-url, such as http://192.0.2.53:8081');
  if (!key) throw new UsageError('--engine powerdns needs --powerdns-key-file, or POWERDNS_API_KEY');
  return { url, key };
}

function threadsOf(text: string): number {
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 64)
    throw new UsageError(`--threads ${text}: expected 1 to 64`);
  return threads;
}
