import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap, Secret } from '@cloudless/kube/types/core-v1';
import type { TsigKey } from '../transfer/keys.ts';
import { parseValues } from '../values/parse.ts';
import { parseTsigKey } from '../values/tsig-keys.ts';
import { zoneTexts } from '../values/zone-texts.ts';
import { valuesConfigMap, zonesLabel } from './await-configuration.ts';
import type { ExternalDnsConfig, IncludedText, ZoneText } from './config.ts';
import type { PlacedProblem, WatchedConfiguration } from './configuration.ts';
import type { ObjectReference } from './records.ts';
import type { RevisionTracker } from './revisions.ts';
import { referenceOf } from './wanted.ts';

const valuesKey = 'values.yaml';
const tsigSecret = 'tsig-keys';

/**
 * The configuration in our namespace: ConfigMap `values`, ConfigMaps with zones, and what they need of Secrets. A bad one
 * leaves the last good one in force; none at all means the defaults.
 */
export function watchClusterConfiguration(options: {
  client: KubeClient;
  namespace: string;
  tracker: RevisionTracker;
  log: Logger;
  clock?: Clock | undefined;
  onChange: () => void;
}): WatchedConfiguration {
  const { client, namespace, tracker, log, clock, onChange } = options;
  const common = { client, namespace, log, clock };
  const values = startInformer<ConfigMap>({
    ...common,
    resource: core.configmaps,
    fieldSelector: `metadata.name=${valuesConfigMap}`,
  });
  const zoneMaps = startInformer<ConfigMap>({
    ...common,
    resource: core.configmaps,
    labelSelector: `${zonesLabel}=true`,
  });
  const secrets = startInformer<Secret>({ ...common, resource: core.secrets });
  const informers: Record<string, Informer<KubeObject>> = {
    'configmaps/values': values,
    'configmaps/zones': zoneMaps,
    secrets,
  };
  let isStale = true;
  let config: ExternalDnsConfig | undefined;
  /** Without the zones of ConfigMaps of their own. */
  let base: ExternalDnsConfig | undefined;
  let problems: PlacedProblem[] = [];
  let subjects = new Map<string, ObjectReference>();
  const stale = (): void => {
    isStale = true;
    onChange();
  };
  for (const [name, informer] of Object.entries(informers)) {
    // Secrets are no part of any zone's content.
    if (name !== 'secrets') tracker.track(name, informer);
    informer.addHandler({ add: stale, update: stale, delete: stale });
    informer.synced.then(stale, () => {});
  }
  const waiting = (): string | undefined =>
    Object.entries(informers).find(([, informer]) => !informer.hasSynced)?.[0];

  const read = (): void => {
    if (!isStale || waiting() !== undefined) return;
    isStale = false;
    problems = [];
    subjects = new Map();
    const valuesMap = values.store.get(`${namespace}/${valuesConfigMap}`);
    const valuesText = valuesMap?.data?.[valuesKey] ?? '';
    const source = `ConfigMap ${namespace}/${valuesConfigMap} key ${valuesKey}`;
    const subject = valuesMap && referenceOf(valuesMap, 'v1', 'ConfigMap');
    const parsed = parseValues(valuesText, source, {
      secret: (name, key) => textIn(secrets.store.get(`${namespace}/${name}`), key),
      tsigKeys: tsigKeysOf(secrets.store.get(`${namespace}/${tsigSecret}`), problems),
    });
    if ('problems' in parsed) problems.push(...parsed.problems.map((problem) => ({ ...problem, subject })));
    else {
      base = parsed.config;
      problems.push(...parsed.warnings.map((problem) => ({ ...problem, subject })));
    }
    if (!base) return;
    const zones = new Map<string, ZoneText>();
    for (const zone of base.zones) {
      zones.set(zone.origin, zone);
      if (subject) subjects.set(zone.origin, subject);
    }
    for (const map of zoneMaps.store.list().sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)))
      if (nameOf(map) !== valuesConfigMap) addZones(map, zones, subjects, problems);
    config = { ...base, zones: [...zones.values()] };
  };
  return {
    get config() {
      read();
      return config;
    },
    get problems() {
      read();
      return problems;
    },
    get waitingFor() {
      const name = waiting();
      return name === undefined ? undefined : `${name} in namespace ${namespace}`;
    },
    subjectOf: (origin) => subjects.get(origin),
    ...running(async () => {
      for (const [name, informer] of Object.entries(informers)) tracker.forget(name, informer);
      await Promise.all(Object.values(informers).map((informer) => informer.stop()));
    }),
  };
}

const nameOf = ({ metadata }: KubeObject): string => metadata.name ?? '';

/** Zones of one ConfigMap; those that are there already stay as they are. */
function addZones(
  map: ConfigMap,
  zones: Map<string, ZoneText>,
  subjects: Map<string, ObjectReference>,
  problems: PlacedProblem[],
): void {
  const subject = referenceOf(map, 'v1', 'ConfigMap');
  const sourceOf = (key: string): string => `ConfigMap ${map.metadata.namespace}/${nameOf(map)} key ${key}`;
  const texts = new Map<string, IncludedText>();
  for (const [key, text] of Object.entries(map.data ?? {}))
    texts.set(key, { text, place: { source: sourceOf(key), line: 1 } });
  const read = zoneTexts(texts);
  for (const { key, message } of read.problems)
    problems.push({ severity: 'error', place: { source: sourceOf(key), line: 1 }, message, subject });
  for (const zone of read.zones) {
    const there = zones.get(zone.origin);
    if (there) {
      problems.push({
        severity: 'error',
        place: zone.place,
        message: `zone ${zone.origin}. is there already, in ${there.place.source}, which counts; remove one of them`,
        subject,
      });
      continue;
    }
    zones.set(zone.origin, zone);
    subjects.set(zone.origin, subject);
  }
}

function textIn(secret: Secret | undefined, key: string): string | undefined {
  const data = secret?.data?.[key];
  return data === undefined ? undefined : Buffer.from(data, 'base64').toString('utf8').trim();
}

function tsigKeysOf(secret: Secret | undefined, problems: PlacedProblem[]): TsigKey[] {
  const keys: TsigKey[] = [];
  for (const name of Object.keys(secret?.data ?? {}).sort()) {
    const key = parseTsigKey(name, textIn(secret, name) ?? '');
    if (!('reason' in key)) keys.push(key);
    else
      problems.push({
        severity: 'error',
        place: { source: `Secret ${secret?.metadata.namespace}/${tsigSecret} key ${name}`, line: 1 },
        message: `the key cannot be used: ${key.reason}`,
        subject: secret && referenceOf(secret, 'v1', 'Secret'),
      });
  }
  return keys;
}
