/** CEL expressions that choose devices. */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { lazyModule } from '@cloudless/kube/lazy';
import type { DeviceSelector } from '@cloudless/kube/types/resource-v1';
import { validateItems } from './names.ts';

/** CEL comes in with the first expression: most clusters have none. */
const expressions = lazyModule<typeof import('./device-expressions.ts')>(
  import.meta.url,
  './device-expressions.ts',
);

const maxSelectors = 32;
const maxExpressionBytes = 10 * 1024;

function validateSelector(selector: DeviceSelector, path: FieldPath): FieldError[] {
  if (!selector.cel) return [fieldErrors.required(path.child('cel'))];
  const at = path.child('cel', 'expression');
  const expression = selector.cel.expression ?? '';
  if (Buffer.byteLength(expression) > maxExpressionBytes)
    return [fieldErrors.tooLong(at, maxExpressionBytes)];
  const verdict = expressions().judgeExpression(expression);
  if (verdict === undefined) return [];
  return verdict === 'too-expensive'
    ? [fieldErrors.forbidden(at, 'too complex, exceeds cost limit')]
    : [fieldErrors.invalid(at, expression, verdict.problem)];
}

export const validateSelectors = (
  selectors: readonly DeviceSelector[] | undefined,
  path: FieldPath,
): FieldError[] => validateItems(selectors, path, maxSelectors, validateSelector);
