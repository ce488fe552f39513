/**
 * The rules of a custom resource's schema at work (apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go).
 * Only parts of a schema with rules in or below them are walked.
 */
import { isJsonObject } from '@cloudless/kube/codec/json-value';
import { type FieldError, FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { CostBudget } from '../budget.ts';
import { typeOfSchema } from '../schema/declare.ts';
import { itemsOf, valuesOf } from '../schema/structure.ts';
import { type CompiledRule, compileRule } from './compile.ts';
import { Correlated, OldElements } from './correlate.ts';
import { hasRules } from './presence.ts';
import { Evaluation } from './evaluation.ts';

/** A schema with rules in or below it. */
interface Node {
  readonly schema: JSONSchemaProps;
  readonly rules: readonly CompiledRule[];
  readonly items: Node | undefined;
  readonly values: Node | undefined;
  readonly properties: ReadonlyMap<string, Node>;
  readonly allOf: readonly Node[];
}

/** The rules of a schema, ready to judge objects. */
export interface RuleSet {
  /**
   * All violations of an object; `old` is the stored one of an update. A violation that was there before, of a value
   * that did not change, is told to `warn` only. Costs are bounded by `budget` (of a request, by default).
   */
  validate(
    object: object,
    old: object | undefined,
    options?: { readonly warn?: (text: string) => void; readonly budget?: CostBudget },
  ): FieldError[];
}

/** The rules of a structural schema; undefined when it has none. Rules that do not compile fail for every object. */
export function compileRules(schema: JSONSchemaProps): RuleSet | undefined {
  const root = compileNode(schema, schema, true);
  if (root === undefined) return undefined;
  return {
    validate(object, old, { warn, budget = new CostBudget() } = {}) {
      const walk = new Walk(new Evaluation(budget, warn));
      const ratchet = { current: old && new Correlated(object, old, schema), parent: undefined };
      walk.node(root, FieldPath.of(), object, old, ratchet);
      return walk.errors;
    },
  };
}

/** `rules` holds the rules, `schema` the types: they differ inside allOf. */
function compileNode(rules: JSONSchemaProps, schema: JSONSchemaProps, root: boolean): Node | undefined {
  if (!hasRules(rules)) return undefined;
  const items = both(itemsOf(rules), itemsOf(schema));
  const values = both(valuesOf(rules), valuesOf(schema));
  const properties = new Map<string, Node>();
  for (const [name, property] of Object.entries(rules.properties ?? {})) {
    const typed = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    const node = both(property, typed);
    if (node !== undefined) properties.set(name, node);
  }
  const allOf = (rules.allOf ?? [])
    .map((part) => compileNode(part, schema, root))
    .filter((node) => node !== undefined);
  const compiled = compileOwn(rules, schema, root);
  if (compiled.length === 0 && !items && !values && properties.size === 0 && allOf.length === 0)
    return undefined;
  return { schema, rules: compiled, items, values, properties, allOf };
}

const both = (rules: JSONSchemaProps | undefined, schema: JSONSchemaProps | undefined): Node | undefined =>
  rules && schema && compileNode(rules, schema, schema['x-kubernetes-embedded-resource'] ?? false);

function compileOwn(rules: JSONSchemaProps, schema: JSONSchemaProps, root: boolean): CompiledRule[] {
  const own = rules['x-kubernetes-validations'] ?? [];
  if (own.length === 0) return [];
  const self = typeOfSchema(schema, { resourceRoot: root, name: 'selfType' });
  if (self === undefined) return [];
  return own.map((rule) => compileRule(rule, schema, self));
}

/** What is known about a value before an update: its own old value, or that of the nearest part which has one. */
interface Ratchet {
  readonly current: Correlated | undefined;
  readonly parent: Correlated | undefined;
}

const isUnchanged = ({ current, parent }: Ratchet): boolean => (current ?? parent)?.unchanged ?? false;

function below(ratchet: Ratchet, child: (current: Correlated) => Correlated | undefined): Ratchet {
  return ratchet.current === undefined
    ? ratchet
    : { current: child(ratchet.current), parent: ratchet.current };
}

/** As below; apiVersion and kind of the object were converted, so that they never count as unchanged. */
function belowKey(ratchet: Ratchet, name: string): Ratchet {
  if (
    ratchet.current !== undefined &&
    ratchet.parent === undefined &&
    (name === 'apiVersion' || name === 'kind')
  )
    return { current: undefined, parent: undefined };
  return below(ratchet, (current) => current.key(name));
}

class Walk {
  readonly errors: FieldError[] = [];
  readonly #evaluation: Evaluation;

  constructor(evaluation: Evaluation) {
    this.#evaluation = evaluation;
  }

  node(node: Node, path: FieldPath, value: unknown, old: unknown, ratchet: Ratchet): void {
    if (value === null || value === undefined || this.#evaluation.stopped) return;
    const unchanged = (): boolean => isUnchanged(ratchet);
    this.#evaluation.rules(node.rules, { schema: node.schema, path, value, old, unchanged }, this.errors);
    for (const part of node.allOf)
      this.node(part, path, value, old, { current: undefined, parent: ratchet.parent });
    if (Array.isArray(value)) this.#elements(node, path, value, old, ratchet);
    else if (isJsonObject(value))
      this.#entries(node, path, value, isJsonObject(old) ? old : undefined, ratchet);
  }

  #elements(node: Node, path: FieldPath, values: readonly unknown[], old: unknown, ratchet: Ratchet): void {
    if (node.items === undefined) return;
    const known = new OldElements(node.schema, old);
    for (const [i, value] of values.entries())
      this.node(
        node.items,
        path.index(i),
        value,
        known.find(value),
        below(ratchet, (current) => current.index(i)),
      );
  }

  #entries(
    node: Node,
    path: FieldPath,
    value: Record<string, unknown>,
    old: Record<string, unknown> | undefined,
    ratchet: Ratchet,
  ): void {
    const before = (name: string): unknown =>
      old !== undefined && Object.hasOwn(old, name) ? old[name] : undefined;
    if (node.values !== undefined)
      for (const [name, entry] of Object.entries(value))
        this.node(node.values, path.key(name), entry, before(name), belowKey(ratchet, name));
    for (const [name, property] of node.properties)
      if (Object.hasOwn(value, name))
        this.node(property, path.child(name), value[name], before(name), belowKey(ratchet, name));
  }
}
