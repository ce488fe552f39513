/**
 * JSONPath as printer columns and selectable fields use it (client-go/util/jsonpath): `.status.conditions[?(@.type==
 * "Ready")].status`, `.spec.ports[*].port`, `.metadata.labels.app\.kubernetes\.io/name`, `['a key']`, `..name`.
 */
import { isJsonObject } from '@cloudless/kube/codec/json-value';

/** A path that cannot be read. */
export class JsonPathError extends Error {
  override readonly name = 'JsonPathError';
}

type Step =
  | { type: 'field'; name: string }
  | { type: 'wildcard' }
  | { type: 'descend' }
  | { type: 'index'; index: number }
  | { type: 'slice'; from: number | undefined; to: number | undefined; step: number }
  | { type: 'union'; paths: Step[][] }
  | { type: 'filter'; left: Operand; operator: Operator | undefined; right: Operand | undefined };
type Operator = '==' | '!=' | '<' | '<=' | '>' | '>=';
type Operand = { path: Step[] } | { value: unknown };

const operators: readonly Operator[] = ['==', '!=', '<=', '>=', '<', '>'];

/** Reads one path, `.` or `$` first; gives its values in an object, in order. Throws {@link JsonPathError}. */
export function compileJsonPath(path: string): (object: unknown) => unknown[] {
  const steps = parse(path);
  return (object) => evaluate(steps, [object], object);
}

function parse(path: string): Step[] {
  const steps: Step[] = [];
  let at = path.startsWith('$') || path.startsWith('@') ? 1 : 0;
  while (at < path.length) {
    if (path[at] === '[') {
      const end = closing(path, at);
      steps.push(bracket(path.slice(at + 1, end)));
      at = end + 1;
    } else if (path[at] === '.') {
      if (path[at + 1] === '.') {
        steps.push({ type: 'descend' });
        at++;
      }
      const { name, next } = fieldName(path, at + 1);
      if (name === '*') steps.push({ type: 'wildcard' });
      else if (name !== '') steps.push({ type: 'field', name });
      at = next;
    } else if (at === 0) {
      const { name, next } = fieldName(path, 0);
      steps.push({ type: 'field', name });
      at = next;
    } else throw new JsonPathError(`unexpected ${JSON.stringify(path[at])} in ${path}`);
  }
  return steps;
}

/** A field's name from `at`; a backslash takes the next character as it is. */
function fieldName(path: string, at: number): { name: string; next: number } {
  let name = '';
  let next = at;
  for (; next < path.length && path[next] !== '.' && path[next] !== '['; next++) {
    if (path[next] === '\\') next++;
    name += path[next] ?? '';
  }
  return { name, next };
}

/** Where the bracket that opens at `at` closes; quotes and nested brackets are skipped. */
function closing(path: string, at: number): number {
  let depth = 0;
  let quote = '';
  for (let i = at; i < path.length; i++) {
    const character = path[i] as string;
    if (quote !== '') {
      if (character === '\\') i++;
      else if (character === quote) quote = '';
    } else if (character === '"' || character === "'") quote = character;
    else if (character === '[' || character === '(') depth++;
    else if (character === ']' || character === ')') {
      if (--depth === 0) return i;
    }
  }
  throw new JsonPathError(`unterminated array in ${path}`);
}

const sliceText = /^(-?\d+)?:(-?\d+)?(?::(-?\d+))?$/;

function bracket(text: string): Step {
  const inner = text.trim();
  if (inner === '*') return { type: 'wildcard' };
  if (inner.startsWith('?(') && inner.endsWith(')')) return filter(inner.slice(2, -1));
  if (/^-?\d+$/.test(inner)) return { type: 'index', index: Number(inner) };
  const slice = sliceText.exec(inner);
  if (slice) {
    const [from, to, step] = slice.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
    return { type: 'slice', from, to, step: step ?? 1 };
  }
  const quoted = quotedText(inner);
  if (quoted !== undefined) return { type: 'field', name: quoted };
  if (inner.includes(',')) {
    const paths = inner.split(',').map((part) => {
      const name = part.trim();
      return /^-?\d+$/.test(name) || quotedText(name) !== undefined ? [bracket(name)] : parse(`.${name}`);
    });
    return { type: 'union', paths };
  }
  throw new JsonPathError(`invalid array index ${text}`);
}

