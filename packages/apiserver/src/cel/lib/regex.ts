/** find and findAll (apiserver/pkg/cel/library/regex.go). */
import { method, type Overload } from '../check/functions.ts';
import { findEach, findFirst, patternOf } from '../run/patterns.ts';
import { CelFailure, type CelValue, fail } from '../run/values.ts';
import { intType, listType, stringType } from '../types.ts';

function find(text: string, pattern: string): CelValue {
  const compiled = patternOf(pattern);
  return compiled instanceof CelFailure
    ? fail(`Illegal regex: ${compiled.message}`)
    : findFirst(text, compiled);
}

function findAll(text: string, pattern: string, limit = -1n): CelValue {
  const compiled = patternOf(pattern);
  return compiled instanceof CelFailure
    ? fail(`Illegal regex: ${compiled.message}`)
    : findEach(text, compiled, Number(limit));
}

const text = stringType;

export const regexLibrary: readonly Overload[] = [
  method('find', 'string_find_string', [text, text], text, find),
  method('findAll', 'string_find_all_string', [text, text], listType(text), findAll),
  method('findAll', 'string_find_all_string_int', [text, text, intType], listType(text), findAll),
];
