import { CorefileError } from './error.ts';

/** One line of a Corefile, with the block that it opens. */
export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly line: number;
  /** undefined: there are no braces. */
  readonly block: readonly Directive[] | undefined;
}

/** A server block: what stands before its brace, and the plugins in it. */
export interface ServerBlock {
  readonly keys: readonly string[];
  readonly line: number;
  readonly directives: readonly Directive[];
}

interface Token {
  text: string;
  line: number;
  /** A brace, or text that stood in quotes. */
  kind: 'word' | 'quoted' | 'open' | 'close';
}

/** A ConfigMap's value has at most 1 MiB; a Corefile of more than this is a mistake. */
const maxBytes = 256 * 1024;
const maxDepth = 8;

/**
 * Reads the grammar of a Corefile (CoreDNS's corefile(5): server blocks, directives by line, braces, quotes, comments,
 * `{$NAME}` and `{%NAME%}` from `environment`). Throws {@link CorefileError}. `import` and snippets are refused: there
 * are no files to import from.
 */
export function parseSyntax(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): ServerBlock[] {
  if (text.length > maxBytes) throw new CorefileError(1, `the Corefile is longer than ${maxBytes} bytes`);
  const reader = new Reader(tokensOf(text, environment));
  const blocks: ServerBlock[] = [];
  while (!reader.atEnd) blocks.push(reader.serverBlock(blocks.length === 0));
  return blocks;
}

function tokensOf(text: string, environment: Readonly<Record<string, string | undefined>>): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  const pattern = /(\n)|[^\S\n]+|#[^\n]*|"((?:\\"|[^"])*)("|$)|([^\s"#][^\s]*)/gy;
  for (const match of text.matchAll(pattern)) {
    const [whole, newline, quoted, closing, word] = match;
    if (newline) line += 1;
    else if (quoted !== undefined) {
      if (closing !== '"') throw new CorefileError(line, 'a quote is not closed');
      tokens.push({ text: expand(quoted.replaceAll('\\"', '"'), environment), line, kind: 'quoted' });
      line += whole.split('\n').length - 1;
    } else if (word === '{' || word === '}')
      tokens.push({ text: word, line, kind: word === '{' ? 'open' : 'close' });
    else if (word !== undefined) tokens.push({ text: expand(word, environment), line, kind: 'word' });
  }
  return tokens;
}

/** A variable that is not set becomes nothing, as in CoreDNS. */
const expand = (text: string, environment: Readonly<Record<string, string | undefined>>): string =>
  text.replace(/\{\$(\w+)\}|\{%(\w+)%\}/g, (_, unix, windows) => environment[unix ?? windows] ?? '');

class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** Keys up to the brace, then the directives. The braces of a Corefile's only block may be missing. */
  serverBlock(isFirst: boolean): ServerBlock {
    const first = this.#tokens[this.#at] as Token;
    const { line } = first;
    const keys: string[] = [];
    while (!this.atEnd && this.#tokens[this.#at]?.kind !== 'open') {
      const token = this.#tokens[this.#at] as Token;
      if (token.kind === 'close')
        throw new CorefileError(token.line, 'a brace is closed that was not opened');
      if (token.text === 'import')
        throw new CorefileError(token.line, 'import: there are no files here; write it out');
      if (/^\(.*\)$/.test(token.text))
        throw new CorefileError(token.line, `${token.text}: snippets are not read; write it out`);
      const continues = token.text.endsWith(',');
      const isLastOnLine = this.#tokens[this.#at + 1]?.line !== token.line;
      if (isLastOnLine && !continues) {
        if (!isFirst) throw new CorefileError(token.line, `no "{" after the server block's ${token.text}`);
        keys.push(...this.#keysOf(token));
        this.#at += 1;
        return { keys, line, directives: this.#directives(false, 1) };
      }
      keys.push(...this.#keysOf(token));
      this.#at += 1;
    }
    if (this.atEnd) throw new CorefileError(line, 'a server block has no "{"');
    if (keys.length === 0) throw new CorefileError(line, 'a server block has no zone');
    this.#at += 1;
    return { keys, line, directives: this.#directives(true, 1) };
  }

  #keysOf(token: Token): string[] {
    return token.text.split(',').filter((key) => key !== '');
  }

  #directives(isBraced: boolean, depth: number): Directive[] {
    const directives: Directive[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined) {
        if (!isBraced) return directives;
        throw new CorefileError(this.#tokens.at(-1)?.line ?? 1, 'a block is not closed: "}" is missing');
      }
      if (token.kind === 'close') {
        if (!isBraced) throw new CorefileError(token.line, 'a brace is closed that was not opened');
        this.#at += 1;
        return directives;
      }
      if (token.kind === 'open') throw new CorefileError(token.line, 'a "{" stands without a directive');
      directives.push(this.#directive(token, depth));
    }
  }

  #directive(first: Token, depth: number): Directive {
    if (depth > maxDepth) throw new CorefileError(first.line, `blocks are nested more than ${maxDepth} deep`);
    if (first.text === 'import' && first.kind === 'word' && depth === 1)
      throw new CorefileError(first.line, 'import: there are no files here; write it out');
    const args: string[] = [];
    this.#at += 1;
    for (; ; this.#at += 1) {
      const token = this.#tokens[this.#at];
      if (token === undefined || token.kind === 'close' || token.line !== first.line) break;
      if (token.kind === 'open') {
        this.#at += 1;
        return { name: first.text, args, line: first.line, block: this.#directives(true, depth + 1) };
      }
      args.push(token.text);
    }
    return { name: first.text, args, line: first.line, block: undefined };
  }
}
