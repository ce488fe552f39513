/** What a template may refer to (CoreDNS: plugin/template). */
export interface TemplateData {
  Zone: string;
  Name: string;
  Class: string;
  Type: string;
  Match: readonly string[];
  Group: Readonly<Record<string, string>>;
  Remote: string;
}

export type Template = (data: TemplateData) => string;

type Value = string | number | readonly string[] | Readonly<Record<string, string>>;
type Expression = (data: TemplateData) => Value;

/** A template refers to what is not there, or to a number that is none; the query gets SERVFAIL. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

const fields = ['Zone', 'Name', 'Class', 'Type', 'Match', 'Group', 'Remote'] as const;

/**
 * The part of Go's text/template that templates of records are made of: `{{ .Name }}`, `{{ .Group.a }}`,
 * `{{ index .Match 1 }}`, `{{ parseInt .Group.b 16 8 }}`, literals, and `{{-` with `-}}`. A string: the action that is
 * not among them.
 */
export function compileTemplate(text: string): Template | string {
  const parts: Array<string | Expression> = [];
  let end = 0;
  for (const match of text.matchAll(/\{\{(-\s)?\s*([\s\S]*?)\s*(\s-)?\}\}/g)) {
    const before = text.slice(end, match.index);
    parts.push(match[1] ? before.trimEnd() : before);
    const expression = compileExpression(match[2] as string);
    if (expression === undefined) return match[2] as string;
    parts.push(expression);
    end = match.index + match[0].length;
    if (match[3]) end += /^\s*/.exec(text.slice(end))?.[0].length ?? 0;
  }
  parts.push(text.slice(end));
  return (data) => parts.map((part) => (typeof part === 'string' ? part : printed(part(data)))).join('');
}

function printed(value: Value): string {
  if (typeof value === 'object') throw new TemplateError('a template prints a list');
  return String(value);
}

function compileExpression(text: string): Expression | undefined {
  const words = text.match(/"(?:\\.|[^"\\])*"|`[^`]*`|[^\s"`]+/g) ?? [];
  const [first, ...args] = words;
  if (first === undefined) return undefined;
  if (first === 'index' && args.length === 2) {
    const [list, key] = args.map(operand);
    return list && key && ((data) => element(list(data), key(data)));
  }
  if (first === 'parseInt' && args.length === 3) {
    const [number, radix, bits] = args.map(operand);
    return (
      number && radix && bits && ((data) => unsigned(number(data), Number(radix(data)), Number(bits(data))))
    );
  }
  return args.length === 0 ? operand(first) : undefined;
}

function operand(word: string): Expression | undefined {
  if (/^\d+$/.test(word)) return () => Number(word);
  if (word.startsWith('"')) {
    const text = word.slice(1, -1).replace(/\\(.)/g, '$1');
    return () => text;
  }
  if (word.startsWith('`')) return () => word.slice(1, -1);
  const [, field, ...keys] = /^\.\w+(\.\w+)*$/.test(word) ? word.split('.') : [];
  const name = fields.find((candidate) => candidate === field);
  if (name === undefined || keys.length > 1) return undefined;
  const [key] = keys;
  if (key === undefined) return (data) => data[name];
  return name === 'Group' ? (data) => data.Group[key] ?? '<no value>' : undefined;
}

function element(list: Value, key: Value): string {
  if (typeof key === 'object') throw new TemplateError('a list is no place in a list');
  const value =
    typeof list === 'object' ? (list as Readonly<Record<string | number, string>>)[key] : undefined;
  if (value === undefined)
    throw new TemplateError(`a template asks for the element ${key}, which is not there`);
  return value;
}

/** Go's strconv.ParseUint. */
function unsigned(value: Value, radix: number, bits: number): number {
  const text = printed(value);
  const number = parseInt(text, radix);
  if (!/^[0-9a-z]+$/i.test(text) || Number.isNaN(number) || number >= 2 ** Math.min(bits || 64, 53))
    throw new TemplateError(`"${text}" is no number of ${bits} bits`);
  return number;
}
