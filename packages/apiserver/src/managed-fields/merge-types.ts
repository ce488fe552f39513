import { schemaOf } from '@cloudless/kube/schema/schema';
import { mergeTypeOf } from '@cloudless/kube/structured-merge/built-in-type';
import { mergeTypeOfSchema } from '@cloudless/kube/structured-merge/custom-type';
import { deducedType, type MergeType } from '@cloudless/kube/structured-merge/merge-type';
import type { Served } from '../registry/catalogue.ts';

/** How objects of a built-in kind merge; those of an unknown one member by member. */
export function typeOfKind(kind: { group: string; version: string; kind: string }): MergeType {
  const schema = schemaOf(kind);
  return schema ? mergeTypeOf(schema) : deducedType;
}

/** The same for whatever is served. */
export const typeOfServed = ({ custom, resource }: Served): MergeType =>
  custom ? mergeTypeOfSchema(custom.schema) : typeOfKind(resource);
