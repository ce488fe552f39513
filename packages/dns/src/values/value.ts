import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
} from 'yaml';
import type { Place, ZoneProblem } from '../zone/zone.ts';

/** What reading a file of values finds, each with its line. */
export class Findings {
  readonly problems: ZoneProblem[] = [];
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }

  get hasErrors(): boolean {
    return this.problems.some((problem) => problem.severity === 'error');
  }

  add(severity: ZoneProblem['severity'], line: number, message: string): void {
    this.problems.push({ severity, place: { source: this.source, line }, message });
  }
}

/** One key of a map, with where it stands. */
export interface Entry {
  readonly key: string;
  /** From 1, of the key. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  readonly value: Value;
}

interface Source {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly findings: Findings;
}

const truths = new Map<string, boolean>([
  ...['true', 'yes', 'on'].map((word) => [word, true] as const),
  ...['false', 'no', 'off'].map((word) => [word, false] as const),
]);

/**
 * A value of a YAML file, with its place: every reader says what is wrong with the line and the path of the key, and
 * gives undefined then, as it does for what is not there. Plain `null`, `~` and nothing count as not there, and `yes` and
 * `on` as true: that is how Helm reads values (YAML 1.1).
 */
export class Value {
  readonly path: string;
  readonly #source: Source;
  readonly #node: Node | undefined;
  /** Of the value; of its key where the value is missing. */
  readonly line: number;

  constructor(source: Source, path: string, node: Node | null | undefined, keyLine: number) {
    const resolved = isAlias(node) ? resolveAlias(node, source.document) : (node ?? undefined);
    this.path = path;
    this.#source = source;
    this.#node = isNothing(resolved) ? undefined : resolved;
    this.line = node?.range ? source.lines.linePos(node.range[0]).line : keyLine;
  }

  get isSet(): boolean {
    return this.#node !== undefined;
  }

