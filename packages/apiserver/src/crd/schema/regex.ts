/**
 * Patterns of schemas are Go's regular expressions (RE2): matching takes linear time, whatever expression a schema
 * brings, and lookaheads and backreferences are refused in Go's words.
 */
import { RE2JS } from 're2js';

const compiled = new Map<string, RE2JS>();
/** Schemas bring a few hundred patterns; more than this is not kept. */
const maxCompiled = 4_096;

function compile(pattern: string): RE2JS {
  let expression = compiled.get(pattern);
  if (!expression) {
    expression = RE2JS.compile(pattern);
    if (compiled.size >= maxCompiled) compiled.clear();
    compiled.set(pattern, expression);
  }
  return expression;
}

/** Go's text of what is wrong with a pattern: "error parsing regexp: missing closing ]: `[a`". */
export function patternError(pattern: string): string | undefined {
  try {
    compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether the pattern matches somewhere in the text. Throws for a pattern that {@link patternError} refuses. */
export const matchesPattern = (pattern: string, text: string): boolean => compile(pattern).test(text);
