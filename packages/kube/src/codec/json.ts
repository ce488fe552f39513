// JSON as Kubernetes means it: integers are int64 and stay exact (ARCHITECTURE.md, wall 3).
import { JsonSyntaxError, readJson } from './json-reader.ts';

export { JsonSyntaxError } from './json-reader.ts';

/**
 * Deepest nesting that `parseJson` accepts by default. Upstream's reader stops at 10,000; code that walks objects
 * here recurses, and a JavaScript stack is good for a few thousand calls.
 */
export const maxJsonDepth = 1_000;

// Spelled out, not `\d{16}`: the engine then skips ahead by sixteen characters (ten times faster).
const longDigits = /\d\d\d\d\d\d\d\d\d\d\d\d\d\d\d\d/;
const hugeExponent = /[eE]\+?\d\d\d/;

const toText = (source: string | Uint8Array): string =>
  typeof source === 'string'
    ? source
    : Buffer.from(source.buffer, source.byteOffset, source.byteLength).toString('utf8');

/** Whether brackets outside strings nest deeper than `max`. */
function nestsDeeper(text: string, max: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      for (at++; at < text.length; at++) {
        const inside = text.charCodeAt(at);
        if (inside === 0x22) break;
        if (inside === 0x5c) at++;
      }
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > max) return true;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return false;
}

export interface ParseOptions {
  /** Deepest nesting; `Infinity` skips the check (texts from our own store or server). Default `maxJsonDepth`. */
  maxDepth?: number;
}

/**
 * Parses one JSON text. Integers outside ±(2^53-1) become `bigint` when they fit int64, the nearest double beyond;
 * every other number is a `number`. Bytes are read as UTF-8, invalid sequences as U+FFFD, as Go does. Repeated keys:
 * the last wins (`duplicateFields` names them). Throws `JsonSyntaxError` in Go's words with line and column.
 */
export function parseJson(source: string | Uint8Array, options: ParseOptions = {}): unknown {
  const text = toText(source);
  const maxDepth = options.maxDepth ?? maxJsonDepth;
  if (longDigits.test(text) || hugeExponent.test(text)) return readJson(text, { maxDepth });
  if (text.length > 2 * maxDepth && nestsDeeper(text, maxDepth)) return readJson(text, { maxDepth });
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    readJson(text, { maxDepth });
    // Unreachable as long as both readers accept the same language.
    throw new JsonSyntaxError(cause instanceof Error ? cause.message : String(cause), text, 0);
  }
}

/**
 * The paths of keys that occur twice in one object, in the order found, each once, at most 100
 * (sigs.k8s.io/json, DisallowDuplicateFields). Throws `JsonSyntaxError`.
 */
export function duplicateFields(source: string | Uint8Array, options: ParseOptions = {}): string[] {
  const paths = new Set<string>();
  readJson(toText(source), {
    maxDepth: options.maxDepth ?? maxJsonDepth,
    onDuplicate: (path) => {
      if (paths.size < 100) paths.add(path);
    },
  });
  return [...paths];
}

/**
 * What a strict decoder finds in a text, in the order in which it reads: `problems` are `duplicate field "PATH"` and
 * `unknown field "PATH"`, anything else keeps its place behind them. Throws `JsonSyntaxError`.
 */
export function inReadingOrder(source: string | Uint8Array, problems: readonly string[]): string[] {
  const found: string[] = [];
  const wanted = new Set(problems);
  const see = (problem: string): void => {
    if (wanted.delete(problem)) found.push(problem);
  };
  readJson(toText(source), {
    maxDepth: maxJsonDepth,
    onDuplicate: (path) => see(`duplicate field ${JSON.stringify(path)}`),
    onKey: (path) => see(`unknown field ${JSON.stringify(path)}`),
  });
  return [...found, ...wanted];
}

// Not in TypeScript's library yet (ECMAScript: JSON.parse source text access).
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };
const exactBigints = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? rawJSON(value.toString()) : value;

/**
 * One line of JSON; `bigint` is written as an integer. Members that are `undefined` are left out. Throws TypeError
 * for what JSON cannot hold (cycles).
 */
export function stringifyJson(value: unknown, indent?: number): string {
  try {
    return JSON.stringify(value, undefined, indent);
  } catch (error) {
    // The built-in throws at the first bigint: rare enough that trying without is the fast path.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, exactBigints, indent);
  }
}
