import { SelectorError } from './labels.ts';

/** One term of a field selector. */
export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

/** How a field's value is looked up; absent counts as the empty string. */
export type Fields = Readonly<Record<string, string>> | ((field: string) => string | undefined);

/** A field selector: every term must hold. Immutable. */
export class FieldSelector {
  readonly requirements: readonly FieldRequirement[];

  constructor(requirements: readonly FieldRequirement[]) {
    this.requirements = requirements;
  }

  get isEmpty(): boolean {
    return this.requirements.length === 0;
  }

  matches(fields: Fields): boolean {
    return this.requirements.every(({ field, operator, value }) => {
      const actual = typeof fields === 'function' ? fields(field) : fields[field];
      return ((actual ?? '') === value) === (operator === '=');
    });
  }

  /** The one value this selector demands of a field, if it demands one. */
  exactMatch(field: string): string | undefined {
    return this.requirements.find((rule) => rule.field === field && rule.operator === '=')?.value;
  }

  toString(): string {
    return this.requirements
      .map((rule) => `${rule.field}${rule.operator}${escapeFieldValue(rule.value)}`)
      .join(',');
  }
}

export const everyField: FieldSelector = new FieldSelector([]);

/** Escapes `\`, `,` and `=` for use as a value in a field selector. */
export function escapeFieldValue(value: string): string {
  return value.replaceAll(/[\\,=]/g, '\\$&');
}

function unescapeFieldValue(text: string): string {
  let value = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === ',' || char === '=') {
      // Upstream prints the rune's number.
      throw new SelectorError(`invalid field selector: unescaped character in value: ${char.charCodeAt(0)}`);
    }
    if (char !== '\\') {
      value += char;
      continue;
    }
    const next = text[++i] ?? '';
    if (next === '' || !'\\,='.includes(next)) {
      throw new SelectorError(`invalid field selector: invalid escape sequence: \\${next}`);
    }
    value += next;
  }
  return value;
}

/** Parts between commas that no backslash escapes. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

/**
 * Reads `status.phase=Running,spec.nodeName!=a` (grammar: upstream's fields.ParseSelector). Whether a kind
 * supports a field is the caller's to say. Throws {@link SelectorError}.
 */
export function parseFieldSelector(text: string): FieldSelector {
  const rules: FieldRequirement[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue;
    const split = /^(.*?)(!=|==|=)([\s\S]*)$/s.exec(term);
    if (split === null) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field = '', sign, value = ''] = split;
    rules.push({ field, operator: sign === '!=' ? '!=' : '=', value: unescapeFieldValue(value) });
  }
  return rules.length === 0 ? everyField : new FieldSelector(rules);
}
