/** The fieldPath of a rule: `.spec.ports['web'].name` (apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go). */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { valuesOf } from '../schema/structure.ts';

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
};

/** `.`, `[`, `]`, quoted texts, and whatever stands between. */
const token = /'(?:[^'\\]|\\[^])*'|[.[\]]|[^.[\]]+/g;

/** Splits as upstream's scanner does: an unfinished quote goes on to the end. */
function tokensOf(path: string): string[] {
  const tokens: string[] = [];
  let at = 0;
  while (at < path.length) {
    token.lastIndex = at;
    const text = path[at] === "'" ? quotedAt(path, at) : (token.exec(path)?.[0] ?? path.slice(at));
    tokens.push(text);
    at += text.length;
  }
  return tokens;
}

function quotedAt(path: string, from: number): string {
  for (let at = from + 1; at < path.length; at++)
    if (path[at] === "'" && path[at - 1] !== '\\') return path.slice(from, at + 1);
  return path.slice(from);
}

function unquoted(text: string | undefined): string | undefined {
  if (text === undefined || text.length < 2 || !text.startsWith("'") || !text.endsWith("'")) return undefined;
  let valid = true;
  const value = text.slice(1, -1).replace(/\\./g, (escape) => {
    const known = escapes[escape[1] as string];
    if (known === undefined) valid = false;
    return known ?? '';
  });
  return valid ? value : undefined;
}

/** The path as errors show it; undefined for one that the schema does not have. */
export function normalizedFieldPath(path: string, schema: JSONSchemaProps): string | undefined {
  const tokens = tokensOf(path);
  let at = 0;
  let here: JSONSchemaProps = schema;
  let shown = '';
  while (at < tokens.length) {
    const named = tokens[at] === '.';
    if (!named && tokens[at] !== '[') return undefined;
    const name = named ? tokens[at + 1] : unquoted(tokens[at + 1]);
    if (name === undefined || (!named && tokens[at + 2] !== ']')) return undefined;
    at += named ? 2 : 3;
    const next = here.properties === undefined ? valuesOf(here) : ownProperty(here, name);
    if (next === undefined) return undefined;
    shown += here.properties === undefined ? `[${name}]` : shown === '' ? name : `.${name}`;
    here = next;
  }
  return shown;
}

const ownProperty = (schema: JSONSchemaProps, name: string): JSONSchemaProps | undefined =>
  Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
