import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { CustomResourceDefinitionNames } from '@cloudless/kube/types/apiextensions-v1';
import { isDns1035Label } from '../../registry/validation/names.ts';

/** Names of a definition or those it was given, as far as they are there. */
export function validateNames(
  names: CustomResourceDefinitionNames | undefined,
  path: FieldPath,
): FieldError[] {
  if (!names) return [];
  const found: FieldError[] = [];
  const label = (value: string | undefined, at: FieldPath): void => {
    const wrong = value ? isDns1035Label(value) : [];
    if (wrong.length > 0) found.push(fieldErrors.invalid(at, value, wrong.join(',')));
  };
  const mixedCase = (value: string | undefined, at: FieldPath): void => {
    const wrong = value ? isDns1035Label(value.toLowerCase()) : [];
    if (wrong.length === 0) return;
    const text = `may have mixed case, but should otherwise match: ${wrong.join(',')}`;
    found.push(fieldErrors.invalid(at, value, text));
  };
  const each = (values: readonly string[] | undefined, at: FieldPath): void => {
    for (const [i, value] of (values ?? []).entries()) {
      const wrong = isDns1035Label(value);
      if (wrong.length > 0) found.push(fieldErrors.invalid(at.index(i), value, wrong.join(',')));
    }
  };
  label(names.plural, path.child('plural'));
  label(names.singular, path.child('singular'));
  mixedCase(names.kind, path.child('kind'));
  mixedCase(names.listKind, path.child('listKind'));
  each(names.shortNames, path.child('shortNames'));
  if (names.kind && names.kind === names.listKind) {
    const text = 'kind and listKind may not be the same';
    found.push(fieldErrors.invalid(path.child('listKind'), names.listKind, text));
  }
  each(names.categories, path.child('categories'));
  return found;
}