function quotedText(text: string): string | undefined {
  const quote = text[0];
  if ((quote !== '"' && quote !== "'") || text.length < 2 || text.at(-1) !== quote) return undefined;
  const inner = text.slice(1, -1);
  return new RegExp(`(?<!\\\\)${quote}`).test(inner) ? undefined : inner.replace(/\\(.)/g, '$1');
}

function filter(text: string): Step {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (quote !== '') {
      if (character === '\\') i++;
      else if (character === quote) quote = '';
      continue;
    }
    if (character === '"' || character === "'") quote = character;
    const operator = operators.find((each) => text.startsWith(each, i));
    if (!operator) continue;
    const left = operand(text.slice(0, i));
    return { type: 'filter', left, operator, right: operand(text.slice(i + operator.length)) };
  }
  return { type: 'filter', left: operand(text), operator: undefined, right: undefined };
}

function operand(text: string): Operand {
  const inner = text.trim();
  if (inner.startsWith('@') || inner.startsWith('$') || inner.startsWith('.')) return { path: parse(inner) };
  const quoted = quotedText(inner);
  if (quoted !== undefined) return { value: quoted };
  if (inner === 'true' || inner === 'false') return { value: inner === 'true' };
  if (inner !== '' && !Number.isNaN(Number(inner))) return { value: Number(inner) };
  throw new JsonPathError(`cannot read ${inner} in a filter`);
}

function evaluate(steps: readonly Step[], values: readonly unknown[], root: unknown): unknown[] {
  let current = [...values];
  for (const step of steps) current = current.flatMap((value) => take(step, value, root));
  return current;
}

const members = (value: unknown): unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : isJsonObject(value) ? Object.values(value) : [];

function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new JsonPathError(`${JSON.stringify(value)} is not array or slice`);
  return value as unknown[];
}

function take(step: Step, value: unknown, root: unknown): unknown[] {
  switch (step.type) {
    case 'field':
      return isJsonObject(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case 'wildcard':
      return members(value);
    case 'descend':
      return descend(value);
    case 'index': {
      const items = list(value);
      const index = step.index < 0 ? items.length + step.index : step.index;
      if (index < 0 || index >= items.length) {
        throw new JsonPathError(`array index out of bounds: index ${step.index}, length ${items.length}`);
      }
      return [items[index]];
    }
    case 'slice': {
      const items = list(value).slice(step.from ?? 0, step.to);
      return step.step > 1 ? items.filter((_, i) => i % step.step === 0) : items;
    }
    case 'union':
      return step.paths.flatMap((path) => evaluate(path, [value], root));
    default:
      return list(value).filter((item) => passes(step, item, root));
  }
}

function descend(value: unknown): unknown[] {
  return [value, ...members(value).flatMap((member) => (typeof member === 'object' ? descend(member) : []))];
}

function passes(step: Extract<Step, { type: 'filter' }>, item: unknown, root: unknown): boolean {
  const of = (operand: Operand): unknown[] =>
    'path' in operand ? evaluate(operand.path, [item], root) : [operand.value];
  const [left] = of(step.left);
  if (!step.operator || !step.right) return left !== undefined;
  const [right] = of(step.right);
  if (left === undefined || right === undefined) return false;
  return compare(left, right, step.operator);
}

function compare(left: unknown, right: unknown, operator: Operator): boolean {
  if (operator === '==') return left === right;
  if (operator === '!=') return left !== right;
  const comparable = typeof left === typeof right && (typeof left === 'number' || typeof left === 'string');
  if (!comparable) return false;
  const [a, b] = [left as number, right as number];
  if (operator === '<') return a < b;
  if (operator === '<=') return a <= b;
  return operator === '>' ? a > b : a >= b;
}
