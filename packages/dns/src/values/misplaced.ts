import type { Entry, Findings, Value } from './value.ts';
import { orList } from './value.ts';
import { type Term, vocabulary } from './vocabulary.ts';

/** Keys that change nothing, by the reason. */
type Idle = Map<string, { line: number; paths: string[] }>;

/**
 * Says of every key that is unknown or in a wrong place what it is, with its line and the remedy, and of those that change
 * nothing why that is so (a warning for each reason).
 */
export function checkKeys(root: Value, findings: Findings): void {
  const idle: Idle = new Map();
  walk(root, { below: vocabulary }, undefined, findings, idle);
  for (const [reason, { line, paths }] of idle)
    findings.add('warning', line, `${paths.join(', ')}: no effect: ${reason}`);
}

function walk(value: Value, term: Term, under: Entry | undefined, findings: Findings, idle: Idle): void {
  if (!value.isMap) return;
  for (const entry of value.entries()) {
    const known = Object.hasOwn(term.below ?? {}, entry.key) ? term.below?.[entry.key] : term.each;
    if (known === undefined) {
      if (term.below) findings.add('error', entry.line, whatIsWrong(entry, term.below, under));
    } else if (known.ignored !== undefined) {
      if (entry.value.isEmpty) continue;
      const seen = idle.get(known.ignored) ?? { line: entry.line, paths: [] };
      seen.paths.push(entry.value.path);
      idle.set(known.ignored, seen);
    } else walk(entry.value, known, entry, findings, idle);
  }
}

function whatIsWrong(
  entry: Entry,
  siblings: Readonly<Record<string, Term>>,
  under: Entry | undefined,
): string {
  const { key, value } = entry;
  if (key === '<<') return `${value.path}: merge keys are not read: write the keys out`;
  if (under && Object.hasOwn(vocabulary, key)) {
    const top = topOf(under, value.path);
    return (
      `'${key}' stands under '${top}', where it means nothing: it belongs at the left margin. ` +
      `Move it, and all lines below it that are indented further, ${columns(entry.column - 1)} to the left`
    );
  }
  const places = placesOf(key);
  if (places.length > 0)
    return `'${value.path}' means nothing: '${key}' belongs under ${orList(places.map((place) => `'${place}'`))}`;
  const near = nearest(key, Object.keys(siblings)) ?? nearest(key, allKeys());
  const known = under ? ` Under '${value.path.slice(0, -key.length - 1)}' are known` : ' Known are';
  return near === undefined
    ? `'${value.path}' is unknown.${known}: ${Object.keys(siblings)
        .filter((name) => siblings[name]?.ignored === undefined)
        .join(', ')}`
    : `'${value.path}' is unknown: did you mean '${near}'?`;
}

function topOf(under: Entry, path: string): string {
  return path.split('.').slice(0, -1).join('.') || under.key;
}

/** Words, as the talk's slides need two. */
function columns(count: number): string {
  const words = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
  return `${words[count] ?? count} column${count === 1 ? '' : 's'}`;
}

/** Paths under which a key is known. */
function placesOf(key: string): string[] {
  const places: string[] = [];
  const look = (path: string, term: Term): void => {
    for (const [name, below] of Object.entries(term.below ?? {})) {
      if (name === key && below.ignored === undefined) places.push(path);
      look(path === '' ? name : `${path}.${name}`, below);
    }
  };
  look('', { below: vocabulary });
  return places.filter((place) => place !== '');
}

function allKeys(): string[] {
  const names = new Set<string>();
  const look = (term: Term): void => {
    for (const [name, below] of Object.entries(term.below ?? {})) {
      names.add(name);
      look(below);
    }
  };
  look({ below: vocabulary });
  return [...names];
}

/** The name that differs in case, or in a letter or two, only. */
function nearest(key: string, names: readonly string[]): string | undefined {
  const wanted = key.toLowerCase();
  const distances = names.map((name) => [editDistance(wanted, name.toLowerCase()), name] as const);
  const [best] = distances.toSorted(([a], [b]) => a - b);
  return best && best[0] <= Math.min(2, Math.floor(key.length / 2.5)) ? best[1] : undefined;
}

/** Levenshtein's distance of two short words. */
function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] as number) + 1,
          (next[j - 1] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] as number;
}
