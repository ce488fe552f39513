/** Where in a schema there are rules: large schemas have few, and only the way to them is walked. */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { itemsOf, valuesOf } from '../schema/structure.ts';

const known = new WeakMap<JSONSchemaProps, boolean>();

/** Whether there are rules in a schema or below it. Schemas are not changed once they were asked about. */
export function hasRules(schema: JSONSchemaProps | undefined): boolean {
  if (schema === undefined) return false;
  let found = known.get(schema);
  if (found === undefined) {
    found = (schema['x-kubernetes-validations']?.length ?? 0) > 0 || anyBelow(schema);
    known.set(schema, found);
  }
  return found;
}

function anyBelow(schema: JSONSchemaProps): boolean {
  for (const name in schema.properties) if (hasRules(schema.properties[name])) return true;
  if (hasRules(itemsOf(schema)) || hasRules(valuesOf(schema)) || hasRules(schema.not)) return true;
  for (const parts of [schema.allOf, schema.anyOf, schema.oneOf]) if (parts?.some(hasRules)) return true;
  return false;
}
