import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { running } from '@cloudless/kube/lifecycle';
import type { ExternalDnsConfig, IncludedText } from './config.ts';
import type { WatchedConfiguration } from './configuration.ts';
import { parseValues } from '../values/parse.ts';
import { zoneTexts } from '../values/zone-texts.ts';
import type { ZoneProblem } from '../zone/zone.ts';

/** How often files are looked at: events of a file system miss what is mounted or replaced by links. */
const lookMs = 1000;
const maxFiles = 10_000;
const maxFileBytes = 64 * 1024 * 1024;

interface Reading {
  readonly config: ExternalDnsConfig | undefined;
  readonly problems: readonly ZoneProblem[];
}

/** Files that cannot be read; the message says which, and why. */
class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

/**
 * The configuration in a values file, or in a folder of zones. Throws when there is none that is good at the start: with
 * files there is nothing to wait for.
 */
export function watchFiles(options: {
  source: { readonly from: 'values' | 'zones'; readonly path: string };
  onChange(): void;
  clock?: Clock | undefined;
}): WatchedConfiguration {
  const { source, clock = systemClock } = options;
  const read = source.from === 'values' ? readValues : readZones;
  let stamp = stampOf(source.path);
  const first = read(source.path);
  if (!first.config)
    throw new UnreadableError(
      first.problems
        .map(({ place, message }) => `${place ? `${place.source}:${place.line}: ` : ''}${message}`)
        .join('\n'),
    );
  let { config, problems } = first;
  const look = (): void => {
    timer = clock.setTimeout(look, lookMs);
    const newStamp = stampOf(source.path);
    if (newStamp === stamp) return;
    stamp = newStamp;
    const next = read(source.path);
    problems = next.problems;
    config = next.config ?? config;
    options.onChange();
  };
  let timer = clock.setTimeout(look, lookMs);
  return {
    get config() {
      return config;
    },
    get problems() {
      return problems;
    },
    waitingFor: undefined,
    subjectOf: () => undefined,
    ...running(() => timer.cancel()),
  };
}

/** Changes when a file does. */
function stampOf(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isDirectory()) return `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    return filesIn(path)
      .map((name) => `${name} ${stampOf(join(path, name))}`)
      .join('\n');
  } catch (error) {
    return String(error);
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .slice(0, maxFiles);
}

function textOf(path: string): string {
  const { size } = statSync(path);
  if (size > maxFileBytes) throw new UnreadableError(`${path} has ${size} octets, more than ${maxFileBytes}`);
  return readFileSync(path, 'utf8');
}

const unreadable = (error: unknown): Reading => ({
  config: undefined,
  problems: [
    {
      severity: 'error',
      place: undefined,
      message: error instanceof Error ? error.message : String(error),
    },
  ],
});

function readValues(path: string): Reading {
  try {
    const parsed = parseValues(textOf(path), path);
    if ('problems' in parsed) return { config: undefined, problems: parsed.problems };
    return { config: parsed.config, problems: parsed.warnings };
  } catch (error) {
    return unreadable(error);
  }
}

function readZones(folder: string): Reading {
  try {
    const texts = new Map<string, IncludedText>();
    for (const name of filesIn(folder)) {
      const path = join(folder, name);
      if (statSync(path).isFile()) texts.set(name, { text: textOf(path), place: { source: path, line: 1 } });
    }
    const { zones, problems } = zoneTexts(texts);
    const parsed = parseValues('', folder);
    if ('problems' in parsed) return { config: undefined, problems: parsed.problems };
    return {
      config: { ...parsed.config, zones },
      problems: problems.map(({ key, message }) => ({
        severity: 'error',
        place: { source: join(folder, key), line: 1 },
        message,
      })),
    };
  } catch (error) {
    return unreadable(error);
  }
}
