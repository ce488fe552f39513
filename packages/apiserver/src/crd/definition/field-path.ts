import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { schemaOrBool } from '../schema/structural.ts';

/** A path that leads to no field of a schema, in upstream's words. */
export class FieldPathError extends Error {
  override readonly name = 'FieldPathError';
}

/**
 * The field that a path (`.spec.name`, `.spec['a name']`) leads to in a schema (upstream: cel.ValidFieldPath). Throws
 * {@link FieldPathError}.
 */
export function findField(
  path: string,
  root: JSONSchemaProps,
  options: { arrayNotation: boolean } = { arrayNotation: true },
): { names: string[]; schema: JSONSchemaProps } {
  const tokens = path.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]]+/g) ?? [];
  const names: string[] = [];
  let schema = root;
  let at = 0;
  const next = (): string => {
    const token = tokens[at++];
    if (token === undefined) throw new FieldPathError('unexpected end of JSON path');
    return token;
  };
  while (at < tokens.length) {
    const token = next();
    let name: string;
    if (token === '.') name = next();
    else if (token === '[') {
      if (!options.arrayNotation) throw new FieldPathError('array notation is not allowed');
      name = quoted(next());
    } else throw new FieldPathError(`expected [ or . but got: ${token}`);
    schema = member(schema, name);
    names.push(name);
    if (token === '[') {
      const end = next();
      if (end !== ']') throw new FieldPathError(`expected ] but got ${end}`);
    }
  }
  return { names, schema };
}

function quoted(token: string): string {
  if (token.length < 2 || !token.startsWith("'") || !token.endsWith("'"))
    throw new FieldPathError(`expected single quoted string but got ${token}`);
  return token.slice(1, -1).replace(/\\(.)/g, '$1');
}

function member(schema: JSONSchemaProps, name: string): JSONSchemaProps {
  const { properties } = schema;
  if (properties && Object.keys(properties).length > 0) {
    const found = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (found) return found;
  } else {
    const additional = schemaOrBool(schema.additionalProperties)?.schema;
    if (additional) return additional;
  }
  throw new FieldPathError('does not refer to a valid field');
}
