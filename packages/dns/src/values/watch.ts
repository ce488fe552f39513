import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { watchPath } from '@cloudless/kube/watch-path';
import { isConfiguration } from '../external/await-configuration.ts';
import type { ExternalDnsConfig, ZoneText } from '../external/config.ts';
import type { ConfigSource } from '../external/external-dns.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import { configOf } from './cluster-config.ts';
import { parseValues } from './parse.ts';
import { readZoneFolder } from './zone-folder.ts';

export interface WatchConfigOptions {
  source: ConfigSource;
  /** Needed where the source is the cluster. */
  client?: KubeClient | undefined;
  /** Of the ConfigMaps and Secrets. */
  namespace: string;
  clock: Clock;
  log: Logger;
  /** Each configuration that differs from the one before; the last good one stays in force while there are errors. */
  onConfig(config: ExternalDnsConfig): void;
  /** What is wrong or odd in what is there now, whenever that changes; an error may keep the newest from coming into force. */
  onProblems(problems: readonly ZoneProblem[]): void;
}

export interface ConfigWatch extends Running {
  /** Resolves with the first configuration; a bad one is waited out. Rejects when the watch is stopped before. */
  readonly first: Promise<ExternalDnsConfig>;
  /** What is watched in the cluster; none for files. */
  readonly informers: ReadonlyArray<Informer<KubeObject>>;
  /** Tells now what the informers have, instead of a moment later: their versions and the configuration go together then. */
  flush(): void;
}

type Reading = { config: ExternalDnsConfig | undefined; problems: readonly ZoneProblem[] };

/** Reads the configuration and reads it again as it changes. */
export function watchConfig(options: WatchConfigOptions): ConfigWatch {
  let config: ExternalDnsConfig | undefined;
  let problems: readonly ZoneProblem[] = [];
  const { promise: first, resolve, reject } = Promise.withResolvers<ExternalDnsConfig>();
  first.catch(() => undefined);
  const take = (read: () => Reading): void => {
    const reading = tried(read, options.source);
    if (!isDeepStrictEqual(reading.problems, problems)) {
      const fresh = reading.problems.filter((one) => !problems.some((old) => isDeepStrictEqual(old, one)));
      tell(options.log, fresh, config !== undefined && reading.config === undefined);
      problems = reading.problems;
      options.onProblems(problems);
    }
    if (!reading.config || (config && isSameConfig(reading.config, config))) return;
    config = reading.config;
    options.onConfig(config);
    resolve(config);
  };
  const { informers, flush, ...watch } = watchSource(options, take);
  const stop = async (): Promise<void> => {
    reject(new Error('stopped before there was a configuration'));
    await watch.stop();
  };
  return { first, informers, flush, ...running(stop) };
}

/** Thousands of zones may share what they can include: that is compared once. */
function isSameConfig(a: ExternalDnsConfig, b: ExternalDnsConfig): boolean {
  const [{ zones, ...rest }, { zones: others, ...otherRest }] = [a, b];
  if (zones.length !== others.length || !isDeepStrictEqual(rest, otherRest)) return false;
  const compared = new Map<ZoneText['includes'], { other: ZoneText['includes']; isSame: boolean }>();
  const areSame = (one: ZoneText['includes'], other: ZoneText['includes']): boolean => {
    const known = compared.get(one);
    if (known && known.other === other) return known.isSame;
    const isSame = isDeepStrictEqual(one, other);
    compared.set(one, { other, isSame });
    return isSame;
  };
  return zones.every(({ includes, ...zone }, i) => {
    const { includes: otherIncludes, ...otherZone } = others[i] as ZoneText;
    return isDeepStrictEqual(zone, otherZone) && areSame(includes, otherIncludes);
  });
}

function tried(read: () => Reading, source: ConfigSource): Reading {
  try {
    return read();
  } catch (error) {
    const place = 'path' in source ? { source: source.path, line: 1 } : undefined;
    const message = `cannot read it: ${(error as Error).message}`;
    return { config: undefined, problems: [{ severity: 'error', place, message }] };
  }
}

function tell(log: Logger, problems: readonly ZoneProblem[], lastStays: boolean): void {
  for (const { severity, place, message } of problems) {
    const where = { source: place?.source, line: place?.line };
    if (severity === 'warning') log.warn(where, message);
    else log.error(where, lastStays ? `${message}; what was good before stays in force` : message);
  }
}

function watchSource(
  options: WatchConfigOptions,
  take: (read: () => Reading) => void,
): Running & Pick<ConfigWatch, 'informers' | 'flush'> {
  const { source, clock } = options;
  if (source.from === 'cluster') return watchCluster(options, take);
  if (source.from === 'given') {
    take(() => ({ config: source.config, problems: [] }));
    return { informers: [], flush: () => undefined, ...running(() => undefined) };
  }
  const { path } = source;
  const read = source.from === 'values' ? readValues : readZones;
  const kind = source.from === 'values' ? 'file' : 'folder';
  return {
    informers: [],
    flush: () => undefined,
    ...watchPath({ path, kind, clock, look: () => take(() => read(path)) }),
  };
}

function readValues(path: string): Reading {
  const parsed = parseValues(readFileSync(path, 'utf8'), path);
  return 'problems' in parsed
    ? { config: undefined, problems: parsed.problems }
    : { config: parsed.config, problems: parsed.warnings };
}

function readZones(path: string): Reading {
  const { zones, problems } = readZoneFolder(path);
  const usual = parseValues('', path);
  if ('problems' in usual) return { config: undefined, problems: usual.problems };
  return { config: { ...usual.config, zones }, problems };
}

function watchCluster(
  options: WatchConfigOptions,
  take: (read: () => Reading) => void,
): Running & Pick<ConfigWatch, 'informers' | 'flush'> {
  const { client, namespace, clock, log } = options;
  if (!client) throw new Error('a configuration from the cluster needs a client');
  const configMaps = startInformer({ client, namespace, clock, log, resource: core.configmaps });
  const secrets = startInformer({ client, namespace, clock, log, resource: core.secrets });
  let isPlanned = false;
  let isStopped = false;
  const flush = (): void => {
    if (!isPlanned || isStopped) return;
    isPlanned = false;
    if (!configMaps.hasSynced || !secrets.hasSynced) return;
    take(() => configOf({ configMaps: configMaps.store.list(), secrets: secrets.store.list() }));
  };
  const look = (): void => {
    if (isPlanned) return;
    isPlanned = true;
    // One look for all that came at once.
    setImmediate(flush);
  };
  // Serials are written to a ConfigMap beside these with every change of a zone.
  const lookAt = (configMap: ConfigMap, old = configMap): void => {
    if (isConfiguration(configMap) || isConfiguration(old)) look();
  };
  configMaps.addHandler({ add: (one) => lookAt(one), update: lookAt, delete: (one) => lookAt(one) });
  secrets.addHandler({ add: look, update: look, delete: look });
  // An empty namespace is a configuration too.
  for (const { synced } of [configMaps, secrets]) synced.then(look, () => undefined);
  const stop = async (): Promise<void> => {
    isStopped = true;
    await Promise.all([configMaps.stop(), secrets.stop()]);
  };
  return { informers: [configMaps, secrets] as Array<Informer<KubeObject>>, flush, ...running(stop) };
}
