import type { Operation, Parameter } from './operation.ts';

/** Parameters that all operations of a path take: they are written once, beside them, by name. */
export function sharedParameters(operations: readonly Operation[]): Parameter[] {
  const [first, ...others] = operations;
  return (first?.parameters ?? [])
    .filter((parameter) => others.every((other) => other.parameters.includes(parameter)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