  /** Not set, or text, a list or a map with nothing in it. */
  get isEmpty(): boolean {
    const node = this.#node;
    if (isMap(node) || isSeq(node)) return node.items.length === 0;
    return !isScalar(node) || node.value === '';
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  get isList(): boolean {
    return isSeq(this.#node);
  }

  error(message: string): undefined {
    this.#source.findings.add('error', this.line, `${this.path}: ${message}`);
  }

  warning(message: string): void {
    this.#source.findings.add('warning', this.line, `${this.path}: ${message}`);
  }

  /** The value below `key`; of a value that is no map, one that is not set. */
  at(key: string): Value {
    return this.#at(key, isMap(this.#node) ? pairOf(this.#node, key) : undefined);
  }

  /** The keys of a map, in their order. */
  entries(): Entry[] {
    if (!this.#node) return [];
    if (!isMap(this.#node)) {
      this.error('expected keys below it, each on a line of its own and indented');
      return [];
    }
    return this.#node.items.flatMap((pair) => {
      const keyNode = pair.key as Node;
      if (!isScalar(keyNode) || !keyNode.range) {
        this.error('expected plain keys');
        return [];
      }
      const { line, col } = this.#source.lines.linePos(keyNode.range[0]);
      const key = String(keyNode.value);
      return [{ key, line, column: col, value: this.#at(key, pair) }];
    });
  }

  #at(key: string, pair: { key: unknown; value: unknown } | undefined): Value {
    const range = (pair?.key as Node | undefined)?.range;
    const line = range ? this.#source.lines.linePos(range[0]).line : this.line;
    return new Value(
      this.#source,
      this.path === '' ? key : `${this.path}.${key}`,
      pair?.value as Node | undefined,
      line,
    );
  }

  text(): string | undefined {
    if (!this.#node) return undefined;
    if (!isScalar(this.#node)) return this.error('expected text');
    return String(this.#node.value);
  }

  boolean(): boolean | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    return truths.get(text.toLowerCase()) ?? this.error(`expected true or false, not ${quoted(text)}`);
  }

  integer(least: number, most: number): number | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    return number >= least && number <= most
      ? number
      : this.error(`expected a whole number from ${least} to ${most}, not ${quoted(text)}`);
  }

  /** One of `words`. */
  word<Word extends string>(words: readonly Word[]): Word | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    return words.includes(text as Word)
      ? (text as Word)
      : this.error(`expected ${orList(words)}, not ${quoted(text)}`);
  }

  /** The items of a list; text counts as a list of what its commas separate. */
  items(): Value[] {
    const node = this.#node;
    if (!node) return [];
    if (isSeq(node))
      return node.items.map(
        (item, i) => new Value(this.#source, `${this.path}[${i}]`, item as Node, this.line),
      );
    if (isScalar(node))
      return String(node.value)
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .map((part) => new Value(this.#source, this.path, textNode(node, part), this.line));
    this.error('expected a list');
    return [];
  }

  /** Other text, as if it stood in this value's place. */
  holding(text: string): Value {
    return new Value(this.#source, this.path, new Scalar(text), this.line);
  }

  /** A list of texts. */
  texts(): string[] {
    return this.items().flatMap((item) => item.text() ?? []);
  }

  /** Text that somebody's own format fills, line by line, with the place of its first line. */
  block(): { text: string; place: Place } | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    const { type, range } = this.#node as Scalar;
    const isLiteral = type === 'BLOCK_LITERAL';
    const firstLine = this.#source.lines.linePos(range?.[0] ?? 0).line;
    const lastLine = this.#source.lines.linePos(Math.max(range?.[0] ?? 0, (range?.[1] ?? 1) - 1)).line;
    if (!isLiteral && lastLine > firstLine)
      return this.error('its lines would be joined into one: begin it with `|` after the colon');
    return {
      text,
      place: { source: this.#source.findings.source, line: isLiteral ? firstLine + 1 : firstLine },
    };
  }

  /** Where the scalar's own characters are in the file, quotes and block header included. */
  get span(): readonly [start: number, end: number] | undefined {
    return this.#node?.range ? [this.#node.range[0], this.#node.range[1]] : undefined;
  }
}

function resolveAlias(alias: Alias, document: Document): Node | undefined {
  return alias.resolve(document);
}

function isNothing(node: Node | undefined): boolean {
  if (node === undefined) return true;
  if (!isScalar(node) || (node.type ?? 'PLAIN') !== 'PLAIN') return false;
  return node.value === null || node.value === '' || /^(?:~|null)$/i.test(node.value as string);
}

function pairOf(
  map: { items: ReadonlyArray<{ key: unknown; value: unknown }> },
  key: string,
): { key: unknown; value: unknown } | undefined {
  return map.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key);
}

function textNode(like: Scalar, text: string): Node {
  const copy = like.clone() as Scalar;
  copy.value = text;
  copy.type = 'QUOTE_DOUBLE';
  copy.range = like.range ?? null;
  return copy;
}

/** Text for a sentence: in quotes, on one line, not endless. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

/** `a, b or c`. */
export function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Beyond this nobody writes values by hand, and zones have files of their own. */
const mostCharacters = 64 * 1024 * 1024;

/** The file's map of values; undefined when it is no YAML, which `findings` tells then. */
export function readYaml(text: string, findings: Findings): Value | undefined {
  if (text.length > mostCharacters) {
    findings.add('error', 1, 'values: more than 64 MiB: put the zones into files of their own (--zones DIR)');
    return undefined;
  }
  const lines = new LineCounter();
  // Everything is text here; what it means is for the one who reads it to say.
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  for (const error of document.errors)
    findings.add('error', lines.linePos(error.pos[0]).line, `no YAML: ${yamlReason(error.message)}`);
  if (document.errors.length > 0) return undefined;
  return new Value({ document, lines, findings }, '', document.contents, 1);
}

/** Without the text that the parser quotes: it may be a secret. */
function yamlReason(message: string): string {
  const reason = message.split(/[:"'`\n]/)[0]?.trim() ?? '';
  return reason.replace(/^./, (letter) => letter.toLowerCase());
}
