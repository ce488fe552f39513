/** Tokens → tree, by recursive descent (cel-spec, langdef: Syntax; limits and positions as cel-go's parser). */
import { textSize } from '../run/values.ts';
import { type Call, type Expr, type MapEntry, operators, type StructField } from './ast.ts';
import { CelSyntaxError, CelSyntaxErrors, type Token, tokensOf } from './lexer.ts';
import { expand, type MacroContext } from './macros.ts';
import { literalValue } from './literals.ts';
import { type Beginning, beginnings, beginsExpression } from './expected.ts';

/** Limits of cel-go. */
const maxDepth = 250;
const maxCodePoints = 100_000;

const reserved = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

const binary: Readonly<Record<string, string>> = {
  '==': operators.equals,
  '!=': operators.notEquals,
  '<': operators.less,
  '<=': operators.lessEquals,
  '>': operators.greater,
  '>=': operators.greaterEquals,
  in: operators.in,
  '+': operators.add,
  '-': operators.subtract,
  '*': operators.multiply,
  '/': operators.divide,
  '%': operators.modulo,
};

/** Binary operators by how strongly they bind. */
const levels: ReadonlyArray<ReadonlySet<string>> = [
  new Set(['<', '<=', '>=', '>', '==', '!=', 'in']),
  new Set(['+', '-']),
  new Set(['*', '/', '%']),
];

class Parser {
  readonly #tokens: readonly Token[];
  readonly #issues: CelSyntaxError[] = [];
  /** What closes the brackets that are open, the innermost last. */
  readonly #closers: string[] = [];
  readonly #macros: MacroContext;
  #next = 0;
  #depth = 0;

  constructor(source: string, { bindings = false }: ParseOptions) {
    this.#macros = { nodes: 0, bindings };
    this.#tokens = tokensOf(source, this.#issues);
  }

