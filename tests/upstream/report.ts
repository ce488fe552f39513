import type { Difference } from './compare.ts';
import { known } from './known.ts';

export interface DifferenceClass {
  readonly group: string;
  count: number;
  readonly kinds: Map<string, number>;
  readonly examples: Difference[];
}

/** Differences by class, the most frequent first. */
export function classes(differences: readonly Difference[]): DifferenceClass[] {
  const byGroup = new Map<string, DifferenceClass>();
  for (const difference of differences) {
    let entry = byGroup.get(difference.group);
    if (!entry) {
      entry = { group: difference.group, count: 0, kinds: new Map(), examples: [] };
      byGroup.set(difference.group, entry);
    }
    entry.count++;
    entry.kinds.set(difference.kind, (entry.kinds.get(difference.kind) ?? 0) + 1);
    if (entry.examples.length < 3) entry.examples.push(difference);
  }
  return [...byGroup.values()].sort((a, b) => b.count - a.count || (a.group < b.group ? -1 : 1));
}

/** The reason why a difference stays, or undefined when nobody gave one. */
export const reasonOf = (difference: Difference): string | undefined =>
  known.find((each) => each.matches(difference))?.reason;

const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length)}…` : text;

/** What a person reads: classes with counts, kinds and an example each. */
export function readable(all: readonly DifferenceClass[], limit: number): string {
  return all
    .slice(0, limit)
    .map(({ group, count, kinds, examples }) => {
      const which = [...kinds].sort((a, b) => b[1] - a[1]).slice(0, 4);
      const [example] = examples as [Difference];
      return [
        `${String(count).padStart(5)}  ${group}`,
        `       ${which.map(([kind, times]) => `${kind} ×${times}`).join(', ')}${kinds.size > 4 ? ', …' : ''}`,
        `       e.g. ${example.name}`,
        `         upstream: ${shorten(example.upstream, 400)}`,
        `         ours:     ${shorten(example.ours, 400)}`,
      ].join('\n');
    })
    .join('\n');
}
