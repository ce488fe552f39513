/**
 * Regular expressions with RE2's syntax and linear time (re2js). JavaScript's own backtrack: `(a+)+$` against a long
 * text would block the event loop for as long as the universe lasts. Time is text × program; what a program of counted
 * repetitions (`(a{1000}b{1000})…`) may take beyond its price is counted as work.
 */
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { CelProgramError } from '../errors.ts';
import { ArrayList, type CelFailure, CelList, type CelValue, fail } from './values.ts';
import { work } from './work.ts';

/** Compiled patterns, small ones: a large one may have megabytes. */
const recent = new Map<string, RE2JS | CelFailure>();
const recentLimit = 256;
const largestKept = 500;

/** The most that a pattern's counted repetitions may come to; RE2 unfolds them, and Go bounds the outcome too. */
const maxRepetitions = 5_000;

/** A compiled pattern, or the failure with Go's words. */
export function patternOf(text: string): RE2JS | CelFailure {
  const known = recent.get(text);
  if (known !== undefined) return known;
  const compiled = compilePattern(text);
  if (!(compiled instanceof RE2JS) || compiled.programSize() <= largestKept) {
    if (recent.size >= recentLimit) recent.clear();
    recent.set(text, compiled);
  }
  return compiled;
}

function compilePattern(text: string): RE2JS | CelFailure {
  let repetitions = 0;
  for (const [, least, most] of text.matchAll(/\{(\d+)(?:,(\d*))?\}/g))
    repetitions += Math.max(Number(least), Number(most || 0));
  if (repetitions > maxRepetitions) return fail('error parsing regexp: expression too large');
  try {
    const pattern = RE2JS.compile(text);
    work(200 * pattern.programSize());
    return pattern;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return fail(error.message);
  }
}

/** Programs up to this size rarely have all their instructions waiting for the next character. */
const smallProgram = 64;

/** Counts a match's steps: each character may take as many as the program has instructions. */
function prepared(pattern: RE2JS, text: string): RE2JS {
  const size = pattern.programSize();
  work(text.length * (size <= smallProgram ? size / 2 : size));
  return pattern;
}

export const matches = (text: string, pattern: RE2JS): boolean =>
  prepared(pattern, text).matcher(text).find();

export function findFirst(text: string, pattern: RE2JS): string {
  const matcher = prepared(pattern, text).matcher(text);
  return matcher.find() ? (matcher.group() ?? '') : '';
}

/** The first `limit` matches, all for a negative one; an empty match next to the one before does not count. */
export function findEach(text: string, pattern: RE2JS, limit: number): CelList {
  const found: CelValue[] = [];
  const matcher = prepared(pattern, text).matcher(text);
  let end = -1;
  const most = limit < 0 ? Infinity : limit;
  while (found.length < most && matcher.find()) {
    if (matcher.start() === matcher.end() && matcher.start() === end) continue;
    end = matcher.end();
    found.push(matcher.group() ?? '');
  }
  return new ArrayList(found);
}

type Match = (text: string, pattern: RE2JS, limit: bigint | undefined) => CelValue;
const functions: Readonly<Record<string, Match>> = {
  matches,
  find: findFirst,
  findAll: (text, pattern, limit) => findEach(text, pattern, Number(limit ?? -1n)),
};

/** A call whose pattern is known when the program is made. Throws `CelProgramError` for a pattern that is none. */
export function constantPattern(name: string, pattern: string): ((args: CelValue[]) => CelValue) | undefined {
  const match = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (match === undefined) return undefined;
  const compiled = patternOf(pattern);
  if (!(compiled instanceof RE2JS)) throw new CelProgramError(compiled.message);
  return ([text, , limit]) =>
    typeof text === 'string' && (limit === undefined || typeof limit === 'bigint')
      ? match(text, compiled, limit)
      : fail('no such overload');
}
