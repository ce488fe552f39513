/** One rule of x-kubernetes-validations, compiled (apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go). */
import type { JSONSchemaProps, ValidationRule } from '@cloudless/kube/types/apiextensions-v1';
import { CelCompileError, CelProgramError } from '../errors.ts';
import { type CelProgram, compileCel } from '../program.ts';
import type { CelValue } from '../run/values.ts';
import { bindValue } from '../schema/bind.ts';
import { type CelType, optionalType } from '../types.ts';
import { normalizedFieldPath } from './field-path.ts';

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Absent for an empty rule, and where `error` is set. */
  readonly program?: CelProgram;
  readonly error?: string;
  readonly usesOldSelf: boolean;
  readonly message?: CelProgram;
  readonly messageError?: string;
  /** Binds an old value that the rule sees as an optional. */
  readonly bindOld: (old: unknown) => CelValue;
  /** Where errors go, below the schema's own place. */
  readonly fieldPath?: string;
}

/** Go's strings.TrimSpace. */
export const trimmed = (text: string | undefined): string => (text ?? '').trim();

interface Attempt {
  readonly program?: CelProgram;
  readonly error?: string;
}

/** Compiles one of a rule's expressions; `prefix` stands before what is wrong with it. */
function attempt(
  expression: string,
  declarations: Readonly<Record<string, CelType>>,
  wanted: 'bool' | 'string',
  prefix: string,
): Attempt {
  try {
    const program = compileCel(expression, declarations);
    if (program.outputType.kind === wanted) return { program };
    return {
      error:
        wanted === 'bool'
          ? 'cel expression must evaluate to a bool'
          : 'messageExpression must evaluate to a string',
    };
  } catch (error) {
    if (error instanceof CelProgramError)
      return {
        error: `${wanted === 'bool' ? 'program' : 'messageExpression'} instantiation failed: ${error.message}`,
      };
    if (error instanceof CelCompileError) return { error: `${prefix}${error.message}` };
    throw error;
  }
}

/** Compiles a rule of a schema whose values have the type `self`. What is wrong is in the result. */
export function compileRule(rule: ValidationRule, schema: JSONSchemaProps, self: CelType): CompiledRule {
  const bindOld = (old: unknown): CelValue => bindValue(old, self);
  if (trimmed(rule.rule) === '') return { rule, usesOldSelf: false, bindOld };
  const declarations = { self, oldSelf: rule.optionalOldSelf ? optionalType(self) : self };
  const { program, error } = attempt(rule.rule, declarations, 'bool', 'compilation failed: ');
  if (program === undefined)
    return { rule, usesOldSelf: false, bindOld, ...(error === undefined ? {} : { error }) };
  const usesOldSelf = program.variables.has('oldSelf');
  const message = rule.messageExpression
    ? attempt(rule.messageExpression, declarations, 'string', 'messageExpression compilation failed: ')
    : {};
  const fieldPath = rule.fieldPath ? normalizedFieldPath(rule.fieldPath, schema) : undefined;
  return {
    rule,
    program,
    usesOldSelf,
    bindOld,
    ...(message.program === undefined ? {} : { message: message.program }),
    ...(message.error === undefined ? {} : { messageError: message.error }),
    ...(fieldPath === undefined ? {} : { fieldPath }),
  };
}
