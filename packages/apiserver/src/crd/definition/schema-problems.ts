import { FieldPath } from '@cloudless/kube/field';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { unsupportedKeyword, validateStructural } from './structural-rules.ts';

/** Definitions that validation has just found to be structural: by uid, at which generation. */
const judged = new Map<string, number | undefined>();
const maxJudged = 1_000;

/** Notes that a definition about to be stored has nothing but structural schemas. */
export function noteStructural({ metadata }: CustomResourceDefinition): void {
  if (judged.size >= maxJudged) judged.clear();
  if (metadata.uid) judged.set(metadata.uid, metadata.generation);
}

/** What keeps the schemas of a stored definition from being structural, as the NonStructuralSchema condition tells it. */
export function schemaProblems({ metadata, spec }: CustomResourceDefinition): string[] {
  if (judged.get(metadata.uid ?? '') === metadata.generation) return [];
  const found: string[] = [];
  if (spec.preserveUnknownFields)
    found.push('spec.preserveUnknownFields: Invalid value: true: must be false');
  for (const [i, { name, schema }] of spec.versions.entries()) {
    const root = schema?.openAPIV3Schema;
    if (!root) continue;
    const unsupported = unsupportedKeyword(root);
    if (unsupported !== undefined) {
      found.push(`failed to check validation schema for version ${name}: ${unsupported}`);
      continue;
    }
    const path = FieldPath.of('spec', 'versions').index(i).child('schema', 'openAPIV3Schema');
    for (const { field, message } of validateStructural(path, root)) found.push(`${field}: ${message}`);
  }
  return found;
}
