// A JSON reader that keeps what the built-in one loses: integers beyond 2^53, repeated keys, and where and why a
// text is wrong. It is the slow path of json.ts. The words of its errors are those of Go's encoding/json
// (scanner.go), which clients and tests of Kubernetes know; the position is ours.

/** The text is not JSON, or nests too deep. */
export class JsonSyntaxError extends SyntaxError {
  /** What is wrong, in Go's words; `message` adds where. */
  readonly reason: string;
  /** Index into the text, in UTF-16 code units. */
  readonly offset: number;
  readonly line: number;
  readonly column: number;

  constructor(reason: string, text: string, offset: number) {
    const line = text.slice(0, offset).split('\n').length;
    const column = offset - text.lastIndexOf('\n', offset - 1);
    super(`${reason} (line ${line}, column ${column})`);
    this.name = 'JsonSyntaxError';
    this.reason = reason;
    this.offset = offset;
    this.line = line;
    this.column = column;
  }
}

export interface ReadOptions {
  /** Deepest nesting of arrays and objects that is accepted. */
  maxDepth: number;
  /** Called for each key that its object already had, with the path of the key (`spec.ports[0].name`). */
  onDuplicate?: ((path: string) => void) | undefined;
  /** Called for every other key with its path. */
  onKey?: ((path: string) => void) | undefined;
}

interface Frame {
  container: unknown[] | Record<string, unknown>;
  /** The member being read; unused in arrays. */
  key: string;
}

