import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** One test of upstream's, as its report has it. */
export interface SpecReport {
  LeafNodeType: string;
  LeafNodeText: string;
  ContainerHierarchyTexts: string[] | null;
  State: string;
  /** Nanoseconds. */
  RunTime: number;
  Failure?: { Message: string };
}

const heading = "## Upstream's own tests of the API machinery";

/** The part of RESULTS.md that e2e.ts wrote; '' when it has not. */
export function sectionOf(path: string): string {
  if (!existsSync(path)) return '';
  const text = readFileSync(path, 'utf8');
  const at = text.indexOf(heading);
  return at < 0 ? '' : text.slice(at);
}

const groupOf = ({ ContainerHierarchyTexts }: SpecReport): string =>
  (ContainerHierarchyTexts ?? [])
    .join(' ')
    .replaceAll(/\[(sig-api-machinery|Privileged[^\]]*)\]\s*/g, '')
    .trim();

/** Replaces that part: what ran by group, what failed and why, what does not apply. */
export function writeSection(
  path: string,
  specs: readonly SpecReport[],
  reasons: {
    excluded: ReadonlyArray<readonly [string, string]>;
    failing: ReadonlyArray<readonly [string, string]>;
  },
): void {
  const passed = specs.filter(({ State }) => State === 'passed');
  const groups = new Map<string, number>();
  for (const spec of passed) groups.set(groupOf(spec), (groups.get(groupOf(spec)) ?? 0) + 1);
  const failed = specs
    .filter(({ State }) => State !== 'passed')
    .map((spec) => {
      const name = `${groupOf(spec)}: ${spec.LeafNodeText}`;
      const why = reasons.failing.find(([pattern]) => name.includes(pattern))?.[1];
      return `| ${name} | ${why ?? (spec.Failure?.Message ?? '').replaceAll(/\s+/g, ' ').slice(0, 200)} |`;
    });
  const share = ((100 * passed.length) / specs.length).toFixed(1);
  const lines = [
    heading,
    '',
    `${passed.length} of ${specs.length} pass (${share}%), of those that need an API server, controllers and a node whose pods are simulated.`,
    '',
    '| passed | group |',
    '|---|---|',
    ...[...groups]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([group, count]) => `| ${count} | ${group} |`),
    '',
    ...(failed.length > 0 ? ['| failed | why |', '|---|---|', ...failed, ''] : []),
    '| left out | why |',
    '|---|---|',
    ...reasons.excluded.map(([pattern, why]) => `| ${pattern} | ${why} |`),
    '',
  ];
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const at = before.indexOf(heading);
  const kept = (at < 0 ? before : before.slice(0, at)).trimEnd();
  writeFileSync(path, `${kept}\n\n${lines.join('\n')}`);
}
