import { type Selector, SelectorError, selectorFromObject } from '@cloudless/kube/selector/selector';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { LabelMatch } from './config.ts';
import type { Report } from './problem.ts';

/** Label selectors of a field. One that cannot be understood, or stands twice, is reported and left out. */
export function labelMatches(
  selectors: readonly LabelSelector[] | undefined,
  field: string,
  report: Report,
): LabelMatch[] {
  const matches: LabelMatch[] = [];
  const seen = new Map<string, number>();
  for (const [i, object] of (selectors ?? []).entries()) {
    let selector: Selector;
    try {
      selector = selectorFromObject(object);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      report.problem(`${field}[${i}]`, error.message);
      continue;
    }
    const text = selector.toString();
    const before = seen.get(text);
    if (before !== undefined) {
      report.problem(`${field}[${i}]`, `the same selector stands twice, first as ${field}[${before}]`);
      continue;
    }
    seen.set(text, i);
    matches.push((labels) => selector.matches(labels));
  }
  return matches;
}
