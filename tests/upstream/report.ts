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

/** RESULTS.md: what was sent, what remains with a reason, and what nobody has explained yet. */
export function resultsDocument(run: {
  title: string;
  cases: number;
  requests: number;
  found: readonly Difference[];
}): string {
  const { found } = run;
  const reasons = known.map((each) => ({
    ...each,
    count: found.filter((difference) => known.find((one) => one.matches(difference)) === each).length,
  }));
  const open = found.filter((difference) => reasonOf(difference) === undefined);
  const byKind = Object.entries(Object.groupBy(open, ({ kind }) => kind))
    .map(([kind, all]) => ({ kind, all: all ?? [] }))
    .sort((a, b) => b.all.length - a.all.length);
  const different = new Set(found.map(({ name }) => name)).size;
  const cell = (text: string): string => shorten(text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|'), 110);
  return [
    '# Differences from upstream',
    '',
    `${run.title}: ${run.requests} requests to each server in ${run.cases} cases; ${run.cases - different} cases alike, ` +
      `${found.length} differences, ${found.length - open.length} of them with a reason.`,
    '',
    '## With a reason',
    '',
    '| differences | what | why |',
    '|---|---|---|',
    ...reasons
      .filter(({ count }) => count > 0)
      .map(({ id, reason, count }) => `| ${count} | ${id} | ${reason} |`),
    '',
    ...(open.length === 0
      ? ['Every difference has a reason.']
      : [
          '## Not explained: to be mended',
          '',
          '| differences | kind | the most frequent |',
          '|---|---|---|',
        ]),
    ...byKind.map(({ kind, all }) => {
      const most = classes(all).slice(0, 2);
      return `| ${all.length} | ${kind} | ${most.map(({ group, count }) => `${count} × ${cell(group)}`).join('; ')} |`;
    }),
    '',
  ].join('\n');
}

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
