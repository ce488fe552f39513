/** Text → tokens (cel-spec, langdef: Syntax). */

export type TokenKind =
  | 'identifier'
  | 'escaped'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'end'
  /** Operators, brackets and the words in, true, false, null: the text says which. */
  | 'symbol';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** In UTF-16 units. */
  readonly at: number;
}

/** A text that is no expression, or is one beyond the limits. */
export class CelSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'CelSyntaxError';
    this.at = at;
  }
}

/** All that is wrong with a text. */
export class CelSyntaxErrors extends Error {
  readonly issues: readonly CelSyntaxError[];

  constructor(issues: readonly CelSyntaxError[]) {
    super(issues.map((issue) => issue.message).join('\n'));
    this.name = 'CelSyntaxErrors';
    this.issues = issues;
  }
}

const words = new Set(['in', 'true', 'false', 'null']);
const escape = String.raw`\\(?:[abfnrtv"'\\?\x60]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`;

const blank = /(?:[\t \r\n\f]+|\/\/[^\n]*)+/y;
const number =
  /(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|0x[0-9a-fA-F]+[uU]?|\d+[uU]?/y;
const name = /[A-Za-z_][A-Za-z0-9_]*/y;
const escapedName = /`[A-Za-z0-9_.\-/ ]+`/y;
const symbol = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y;
// Triple quotes first: the longest text wins.
const quoted = new RegExp(
  [
    String.raw`[rR]"""[^]*?"""`,
    String.raw`[rR]'''[^]*?'''`,
    `"""(?:${escape}|[^\\\\])*?"""`,
    `'''(?:${escape}|[^\\\\])*?'''`,
    String.raw`[rR]"[^"\n\r]*"`,
    String.raw`[rR]'[^'\n\r]*'`,
    String.raw`"(?:${escape}|[^\\"\n\r])*"`,
    String.raw`'(?:${escape}|[^\\'\n\r])*'`,
  ].join('|'),
  'y',
);
const bytesPrefix = /[bB](?=[rR]?["'])/y;

function take(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

/** The token that begins at `at`; undefined where none does. */
function tokenAt(source: string, at: number): Token | undefined {
  const prefix = take(bytesPrefix, source, at);
  if (prefix !== undefined) {
    const text = take(quoted, source, at + prefix.length);
    if (text !== undefined) return { kind: 'bytes', text: prefix + text, at };
  }
  const string = take(quoted, source, at);
  if (string !== undefined) return { kind: 'string', text: string, at };
  const digits = take(number, source, at);
  if (digits !== undefined) return { kind: numberKind(digits), text: digits, at };
  const identifier = take(name, source, at);
  if (identifier !== undefined)
    return { kind: words.has(identifier) ? 'symbol' : 'identifier', text: identifier, at };
  const sign = take(symbol, source, at);
  if (sign !== undefined) return { kind: 'symbol', text: sign, at };
  const escaped = take(escapedName, source, at);
  return escaped === undefined ? undefined : { kind: 'escaped', text: escaped, at };
}

const unfinished = new RegExp(`"(?:${escape}|[^\\\\"\\n\\r])*|'(?:${escape}|[^\\\\'\\n\\r])*|[=&|]`, 'y');

/** What ANTLR's lexer gives up on: as far as a token could have gone on, and what broke it off. */
function unreadable(source: string, at: number): string {
  const begun = take(unfinished, source, at) ?? '';
  let end = at + begun.length;
  if (begun === '' || end < source.length) end += source[end] === '\\' && begun !== '' ? 2 : 1;
  if (begun === '') end = at + String.fromCodePoint(source.codePointAt(at) ?? 0).length;
  return source.slice(at, end);
}

function numberKind(text: string): 'int' | 'uint' | 'double' {
  if (/[uU]$/.test(text)) return 'uint';
  return text.startsWith('0x') || /^\d+$/.test(text) ? 'int' : 'double';
}

const shown = (text: string): string =>
  text.replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r');

/** All tokens, the last one of kind `end`; what is none is an issue, and left out. */
export function tokensOf(source: string, issues: CelSyntaxError[]): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const skipped = take(blank, source, at);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const token = tokenAt(source, at);
    const text = token?.text ?? unreadable(source, at);
    if (token === undefined)
      issues.push(new CelSyntaxError(`Syntax error: token recognition error at: '${shown(text)}'`, at));
    else tokens.push(token);
    at += text.length;
  }
  tokens.push({ kind: 'end', text: '<EOF>', at: source.length });
  return tokens;
}
