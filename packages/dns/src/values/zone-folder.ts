import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { IncludedText, ZoneText } from '../external/config.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import { zoneTexts } from './zone-texts.ts';

/** What lies about in folders of zones and is none: editors' copies, journals, keys, notes. */
const noZone =
  /^\.|~$|\.(md|txt|ya?ml|json|conf|bak|old|orig|swp|tmp|jnl|jbk|key|private|state|signed|db-journal|sh)$/i;
const mostBytes = 512 * 1024 * 1024;

/**
 * The zones of a folder: a file for each, named by its origin with or without `.zone`; without, only names that have a dot
 * are taken for zones. Hidden files, `NAME~`, notes and keys are left alone; all text files can be included by their names.
 * A folder that cannot be read throws the system's error.
 */
export function readZoneFolder(path: string): { zones: ZoneText[]; problems: ZoneProblem[] } {
  const texts = new Map<string, IncludedText>();
  const problems: ZoneProblem[] = [];
  for (const name of readdirSync(path).sort()) {
    const source = join(path, name);
    if (noZone.test(name) || !name.includes('.')) continue;
    try {
      const { size } = statSync(source);
      if (!statSync(source).isFile()) continue;
      if (size > mostBytes) throw new Error('the file is larger than 512 MiB');
      texts.set(name, { text: readFileSync(source, 'utf8'), place: { source, line: 1 } });
    } catch (error) {
      const message = `cannot read it: ${(error as Error).message}`;
      problems.push({ severity: 'error', place: { source, line: 1 }, message });
    }
  }
  const read = zoneTexts(texts);
  for (const { key, message } of read.problems)
    problems.push({ severity: 'error', place: { source: join(path, key), line: 1 }, message });
  return { zones: read.zones, problems };
}
