import {
  formOf,
  ListItemError,
  type ListType,
  type MapType,
  type MergeType,
  type ScalarType,
} from './merge-type.ts';
import { elementText, fieldElement, indexElement } from './path-element.ts';
import { goTypeName } from '../codec/json-value.ts';
import { goPrint, goSyntax, isList, isMap, isNumber } from './value.ts';
import { type Problem, throwProblems } from './validation-error.ts';

/** Whether a value that is no scalar of the type; undefined: it fits. Absent and null values fit. */
export function scalarProblem(type: ScalarType, value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  switch (type) {
    case 'numeric':
      return isNumber(value) ? undefined : `expected numeric (int or float), got ${goTypeName(value)}`;
    case 'string':
      if (typeof value === 'string') return undefined;
      return `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got &{${goPrint(value)}}`;
    default:
      return typeof value === 'object' ? `expected any scalar, got &{${goPrint(value)}}` : undefined;
  }
}

class Validation {
  readonly problems: Problem[] = [];
  readonly #allowDuplicates: boolean;

  constructor(allowDuplicates: boolean) {
    this.#allowDuplicates = allowDuplicates;
  }

  value(type: MergeType, value: unknown, path: string): void {
    switch (formOf(type, value)) {
      case 'map':
        return this.#map(type.map as MapType, value, path);
      case 'list':
        return this.#list(type.list as ListType, value, path);
      case 'scalar': {
        const text = scalarProblem(type.scalar as ScalarType, value);
        if (text !== undefined) this.problems.push({ path, text });
      }
    }
  }

  #map(type: MapType, value: unknown, path: string): void {
    if (value === null || value === undefined) return;
    if (!isMap(value)) {
      this.problems.push({ path, text: `expected map, got &{${goPrint(value)}}` });
      return;
    }
    for (const name in value) {
      if (value[name] === undefined) continue;
      const at = path + elementText(fieldElement(name));
      const inner = type.fields.get(name)?.type ?? type.element;
      if (inner) this.value(inner, value[name], at);
      else this.problems.push({ path: at, text: 'field not declared in schema' });
    }
  }

  #list(type: ListType, value: unknown, path: string): void {
    if (value === null || value === undefined) return;
    if (!isList(value)) {
      this.problems.push({ path, text: `expected list, got &{${goPrint(value)}}` });
      return;
    }
    const seen = new Set<string>();
    for (const [index, item] of value.entries()) {
      let element = indexElement(index);
      if (!type.atomic) {
        try {
          element = type.elementOf(item);
        } catch (error) {
          if (!(error instanceof ListItemError)) throw error;
          this.problems.push({ path, text: `element ${index}: ${error.message}` });
          return;
        }
        if (seen.has(element) && !this.#allowDuplicates) {
          this.problems.push({ path, text: `duplicate entries for key ${elementText(element)}` });
        }
        seen.add(element);
      }
      this.value(type.element, item, path + elementText(element));
    }
  }
}

/**
 * Checks a value against its type: declared fields only, scalars of the right kind, items that can be told apart.
 * Throws MergeTypeError with every problem. Source: structured-merge-diff v6, typed/validate.go.
 */
export function validateValue(type: MergeType, value: unknown, allowDuplicates = false): void {
  const validation = new Validation(allowDuplicates);
  validation.value(type, value, '');
  throwProblems(validation.problems);
}
