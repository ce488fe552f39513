import type { FieldError } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';

/** The compiled `x-kubernetes-validations` of one schema. */
export interface RuleSet {
  validate(object: KubeObject, old: KubeObject | undefined): FieldError[];
}

/** Compiles the rules of a schema; undefined when it has none. */
export type CompileRules = (schema: JSONSchemaProps) => RuleSet | undefined;
