// YAML to the value model of JSON, as Kubernetes reads it (sigs.k8s.io/yaml over go-yaml v2), and back.
import {
  type Alias,
  Composer,
  Document,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  Scalar,
  Schema,
  type YAMLMap,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  visit,
} from 'yaml';
import { maxJsonDepth } from './json.ts';
import { setMember } from './json-reader.ts';
import { needsQuotes, resolvePlain } from './yaml-scalars.ts';

/** The text is not YAML, or YAML that JSON cannot hold. The message starts `yaml: line N: `. */
export class YamlSyntaxError extends SyntaxError {
  readonly line: number;

  constructor(reason: string, line: number) {
    super(`yaml: line ${line}: ${reason}`);
    this.name = 'YamlSyntaxError';
    this.line = line;
  }
}

export interface YamlOptions {
  /** Deepest nesting; default `maxJsonDepth`. */
  maxDepth?: number;
  /** Called for each key that its map already had, with upstream's words and the key's line. */
  onDuplicate?: ((message: string) => void) | undefined;
}

// An alias may multiply a document's size, but not without bound: the share of nodes that come from aliases, by the
// number of nodes read (go-yaml, decode.go: allowedAliasRatio).
const shareFrom = { nodes: 400_000, share: 0.99 };
const shareTo = { nodes: 4_000_000, share: 0.1 };

function allowedAliasShare(nodes: number): number {
  const way = (nodes - shareFrom.nodes) / (shareTo.nodes - shareFrom.nodes);
  return shareFrom.share - Math.min(1, Math.max(0, way)) * (shareFrom.share - shareTo.share);
}

const coreTags: ReadonlyMap<string, (text: string) => unknown> = new Map(
  Object.entries<(text: string) => unknown>({
    'tag:yaml.org,2002:str': (text) => text,
    'tag:yaml.org,2002:bool': resolvePlain,
    'tag:yaml.org,2002:int': resolvePlain,
    'tag:yaml.org,2002:float': resolvePlain,
    'tag:yaml.org,2002:null': resolvePlain,
    'tag:yaml.org,2002:timestamp': (text) => text,
  }),
);

/** Turns one document's nodes into values. */
class Converter {
  readonly #lines: LineCounter;
  readonly #options: YamlOptions;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #depth = 0;
  #nodes = 0;
  #aliased = 0;
  #aliasDepth = 0;

  constructor(lines: LineCounter, options: YamlOptions) {
    this.#lines = lines;
    this.#options = options;
  }

  convert(node: Node | null | undefined): unknown {
    if (!node) return null;
    this.#count(node);
    if (isAlias(node)) return this.#alias(node);
    if (node.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return this.#scalar(node);
    this.#open.add(node);
    if (++this.#depth > (this.#options.maxDepth ?? maxJsonDepth)) this.#fail('exceeded max depth', node);
    const value = isMap(node)
      ? this.#map(node)
      : isSeq(node)
        ? node.items.map((item) => this.convert(item as Node))
        : null;
    this.#depth--;
    this.#open.delete(node);
    return value;
  }

  #count(node: Node): void {
    this.#nodes++;
    if (this.#aliasDepth > 0) this.#aliased++;
    if (
      this.#aliased > 100 &&
      this.#nodes > 1000 &&
      this.#aliased / this.#nodes > allowedAliasShare(this.#nodes)
    )
      this.#fail('document contains excessive aliasing', node);
  }

  #alias(node: Alias): unknown {
    const target = this.#anchors.get(node.source);
    if (!target) return this.#fail(`unknown anchor '${node.source}' referenced`, node);
    if (this.#open.has(target)) this.#fail(`anchor '${node.source}' value contains itself`, node);
    this.#aliasDepth++;
    const value = this.convert(target);
    this.#aliasDepth--;
    return value;
  }

  #scalar(node: Scalar): unknown {
    const text = node.source ?? (typeof node.value === 'string' ? node.value : '');
    if (node.tag === undefined || node.tag === '!') {
      const plain = node.tag === undefined && (node.type === Scalar.PLAIN || node.type === undefined);
      return plain ? this.#finite(resolvePlain(text), node) : text;
    }
    const read = coreTags.get(node.tag);
    if (node.tag === 'tag:yaml.org,2002:binary')
      return this.#fail('!!binary is not supported: write the base64 text without the tag', node);
    return read ? this.#finite(read(text), node) : text;
  }

  #finite(value: unknown, node: Node): unknown {
    if (typeof value === 'number' && !Number.isFinite(value))
      this.#fail(
        `json: unsupported value: ${Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'}`,
        node,
      );
    return value;
  }

  #map(node: YAMLMap): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    const merged: Pair[] = [];
    for (const pair of node.items) {
      if (isScalar(pair.key) && pair.key.source === '<<' && pair.key.type === Scalar.PLAIN) {
        merged.push(pair);
        continue;
      }
      const key = this.#key(pair.key as Node);
      if (Object.hasOwn(out, key))
        this.#options.onDuplicate?.(
          `line ${this.#lineOf(pair.key as Node)}: key ${JSON.stringify(key)} already set in map`,
        );
      setMember(out, key, this.convert(pair.value as Node | null));
    }
    for (const pair of merged) this.#merge(out, pair.value as Node);
    return out;
  }

  /** `<<: *base` or `<<: [*a, *b]`: members that are not set yet, the first map first. */
  #merge(out: Record<string, unknown>, node: Node): void {
    const value = this.convert(node);
    for (const source of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof source !== 'object' || source === null || Array.isArray(source))
        this.#fail('map merge requires map or sequence of maps as the value', node);
      for (const [key, member] of Object.entries(source))
        if (!Object.hasOwn(out, key)) setMember(out, key, member);
    }
  }

  #key(node: Node): string {
    const key = this.convert(node);
    if (typeof key === 'string') return key;
    if (typeof key === 'number' || typeof key === 'bigint' || typeof key === 'boolean') return String(key);
    return this.#fail(
      `unsupported map key: ${key === null ? 'null' : Array.isArray(key) ? 'a list' : 'a map'}`,
      node,
    );
  }

  #lineOf(node: Node): number {
    return this.#lines.linePos(node.range?.[0] ?? 0).line;
  }

  #fail(reason: string, node: Node): never {
    throw new YamlSyntaxError(reason, this.#lineOf(node));
  }
}

