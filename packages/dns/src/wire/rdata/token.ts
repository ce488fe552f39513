import { WireError } from '../name.ts';

/** One word of presentation format (RFC 1035 section 5.1), its escapes as they were written. */
export interface Token {
  /** Without the quotes of a word that is quoted as a whole. */
  readonly text: string;
  readonly isQuoted: boolean;
}

/**
 * Reads the word that begins at `start`, which is neither blank nor a comment or parenthesis; returns where it ends.
 * Quotes after an equals sign belong to the word (`alpn="h2,h3"`, RFC 9460 appendix A). A quoted word may go over lines.
 * Throws {@link WireError} for quotes that are not closed.
 */
export function readToken(text: string, start: number): { token: Token; end: number } {
  if (text[start] === '"') {
    const end = closingQuote(text, start);
    return { token: { text: text.slice(start + 1, end), isQuoted: true }, end: end + 1 };
  }
  let position = start;
  for (; position < text.length; position++) {
    const character = text[position] as string;
    if (character === '\\') position++;
    else if (character === '"') {
      if (text[position - 1] !== '=') break;
      position = closingQuote(text, position);
    } else if (' \t\r\n;()'.includes(character)) break;
  }
  const end = Math.min(position, text.length);
  return { token: { text: text.slice(start, end), isQuoted: false }, end };
}

function closingQuote(text: string, opening: number): number {
  for (let i = opening + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i;
  }
  throw new WireError(`the quotes before ${text.slice(opening + 1, opening + 20)} are not closed`);
}

/** The words of one record's data; parentheses and comments are left out. Throws {@link WireError}. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let position = 0; position < text.length;) {
    const character = text[position] as string;
    if (character === ';') {
      const newline = text.indexOf('\n', position);
      position = newline < 0 ? text.length : newline;
    } else if (' \t\r\n()'.includes(character)) position++;
    else {
      const { token, end } = readToken(text, position);
      tokens.push(token);
      position = end;
    }
  }
  return tokens;
}

/** The words of one record's data, taken one after the other by its fields. */
export class Words {
  readonly origin: string;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[], origin: string) {
    this.#tokens = tokens;
    this.origin = origin;
  }

  get isAtEnd(): boolean {
    return this.#next >= this.#tokens.length;
  }

  /** `field` names what is missing in the error. */
  next(field: string): Token {
    const token = this.#tokens[this.#next++];
    if (!token) throw new WireError(`${field} is missing`);
    return token;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  rest(): readonly Token[] {
    const rest = this.#tokens.slice(this.#next);
    this.#next = this.#tokens.length;
    return rest;
  }
}