const minInt64 = -(2n ** 63n);
const maxInt64 = 2n ** 63n - 1n;
const numberPattern = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const literals: Array<[string, unknown]> = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/** Sets an own member, `__proto__` included, as JSON.parse does. */
export function setMember(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

/**
 * An integer literal as a value: `number` within ±(2^53-1), else `bigint`; beyond int64 the nearest double, as
 * upstream's decoder does (sigs.k8s.io/json, PreserveInts).
 */
export function integerValue(literal: string): number | bigint {
  const near = Number(literal);
  if (Number.isSafeInteger(near)) return near;
  const exact = BigInt(literal);
  return exact >= minInt64 && exact <= maxInt64 ? exact : near;
}

class Reader {
  readonly #text: string;
  readonly #options: ReadOptions;
  readonly #stack: Frame[] = [];
  #at = 0;

  constructor(text: string, options: ReadOptions) {
    this.#text = text;
    this.#options = options;
  }

  /** Reads the whole text. Keeps its own stack, so that no nesting overflows the engine's. */
  read(): unknown {
    let value = this.#beginValue();
    for (;;) {
      // `undefined`: a container was opened and its first element or member is next.
      const frame = this.#stack.at(-1);
      if (value === undefined) {
        value = this.#firstOf(frame as Frame);
        continue;
      }
      if (!frame) break;
      if (Array.isArray(frame.container)) frame.container.push(value);
      else setMember(frame.container, frame.key, value);
      value = this.#nextOf(frame);
    }
    this.#space();
    if (this.#at < this.#text.length) this.#fail('after top-level value');
    return value;
  }

  #firstOf(frame: Frame): unknown {
    this.#space();
    const close = Array.isArray(frame.container) ? ']' : '}';
    if (this.#text[this.#at] === close) return this.#close();
    if (close === '}') this.#key(frame);
    return this.#beginValue();
  }

  #nextOf(frame: Frame): unknown {
    this.#space();
    const list = Array.isArray(frame.container);
    const next = this.#text[this.#at];
    if (next === (list ? ']' : '}')) return this.#close();
    if (next !== ',') this.#fail(list ? 'after array element' : 'after object key:value pair');
    this.#at++;
    if (!list) this.#key(frame);
    return this.#beginValue();
  }

  #close(): unknown {
    this.#at++;
    return (this.#stack.pop() as Frame).container;
  }

  #key(frame: Frame): void {
    this.#space();
    if (this.#text[this.#at] !== '"') this.#fail('looking for beginning of object key string');
    frame.key = this.#string();
    const { onDuplicate, onKey } = this.#options;
    if (onDuplicate && Object.hasOwn(frame.container, frame.key)) onDuplicate(this.#path());
    else onKey?.(this.#path());
    this.#space();
    if (this.#text[this.#at] !== ':') this.#fail('after object key');
    this.#at++;
  }

  /** A scalar's value, or `undefined` after opening a container. */
  #beginValue(): unknown {
    this.#space();
    const c = this.#text[this.#at];
    if (c === '{' || c === '[') {
      if (this.#stack.length >= this.#options.maxDepth)
        throw new JsonSyntaxError('exceeded max depth', this.#text, this.#at);
      this.#at++;
      this.#stack.push({ container: c === '{' ? {} : [], key: '' });
      return undefined;
    }
    if (c === '"') return this.#string();
    if (c === 't' || c === 'f' || c === 'n') return this.#literal(c);
    if (c === '-' || (c !== undefined && c >= '0' && c <= '9')) return this.#number();
    return this.#fail('looking for beginning of value');
  }

  #literal(first: string): unknown {
    const [word, value] = literals.find(([text]) => text[0] === first) as [string, unknown];
    for (let i = 1; i < word.length; i++) {
      this.#at++;
      if (this.#text[this.#at] !== word[i]) this.#fail(`in literal ${word} (expecting '${word[i]}')`);
    }
    this.#at++;
    return value;
  }

  #number(): number | bigint {
    numberPattern.lastIndex = this.#at;
    const match = numberPattern.exec(this.#text);
    if (!match) {
      this.#at++;
      return this.#fail('in numeric literal');
    }
    this.#at += match[0].length;
    const next = this.#text[this.#at];
    if (next === '.' && match[1] === undefined && match[2] === undefined) {
      this.#at++;
      this.#fail('after decimal point in numeric literal');
    }
    if ((next === 'e' || next === 'E') && match[2] === undefined) {
      this.#at += /[+-]/.test(this.#text[this.#at + 1] ?? '') ? 2 : 1;
      this.#fail('in exponent of numeric literal');
    }
    if (match[1] === undefined && match[2] === undefined) return integerValue(match[0]);
    const value = Number(match[0]);
    if (!Number.isFinite(value))
      throw new JsonSyntaxError(
        `json: cannot unmarshal number ${match[0]} into Go value of type float64`,
        this.#text,
        this.#at - match[0].length,
      );
    return value;
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    for (; end < this.#text.length; end++) {
      const code = this.#text.charCodeAt(end);
      if (code === 0x22) break;
      if (code === 0x5c) end++;
    }
    try {
      const value = JSON.parse(this.#text.slice(start, end + 1)) as string;
      this.#at = end + 1;
      return value;
    } catch {
      return this.#failInString();
    }
  }

  #failInString(): never {
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at] as string;
      if (c < ' ') this.#fail('in string literal');
      if (c !== '\\') continue;
      this.#at++;
      const escape = this.#text[this.#at] ?? '';
      if (!/^["\\/bfnrtu]$/.test(escape)) this.#fail('in string escape code');
      const digits = escape === 'u' ? 4 : 0;
      for (let i = 0; i < digits; i++) {
        this.#at++;
        if (!/^[0-9a-fA-F]$/.test(this.#text[this.#at] ?? ''))
          this.#fail('in \\u hexadecimal character escape');
      }
    }
    return this.#fail('in string literal');
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #fail(context: string): never {
    if (this.#at >= this.#text.length)
      throw new JsonSyntaxError('unexpected end of JSON input', this.#text, this.#text.length);
    const c = String.fromCodePoint(this.#text.codePointAt(this.#at) as number);
    const shown = c === "'" ? `'\\''` : c === '"' ? `'"'` : `'${JSON.stringify(c).slice(1, -1)}'`;
    throw new JsonSyntaxError(`invalid character ${shown} ${context}`, this.#text, this.#at);
  }

  #path(): string {
    let path = '';
    for (const { container, key } of this.#stack) {
      if (Array.isArray(container)) path += `[${container.length}]`;
      else path += path === '' ? key : `.${key}`;
    }
    return path;
  }
}

/** Reads one JSON text; throws `JsonSyntaxError`. */
export function readJson(text: string, options: ReadOptions): unknown {
  return new Reader(text, options).read();
}
