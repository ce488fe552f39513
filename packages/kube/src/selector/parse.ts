import {
  type Operator,
  type Requirement,
  Selector,
  SelectorError,
  binaryOperators,
  everything,
  requirement,
} from './labels.ts';
import { labelKeyErrors } from './validation.ts';

type Token = 'end' | 'identifier' | 'in' | 'notin' | '(' | ')' | ',' | '!' | '=' | '==' | '!=' | '>' | '<';

interface Scanned {
  token: Token;
  text: string;
}

const specials = new Set(['=', '!', '(', ')', ',', '>', '<']);
const blanks = new Set([' ', '\t', '\r', '\n']);

/** Tokens of a selector; the longest operator wins. */
function scan(text: string): Scanned[] {
  const scanned: Scanned[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    if (blanks.has(char)) {
      at++;
    } else if (specials.has(char)) {
      const pair = text.slice(at, at + 2);
      const token = pair === '==' || pair === '!=' ? pair : (char as Token);
      scanned.push({ token, text: token });
      at += token.length;
    } else {
      const start = at;
      while (at < text.length && !specials.has(text[at] as string) && !blanks.has(text[at] as string)) at++;
      const word = text.slice(start, at);
      scanned.push({ token: word === 'in' || word === 'notin' ? word : 'identifier', text: word });
    }
  }
  scanned.push({ token: 'end', text: '' });
  return scanned;
}

/** Recursive descent over the grammar in upstream's labels.Parse; its oddities are kept. */
class Parser {
  readonly #items: Scanned[];
  #at = 0;

  constructor(text: string) {
    this.#items = scan(text);
  }

  /** The next token; where values stand, `in` and `notin` are ordinary words. */
  #look(words: 'words' | 'operators' = 'words'): Scanned {
    const item = this.#items[Math.min(this.#at, this.#items.length - 1)] as Scanned;
    if (words === 'words' && (item.token === 'in' || item.token === 'notin')) {
      return { token: 'identifier', text: item.text };
    }
    return item;
  }

  #take(words: 'words' | 'operators' = 'words'): Scanned {
    const item = this.#look(words);
    this.#at++;
    return item;
  }

  parse(): Requirement[] {
    const rules: Requirement[] = [];
    for (;;) {
      const next = this.#look();
      if (next.token === 'end') return rules;
      if (next.token !== 'identifier' && next.token !== '!') {
        throw new SelectorError(`found '${next.text}', expected: !, identifier, or 'end of string'`);
      }
      rules.push(this.#requirementOrError());
      const after = this.#take();
      if (after.token === 'end') return rules;
      if (after.token !== ',') {
        throw new SelectorError(`found '${after.text}', expected: ',' or 'end of string'`);
      }
      const following = this.#look();
      if (following.token !== 'identifier' && following.token !== '!') {
        throw new SelectorError(`found '${following.text}', expected: identifier after ','`);
      }
    }
  }

  #requirementOrError(): Requirement {
    try {
      return this.#requirement();
    } catch (error) {
      if (error instanceof SelectorError) {
        throw new SelectorError(`unable to parse requirement: ${error.message}`);
      }
      throw error;
    }
  }

  #requirement(): Requirement {
    let first = this.#take();
    const negated = first.token === '!';
    if (negated) first = this.#take();
    if (first.token !== 'identifier') throw new SelectorError(`found '${first.text}', expected: identifier`);
    const key = first.text;
    const keyErrors = labelKeyErrors(key);
    if (keyErrors.length > 0) {
      throw new SelectorError(`<nil>: Invalid value: ${JSON.stringify(key)}: ${keyErrors.join('; ')}`);
    }
    if (negated) return requirement(key, '!', []);
    const next = this.#look().token;
    if (next === 'end' || next === ',') return requirement(key, 'exists', []);
    const operator = this.#operator();
    const values = operator === 'in' || operator === 'notin' ? this.#values() : this.#exactValue();
    return requirement(key, operator, [...values].sort());
  }

  #operator(): Operator {
    const { token, text } = this.#take('operators');
    switch (token) {
      case 'in':
      case 'notin':
      case '=':
      case '==':
      case '!=':
        return token;
      case '>':
        return 'gt';
      case '<':
        return 'lt';
      default:
        throw new SelectorError(`found '${text}', expected: ${binaryOperators.join(', ')}`);
    }
  }

  #values(): Set<string> {
    const open = this.#take();
    if (open.token !== '(') throw new SelectorError(`found '${open.text}' expected: '('`);
    const first = this.#look();
    if (first.token === ')') {
      this.#take();
      return new Set(['']);
    }
    if (first.token !== 'identifier' && first.token !== ',') {
      throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
    }
    const values = this.#identifiers();
    this.#take(); // the ')' at which identifiers() stopped
    return values;
  }

  /** A list in which empty places count as the empty value: `(a,,b)`, `(,a)`, `(a,)`. */
  #identifiers(): Set<string> {
    const values = new Set<string>();
    for (;;) {
      const item = this.#take();
      if (item.token === 'identifier') {
        values.add(item.text);
        const next = this.#look();
        if (next.token === ')') return values;
        if (next.token !== ',') throw new SelectorError(`found '${next.text}', expected: ',' or ')'`);
      } else if (item.token === ',') {
        if (values.size === 0) values.add('');
        const next = this.#look().token;
        if (next === ')' || next === ',') values.add('');
        if (next === ')') return values;
      } else {
        throw new SelectorError(`found '${item.text}', expected: ',', or identifier`);
      }
    }
  }

  #exactValue(): Set<string> {
    const next = this.#look();
    if (next.token === 'end' || next.token === ',') return new Set(['']);
    this.#take();
    if (next.token !== 'identifier') throw new SelectorError(`found '${next.text}', expected: identifier`);
    return new Set([next.text]);
  }
}

/**
 * Reads `x in (a,b),y!=1,!z,n>3` (grammar: upstream's labels.Parse). An empty text selects everything. Throws
 * {@link SelectorError} with upstream's words.
 */
export function parseLabelSelector(text: string): Selector {
  const rules = new Parser(text).parse();
  return rules.length === 0 ? everything : new Selector(rules);
}
