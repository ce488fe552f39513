import type { ConfigMap, Secret } from '@cloudless/kube/types/core-v1';
import { valuesConfigMap, zonesLabel } from '../external/await-configuration.ts';
import type { ExternalDnsConfig, IncludedText, ZoneText } from '../external/config.ts';
import type { TsigKey } from '../transfer/keys.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import { parseValues } from './parse.ts';
import { parseTsigKey, tsigKeysSecret } from './tsig-keys.ts';
import { zoneTexts } from './zone-texts.ts';

/** Of ConfigMap `values`. */
export const valuesField = 'values.yaml';

/** The objects of the DNS's namespace that say what it is to do. */
export interface ConfigObjects {
  readonly configMaps: Iterable<ConfigMap>;
  readonly secrets: Iterable<Secret>;
}

/**
 * The configuration that a namespace's objects make. Undefined: the values are bad, as an error in `problems` says; what is
 * wrong with a key or a zone's name leaves out that one alone, and a zone that stands twice counts where it comes first:
 * in the values, then by the names of the ConfigMaps.
 */
export function configOf(objects: ConfigObjects): {
  config: ExternalDnsConfig | undefined;
  problems: ZoneProblem[];
} {
  const configMaps = [...objects.configMaps].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const secrets = new Map([...objects.secrets].map((secret) => [nameOf(secret), secret]));
  const problems: ZoneProblem[] = [];
  const tsigKeys = tsigKeysIn(secrets.get(tsigKeysSecret), problems);
  const values = configMaps.find((one) => nameOf(one) === valuesConfigMap);
  const text = values?.data?.[valuesField] ?? '';
  const source = `ConfigMap ${values?.metadata.namespace ?? ''}/${valuesConfigMap} key ${valuesField}`;
  if (values && values.data?.[valuesField] === undefined)
    problems.push({
      severity: 'error',
      place: { source, line: 1 },
      message: `the ConfigMap has no key ${valuesField}`,
    });
  const parsed = parseValues(text, source, {
    tsigKeys,
    secret: (name, key) => textIn(secrets.get(name), key),
  });
  if ('problems' in parsed) return { config: undefined, problems: [...problems, ...parsed.problems] };
  problems.push(...parsed.warnings);
  const zones = allZones(parsed.config.zones, configMaps, problems);
  return { config: { ...parsed.config, zones }, problems };
}

function allZones(
  first: readonly ZoneText[],
  configMaps: readonly ConfigMap[],
  problems: ZoneProblem[],
): ZoneText[] {
  const zones = new Map(first.map((zone) => [zone.origin, zone]));
  for (const configMap of configMaps) {
    if (configMap.metadata.labels?.[zonesLabel] !== 'true') continue;
    const sourceOf = (key: string): string =>
      `ConfigMap ${configMap.metadata.namespace}/${nameOf(configMap)} key ${key}`;
    const texts = new Map<string, IncludedText>(
      Object.entries(configMap.data ?? {})
        .filter(([key]) => nameOf(configMap) !== valuesConfigMap || key !== valuesField)
        .map(([key, text]) => [key, { text, place: { source: sourceOf(key), line: 1 } }]),
    );
    const read = zoneTexts(texts);
    for (const { key, message } of read.problems)
      problems.push({ severity: 'error', place: { source: sourceOf(key), line: 1 }, message });
    for (const zone of read.zones) {
      const before = zones.get(zone.origin);
      if (!before) zones.set(zone.origin, zone);
      else
        problems.push({
          severity: 'error',
          place: zone.place,
          message: `the zone ${zone.origin} is in ${before.place.source} already, which counts: remove one of them`,
        });
    }
  }
  return [...zones.values()];
}

function tsigKeysIn(secret: Secret | undefined, problems: ZoneProblem[]): TsigKey[] {
  return Object.keys(secret?.data ?? {}).flatMap((name) => {
    const parsed = parseTsigKey(name, textIn(secret, name) ?? '');
    if (!('reason' in parsed)) return [parsed];
    const source = `Secret ${secret?.metadata.namespace}/${tsigKeysSecret} key ${name}`;
    problems.push({ severity: 'error', place: { source, line: 1 }, message: parsed.reason });
    return [];
  });
}

function textIn(secret: Secret | undefined, key: string): string | undefined {
  const data = secret?.data?.[key];
  // A line's end comes with secrets that were made from a file.
  return data === undefined ? undefined : Buffer.from(data, 'base64').toString('utf8').trim() || undefined;
}

const nameOf = (object: ConfigMap | Secret): string => object.metadata.name ?? '';
