import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';

const path = FieldPath.of('status', 'conditions');

/** Conditions of a flow schema or priority level: each type once, and named. */
export function validateConditions(conditions: ReadonlyArray<{ type?: string }> | undefined): FieldError[] {
  const types = (conditions ?? []).map((condition) => condition.type ?? '');
  return types.flatMap((type, i) => {
    const at = path.index(i).child('type');
    const wrong = types.indexOf(type) < i ? [fieldErrors.duplicate(at, type)] : [];
    if (type === '') wrong.push(fieldErrors.required(at));
    return wrong;
  });
}
