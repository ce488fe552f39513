/** Judges expressions of webhooks and policies before they are stored. */
import type { Variable } from '@cloudless/kube/types/admissionregistration-v1';
import { applyConfigurationType, jsonPatchType, patchLibrary } from '../../cel/lib/patches.ts';
import { boolType, type CelType, nullType, stringType } from '../../cel/types.ts';
import { declarations } from './environment.ts';
import { Expression } from './expression.ts';
import { Variables } from './variables.ts';

/** What an expression may evaluate to; the last two are those of mutations. */
export type ResultType = 'bool' | 'string' | 'null' | 'Object' | 'list(JSONPatch)';

const types: Readonly<Record<ResultType, CelType>> = {
  bool: boolType,
  string: stringType,
  null: nullType,
  Object: applyConfigurationType,
  'list(JSONPatch)': jsonPatchType,
};

const isPatch = (type: CelType): boolean => type === applyConfigurationType || type === jsonPatchType;

export interface CheckedRules {
  readonly params: boolean;
  readonly authorizer: boolean;
  readonly types: readonly ResultType[];
  readonly variables?: readonly Variable[] | undefined;
}

/** Those of the policy that was checked last; its expressions come one after the other. */
let last: { key: readonly Variable[]; params: boolean; variables: Variables } | undefined;

function variablesOf(variables: readonly Variable[], params: boolean): Variables {
  const isSame =
    last?.params === params &&
    last.key.length === variables.length &&
    last.key.every((each, i) => each === variables[i]);
  if (!last || !isSame)
    last = { key: [...variables], params, variables: new Variables(variables, { params, authorizer: true }) };
  return last.variables;
}

/** Why an expression cannot be used, in upstream's words; undefined: it can. */
export function problemOf(expression: string, rules: CheckedRules): string | undefined {
  const { params, authorizer, variables } = rules;
  const declared = variables
    ? variablesOf(variables, params).declarations({ params, authorizer })
    : declarations({ params, authorizer });
  const allowed = rules.types.map((type) => types[type]);
  const library = allowed.some(isPatch) ? patchLibrary : undefined;
  return new Expression(expression, declared, allowed, library).problem;
}
