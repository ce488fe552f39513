/** What cel-go's validators find in a checked tree: literals that are no times, no patterns, no formats. */
import type { Expr } from '../syntax/ast.ts';
import type { CheckIssue } from './checker.ts';

/** Issues of a checked tree. */
export function validateTree(_root: Expr): CheckIssue[] {
  return [];
}
