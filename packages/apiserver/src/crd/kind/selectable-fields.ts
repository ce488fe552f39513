import type { KubeObject } from '@cloudless/kube/object';
import type { SelectableField } from '@cloudless/kube/types/apiextensions-v1';
import { compileJsonPath } from './json-path.ts';
import { isScalar } from './scalar.ts';

/** The values that field selectors compare, by name: a field's path without its first dot; '' for an absent field. */
export function selectableFieldsOf(
  fields: readonly SelectableField[],
): Readonly<Record<string, (object: KubeObject) => string>> {
  return Object.fromEntries(
    fields.map(({ jsonPath }) => {
      const read = compileJsonPath(jsonPath);
      const valueOf = (object: KubeObject): string => {
        const [value] = read(object);
        return isScalar(value) ? String(value) : '';
      };
      return [jsonPath.replace(/^\./, ''), valueOf];
    }),
  );
}
