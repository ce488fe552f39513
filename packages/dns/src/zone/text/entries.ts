import { WireError } from '../../wire/name.ts';
import { readToken, type Token } from '../../wire/rdata/token.ts';

/** One entry of a master file (RFC 1035 section 5.1): a record or a directive, over as many lines as its parentheses span. */
export interface Entry {
  /** Of its first word, from 1. */
  readonly line: number;
  /** It begins with blanks: the owner is the one before. */
  readonly isIndented: boolean;
  readonly tokens: readonly Token[];
}

/** Text that is no entry; what follows is read from the next line on. */
export interface BadEntry {
  readonly line: number;
  readonly problem: string;
}

const newline = 0x0a;
const semicolon = 0x3b;
const opening = 0x28;
const closing = 0x29;

/** Reads entries one after the other, so that a large text costs no more than its records. */
export class EntryReader {
  readonly #text: string;
  #position = 0;
  #line: number;
  #depth = 0;
  /** Where the parenthesis stands that is open. */
  #openedLine = 0;

  /** `line`: the number of the text's first line. */
  constructor(text: string, line = 1) {
    this.#text = text;
    this.#line = line;
  }

  /** The next entry; undefined at the end. */
  next(): Entry | BadEntry | undefined {
    let tokens: Token[] = [];
    let start = this.#line;
    let isIndented = this.#isBlank(this.#position);
    while (this.#position < this.#text.length) {
      const code = this.#text.charCodeAt(this.#position);
      if (code === newline) {
        this.#position += 1;
        this.#line += 1;
        if (this.#depth > 0) continue;
        if (tokens.length > 0) return { line: start, isIndented, tokens };
        isIndented = this.#isBlank(this.#position);
      } else if (code === semicolon) this.#skipLine();
      else if (code === opening) {
        if (this.#depth++ === 0) this.#openedLine = this.#line;
        this.#position += 1;
      } else if (code === closing) {
        if (this.#depth === 0) return this.#bad(this.#line, 'a parenthesis is closed that was not opened');
        this.#depth -= 1;
        this.#position += 1;
      } else if (this.#isBlank(this.#position)) this.#position += 1;
      else {
        if (tokens.length === 0) start = this.#line;
        const token = this.#word();
        if (typeof token === 'string') return this.#bad(this.#line, token);
        tokens.push(token);
      }
    }
    if (this.#depth > 0)
      return this.#bad(this.#openedLine, 'the parenthesis that opens here is never closed');
    return tokens.length > 0 ? { line: start, isIndented, tokens } : undefined;
  }

  /** The word at the position, or what is wrong with it. */
  #word(): Token | string {
    try {
      const { token, end } = readToken(this.#text, this.#position);
      if (token.isQuoted && token.text.includes('\n')) return 'the quotes are not closed on their line';
      this.#position = end;
      return token;
    } catch (error) {
      if (error instanceof WireError) return 'the quotes are not closed';
      throw error;
    }
  }

  #bad(line: number, problem: string): BadEntry {
    this.#depth = 0;
    this.#skipLine();
    return { line, problem };
  }

  #skipLine(): void {
    const end = this.#text.indexOf('\n', this.#position);
    this.#position = end < 0 ? this.#text.length : end;
  }

  #isBlank(position: number): boolean {
    const code = this.#text.charCodeAt(position);
    return code === 0x20 || code === 0x09 || code === 0x0d;
  }
}