  get #token(): Token {
    return this.#tokens[this.#next] as Token;
  }

  /** The tree. Throws all issues: those that the parser could go on after, and the one that it could not. */
  parse(): Expr {
    let root: Expr | undefined;
    try {
      root = this.#expr();
      this.#end();
    } catch (error) {
      if (!(error instanceof CelSyntaxError)) throw error;
      this.#issues.push(error);
    }
    if (root === undefined || this.#issues.length > 0) throw new CelSyntaxErrors(this.#issues);
    return root;
  }

  #end(): void {
    const { kind, text } = this.#token;
    if (kind === 'end') return;
    const last = this.#tokens[this.#next + 1]?.kind === 'end';
    this.#fail(`${last ? 'extraneous' : 'mismatched'} input '${text}' expecting <EOF>`);
  }

  #error(message: string, token: Token = this.#token): CelSyntaxError {
    return new CelSyntaxError(`Syntax error: ${message}`, token.at);
  }

  #fail(message: string, token: Token = this.#token): never {
    throw this.#error(message, token);
  }

  #is(text: string): boolean {
    const token = this.#token;
    return token.kind === 'symbol' && token.text === text;
  }

  #take(): Token {
    const token = this.#token;
    if (token.kind !== 'end') this.#next++;
    return token;
  }

  #takeIf(text: string): Token | undefined {
    return this.#is(text) ? this.#take() : undefined;
  }

  /** Takes a token, or goes on as if it stood there where the one after it, or what may follow it, does. */
  #expect(text: string, set = `'${text}'`): Token {
    if (this.#is(text)) return this.#take();
    const found = this.#token;
    const after = this.#tokens[this.#next + 1];
    if (set.startsWith('{') && !set.startsWith("'"))
      return this.#fail(`mismatched input '${found.text}' expecting ${set}`);
    if (after?.kind === 'symbol' && after.text === text) {
      this.#issues.push(this.#error(`extraneous input '${found.text}' expecting ${set}`));
      this.#take();
      return this.#take();
    }
    if (!this.#mayFollow(text, found)) return this.#fail(`mismatched input '${found.text}' expecting ${set}`);
    this.#issues.push(this.#error(`missing '${text}' at '${found.text}'`));
    return { kind: 'symbol', text, at: found.at };
  }

  /** Whether `token` may stand after `text`. */
  #mayFollow(text: string, token: Token): boolean {
    if (text === ':') return beginsExpression(token);
    const outer = this.#closers.at(-2);
    if (token.kind === 'end') return outer === undefined;
    if (token.kind !== 'symbol') return false;
    return token.text === outer || token.text in binary || '.[?&&||'.includes(token.text);
  }

  /** Runs `parse` between brackets, of which the opening one was taken. */
  #enclosed<T>(closer: string, parse: () => T): T {
    this.#closers.push(closer);
    const result = parse();
    this.#closers.pop();
    return result;
  }

  /** Runs `parse` one level deeper. */
  #deeper<T>(parse: () => T): T {
    if (++this.#depth > maxDepth)
      throw new CelSyntaxError(`expression recursion limit exceeded: ${maxDepth}`, -1);
    const result = parse();
    this.#depth--;
    return result;
  }

  #expr(beginning: Beginning = 'expression'): Expr {
    this.#begin(beginning);
    return this.#deeper(() => {
      const condition = this.#logical('||', operators.or, () =>
        this.#logical('&&', operators.and, () => this.#binary(0)),
      );
      const op = this.#takeIf('?');
      if (op === undefined) return condition;
      const ifTrue = this.#logical('||', operators.or, () =>
        this.#logical('&&', operators.and, () => this.#binary(0)),
      );
      this.#expect(':');
      const ifFalse = this.#expr();
      return this.#call(op.at, operators.conditional, condition, ifTrue, ifFalse);
    });
  }

  /** Leaves out one token that begins no expression, where the next one does. */
  #begin(beginning: Beginning): void {
    const token = this.#token;
    const after = this.#tokens[this.#next + 1];
    if (beginsExpression(token)) return;
    const set = beginnings[beginning];
    if (after === undefined || !beginsExpression(after) || token.kind === 'escaped')
      this.#fail(`mismatched input '${token.text}' expecting ${set}`);
    this.#issues.push(this.#error(`extraneous input '${token.text}' expecting ${set}`));
    this.#take();
  }

  #call(at: number, name: string, ...args: Expr[]): Expr {
    return { kind: 'call', name, target: undefined, args, at };
  }

  /** A chain of `&&` or `||`, made into a balanced tree so that long chains do not nest deeply. */
  #logical(symbol: string, name: string, operand: () => Expr): Expr {
    const terms = [operand()];
    const ops: number[] = [];
    for (let op = this.#takeIf(symbol); op !== undefined; op = this.#takeIf(symbol)) {
      ops.push(op.at);
      this.#begin('expression');
      terms.push(operand());
    }
    const balanced = (low: number, high: number): Expr => {
      const middle = Math.trunc((low + high + 1) / 2);
      const left = middle === low ? (terms[middle] as Expr) : balanced(low, middle - 1);
      const right = middle === high ? (terms[middle + 1] as Expr) : balanced(middle + 1, high);
      return this.#call(ops[middle] as number, name, left, right);
    };
    return ops.length === 0 ? (terms[0] as Expr) : balanced(0, ops.length - 1);
  }

  #binary(level: number): Expr {
    const symbols = levels[level];
    if (symbols === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    const before = this.#depth;
    while (this.#token.kind === 'symbol' && symbols.has(this.#token.text)) {
      if (++this.#depth > maxDepth)
        throw new CelSyntaxError(`expression recursion limit exceeded: ${maxDepth}`, -1);
      const op = this.#take();
      this.#begin('expression');
      left = this.#call(op.at, binary[op.text] as string, left, this.#binary(level + 1));
    }
    this.#depth = before;
    return left;
  }

  #unary(): Expr {
    const first = this.#token;
    for (const [symbol, name] of [
      ['!', operators.not],
      ['-', operators.negate],
    ] as const) {
      if (!this.#is(symbol) || (symbol === '-' && this.#isNegativeNumber())) continue;
      let count = 0;
      while (this.#is(symbol)) {
        this.#take();
        count++;
      }
      const operand = this.#member();
      return count % 2 === 0 ? operand : this.#call(first.at, name, operand);
    }
    return this.#member();
  }

  #isNegativeNumber(): boolean {
    const after = this.#tokens[this.#next + 1];
    return after?.kind === 'int' || after?.kind === 'double';
  }

  #member(): Expr {
    let node = this.#primary();
    const before = this.#depth;
    for (;;) {
      const op = this.#takeIf('.') ?? this.#takeIf('[');
      if (op === undefined) break;
      if (++this.#depth > maxDepth)
        throw new CelSyntaxError(`expression recursion limit exceeded: ${maxDepth}`, -1);
      node = op.text === '.' ? this.#selection(node, op) : this.#index(node, op);
    }
    this.#depth = before;
    return node;
  }

  #index(node: Expr, op: Token): Expr {
    const optional = this.#takeIf('?') !== undefined;
    const index = this.#enclosed(']', () => {
      const node = this.#expr(optional ? 'expression' : 'index');
      this.#expect(']');
      return node;
    });
    return this.#call(op.at, optional ? operators.optionalIndex : operators.index, node, index);
  }

  #selection(operand: Expr, op: Token): Expr {
    const optional = this.#takeIf('?') !== undefined;
    const token = this.#token;
    if (token.kind !== 'identifier' && token.kind !== 'escaped') return this.#noField(token, optional);
    this.#take();
    if (token.kind === 'escaped') throw new CelSyntaxError("unsupported syntax: '`'", token.at);
    if (optional) {
      const field: Expr = { kind: 'literal', value: token.text, at: token.at };
      return this.#call(op.at, operators.optionalSelect, operand, field);
    }
    const open = this.#takeIf('(');
    if (open === undefined) return { kind: 'select', operand, field: token.text, testOnly: false, at: op.at };
    const call: Call = { kind: 'call', name: token.text, target: operand, args: this.#args(), at: open.at };
    return expand(call, this.#macros);
  }

  #noField({ kind, text }: Token, optional: boolean): never {
    if (kind === 'symbol' && /^(?:true|false|null)$/.test(text))
      return this.#fail(`mismatched input '${text}' expecting IDENTIFIER`);
    if (optional) return this.#fail(`mismatched input '${text}' expecting {IDENTIFIER, ESC_IDENTIFIER}`);
    return this.#fail(`no viable alternative at input '.${kind === 'end' ? '' : text}'`);
  }

  /** Arguments up to the closing parenthesis. */
  #args(): Expr[] {
    const args: Expr[] = [];
    if (this.#takeIf(')')) return args;
    return this.#enclosed(')', () => {
      do args.push(this.#expr(args.length === 0 ? 'argument' : 'expression'));
      while (this.#takeIf(','));
      this.#expect(')');
      return args;
    });
  }

  #primary(): Expr {
    const token = this.#token;
    if (token.kind === 'symbol') {
      switch (token.text) {
        case '(':
          return this.#nested();
        case '[':
          return this.#list();
        case '{':
          return this.#map();
        case 'true':
        case 'false':
        case 'null':
          this.#take();
          return {
            kind: 'literal',
            value: token.text === 'null' ? null : token.text === 'true',
            at: token.at,
          };
        case '-':
          if (this.#isNegativeNumber()) return this.#literal();
          break;
        case '.':
          return this.#name();
      }
    }
    if (token.kind === 'identifier') return this.#name();
    if (token.kind === 'symbol' || token.kind === 'end' || token.kind === 'escaped')
      return this.#fail(`mismatched input '${token.text}' expecting ${beginnings.expression}`);
    return this.#literal();
  }

  #nested(): Expr {
    this.#take();
    return this.#enclosed(')', () => {
      const node = this.#expr();
      this.#expect(')');
      return node;
    });
  }

  #name(): Expr {
    const dot = this.#takeIf('.');
    const token = this.#token;
    if (token.kind !== 'identifier')
      return this.#fail(`mismatched input '${token.text}' expecting IDENTIFIER`);
    const message = this.#messageName();
    if (message !== undefined) return this.#struct(dot === undefined ? message : `.${message}`);
    this.#take();
    if (reserved.has(token.text))
      throw new CelSyntaxError(`reserved identifier: ${token.text}`, (dot ?? token).at);
    const name = dot === undefined ? token.text : `.${token.text}`;
    const open = this.#takeIf('(');
    if (open === undefined) return { kind: 'ident', name, at: token.at };
    return expand({ kind: 'call', name, target: undefined, args: this.#args(), at: open.at }, this.#macros);
  }

  /** The dotted name before a `{`; the parser then stands at the brace. */
  #messageName(): string | undefined {
    let at = this.#next;
    const names: string[] = [];
    for (;;) {
      const token = this.#tokens[at];
      if (token?.kind !== 'identifier') return undefined;
      names.push(token.text);
      const after = this.#tokens[at + 1];
      if (after?.kind !== 'symbol') return undefined;
      if (after.text === '{') {
        this.#next = at + 1;
        return names.join('.');
      }
      if (after.text !== '.') return undefined;
      at += 2;
    }
  }

  #struct(name: string): Expr {
    const open = this.#take();
    const fields: StructField[] = [];
    return this.#enclosed('}', () => {
      this.#items('}', () => {
        const optional = this.#takeIf('?') !== undefined;
        const field = this.#take();
        if (field.kind !== 'identifier')
          this.#fail(
            `mismatched input '${field.text}' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}`,
            field,
          );
        const { at } = this.#expect(':');
        fields.push({ at, name: field.text, value: this.#expr(), optional });
      });
      return { kind: 'struct', name, fields, at: open.at };
    });
  }

  #list(): Expr {
    const open = this.#take();
    const elements: Expr[] = [];
    const optionals = new Set<number>();
    return this.#enclosed(']', () => {
      this.#items(']', () => {
        if (this.#takeIf('?')) optionals.add(elements.length);
        elements.push(this.#expr(elements.length === 0 && optionals.size === 0 ? 'list' : 'expression'));
      });
      return { kind: 'list', elements, optionals, at: open.at };
    });
  }

  #map(): Expr {
    const open = this.#take();
    const entries: MapEntry[] = [];
    return this.#enclosed('}', () => {
      this.#items('}', () => {
        const optional = this.#takeIf('?') !== undefined;
        const key = this.#expr(entries.length === 0 && !optional ? 'map' : 'expression');
        this.#expect(':');
        entries.push({ key, value: this.#expr(), optional });
      });
      return { kind: 'map', entries, at: open.at };
    });
  }

  /** What stands between brackets, a comma after each; one may stand after the last, or alone. */
  #items(closer: string, item: () => void): void {
    if (this.#takeIf(',') || this.#is(closer)) {
      this.#expect(closer);
      return;
    }
    item();
    while (this.#takeIf(',')) {
      if (this.#is(closer) || !this.#beginsItem()) {
        this.#expect(closer);
        return;
      }
      item();
    }
    this.#expect(closer, `{'${closer}', ','}`);
  }

  #beginsItem(): boolean {
    return this.#is('?') || beginsExpression(this.#token);
  }

  #literal(): Expr {
    const sign = this.#takeIf('-');
    const token = this.#take();
    const at = (sign ?? token).at;
    return { kind: 'literal', value: literalValue(token, sign !== undefined, at), at };
  }
}

export interface ParseOptions {
  /** Whether `cel.bind` is a macro. */
  readonly bindings?: boolean;
}

/** The tree of an expression, macros unfolded. Throws `CelSyntaxErrors`. */
export function parse(source: string, options: ParseOptions = {}): Expr {
  const size = textSize(source);
  if (size > maxCodePoints)
    throw new CelSyntaxErrors([
      new CelSyntaxError(
        `expression code point size exceeds limit: size: ${size}, limit ${maxCodePoints}`,
        -1,
      ),
    ]);
  return new Parser(source, options).parse();
}
