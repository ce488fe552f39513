import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { lazyModule } from '@cloudless/kube/lazy';
import type { MatchCondition, Variable } from '@cloudless/kube/types/admissionregistration-v1';
import type { ResultType } from '../../../admission/expressions/check.ts';
import { qualifiedName } from '../../validation/fields.ts';

/** CEL comes in with the first expression: most clusters have none. */
const checks = lazyModule<typeof import('../../../admission/expressions/check.ts')>(
  import.meta.url,
  '../../../admission/expressions/check.ts',
);

/** What one expression may be and read. */
export interface ExpressionRules {
  readonly params: boolean;
  readonly authorizer: boolean;
  readonly types: readonly ResultType[];
  /** Variables that it may read; undefined: there are none. */
  readonly variables?: readonly Variable[] | undefined;
}

/** What its compiler says of an expression. `shown` is the value in the message. */
export function validateExpression(
  expression: string,
  rules: ExpressionRules,
  path: FieldPath,
  shown = expression,
): FieldError[] {
  const problem = checks().problemOf(expression, rules);
  return problem === undefined ? [] : [fieldErrors.invalid(path, shown, problem)];
}

const maxConditions = 64;

export function validateMatchConditions(
  conditions: readonly MatchCondition[] | undefined,
  params: boolean,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const count = conditions?.length ?? 0;
  if (count > maxConditions) wrong.push(fieldErrors.tooMany(path, count, maxConditions));
  const seen = new Set<string>();
  for (const [i, { name, expression }] of (conditions ?? []).entries()) {
    const at = path.index(i);
    const trimmed = (expression ?? '').trim();
    wrong.push(
      ...(trimmed === ''
        ? [fieldErrors.required(at.child('expression'))]
        : validateExpression(trimmed, { params, authorizer: true, types: ['bool'] }, at.child('expression'))),
    );
    if (!name) {
      wrong.push(fieldErrors.required(at.child('name')));
      continue;
    }
    wrong.push(...qualifiedName(name, at.child('name')));
    if (seen.has(name)) wrong.push(fieldErrors.duplicate(at.child('name'), name));
    seen.add(name);
  }
  return wrong;
}

const identifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const reserved: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** Each may read those before it. */
export function validateVariables(
  variables: readonly Variable[] | undefined,
  params: boolean,
  path: FieldPath,
): FieldError[] {
  return (variables ?? []).flatMap(({ name, expression }, i) => {
    const at = path.index(i);
    const wrong: FieldError[] = [];
    if (!name?.trim()) wrong.push(fieldErrors.required(at.child('name'), 'name is not specified'));
    else if (!identifier.test(name) || reserved.has(name))
      wrong.push(fieldErrors.invalid(at.child('name'), name, 'must be a valid CEL identifier'));
    if (!expression?.trim())
      return [...wrong, fieldErrors.required(at.child('expression'), 'expression is not specified')];
    const before = (variables ?? []).slice(0, i);
    const rules: ExpressionRules = { params, authorizer: true, types: [], variables: before };
    return [...wrong, ...validateExpression(expression, rules, at.child('expression'))];
  });
}