const toText = (source: string | Uint8Array): string =>
  typeof source === 'string' ? source : new TextDecoder().decode(source);

/** Strings, lists and maps only; the table that the library looks tags up in has no prototype: tags come from clients. */
function failsafe(): Schema {
  const schema = new Schema({ schema: 'failsafe', merge: false });
  schema.knownTags = Object.create(null) as Schema['knownTags'];
  return schema;
}

/** Reads documents one after another, as they are asked for. */
function* documentsOf(text: string, lines: LineCounter): Generator<Document.Parsed> {
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer({
    schema: failsafe(),
    version: '1.1',
    merge: false,
    uniqueKeys: false,
    prettyErrors: false,
  });
  try {
    yield* composer.compose(parser.parse(text), false, text.length) as Generator<Document.Parsed>;
  } catch (cause) {
    if (cause instanceof RangeError) throw new YamlSyntaxError('exceeded max depth', 1);
    throw cause;
  }
}

function valueOf(document: Document.Parsed, lines: LineCounter, options: YamlOptions): unknown {
  const [error] = document.errors;
  if (error) {
    // The library composes nested nodes by recursion and reports the engine's limit as its own error.
    const reason = /call stack/.test(error.message) ? 'exceeded max depth' : error.message;
    throw new YamlSyntaxError(reason, lines.linePos(error.pos[0]).line);
  }
  return new Converter(lines, options).convert(document.contents);
}

/**
 * The first document of a YAML text as JSON values: words, numbers and octals as go-yaml v2 reads them, integers
 * exact as `parseJson` has them, keys turned into strings, anchors and `<<` expanded within a limit. An empty text
 * is `null`. JSON is YAML. Throws `YamlSyntaxError` with the line.
 */
export function parseYaml(source: string | Uint8Array, options: YamlOptions = {}): unknown {
  const lines = new LineCounter();
  // What follows the first document is not even read.
  const [document] = documentsOf(toText(source), lines);
  return document ? valueOf(document, lines, options) : null;
}

/** All documents of a manifest (`---` between them), empty ones left out. */
export function parseYamlDocuments(source: string | Uint8Array, options: YamlOptions = {}): unknown[] {
  const lines = new LineCounter();
  return [...documentsOf(toText(source), lines)]
    .map((document) => valueOf(document, lines, options))
    .filter((value) => value !== null);
}

/**
 * Block-style YAML that readers of YAML 1.1 and 1.2 agree on: strings that look like something else are quoted.
 * Ends with a newline. `undefined` members are left out.
 */
export function stringifyYaml(value: unknown): string {
  const document = new Document(value, { version: '1.2', aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && needsQuotes(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return document.toString({ lineWidth: 0 });
}
