/** Zones for the benchmark, and the questions about them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ZoneSet {
  readonly what: string;
  readonly origins: readonly string[];
  readonly namesPerZone: number;
  /** Folder with a master file for each zone, named by its origin. */
  readonly folder: string;
}

export function zoneText(origin: string, names: number, serial = 1): string {
  const head = `$ORIGIN ${origin}.\n$TTL 300\n@ SOA ns1 hostmaster ${serial} 3600 600 1209600 60\n@ NS ns1\nns1 A 192.0.2.1\n`;
  return (
    head +
    Array.from({ length: names }, (_, i) => `h${i} A 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}\n`).join('')
  );
}

export function writeZoneSet(parent: string, zones: number, namesPerZone: number): ZoneSet {
  const folder = join(parent, `zones-${zones}x${namesPerZone}`);
  mkdirSync(folder);
  const origins = Array.from({ length: zones }, (_, i) => `z${i}.bench`);
  for (const origin of origins) writeFileSync(join(folder, origin), zoneText(origin, namesPerZone));
  return {
    what: `${zones} zone${zones === 1 ? '' : 's'} × ${namesPerZone} names`,
    origins,
    namesPerZone,
    folder,
  };
}

/** Questions as dnsperf reads them: `NAME TYPE`, in random order. `missing`: names that do not exist, each another one. */
export function writeQuestions(file: string, set: ZoneSet, count: number, missing = false): string {
  const pick = (most: number): number => Math.floor(Math.random() * most);
  const lines = Array.from({ length: count }, (_, i) => {
    const origin = set.origins[pick(set.origins.length)] as string;
    return missing
      ? `x${i.toString(36)}${pick(1e9).toString(36)}.${origin} A`
      : `h${pick(set.namesPerZone)}.${origin} A`;
  });
  writeFileSync(file, lines.join('\n') + '\n');
  return file;
}
