import { knownPrinted } from './kubectl-known.ts';

/** A command that one kubectl answers differently against the two servers; both texts without chance. */
export interface PrintedDifference {
  /** `1.33`. */
  readonly kubectl: string;
  readonly line: string;
  readonly upstream: string;
  readonly ours: string;
}

/** Why a difference stays, or undefined when nobody has said. */
export const reasonOf = (difference: PrintedDifference): string | undefined =>
  knownPrinted.find((each) => each.matches(difference))?.why;

export interface KubectlRun {
  /** `v1.36.3`. */
  readonly upstreamVersion: string;
  /** Of the kubectls that typed, in order. */
  readonly versions: readonly string[];
  /** Commands that each typed. */
  readonly typed: number;
  readonly differences: readonly PrintedDifference[];
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** `1.27–1.33`: versions as runs of those that were asked; `all` for all of them. */
export function versionRange(some: ReadonlySet<string>, all: readonly string[]): string {
  if (all.every((version) => some.has(version))) return 'all';
  const runs: string[][] = [];
  for (const [at, version] of all.entries()) {
    if (!some.has(version)) continue;
    if (at > 0 && some.has(all[at - 1] as string)) runs.at(-1)?.push(version);
    else runs.push([version]);
  }
  return runs.map((run) => (run.length === 1 ? run[0] : `${run[0]}–${run.at(-1)}`)).join(', ');
}

/** Commands with the versions in which they differ, those of the same versions together. */
function commandsCell(differences: readonly PrintedDifference[], versions: readonly string[]): string {
  const byLine = Object.groupBy(differences, ({ line }) => line);
  const ranged = Object.entries(byLine).map(([line, all = []]) => ({
    line,
    range: versionRange(new Set(all.map(({ kubectl }) => kubectl)), versions),
  }));
  return Object.entries(Object.groupBy(ranged, ({ range }) => range))
    .map(([range, all = []]) => `${all.map(({ line }) => `\`${cell(line)}\``).join(', ')}: ${range}`)
    .join('; ');
}

const introduction = `# What kubectl prints, against upstream's server and ours

\`kubectl-output.ts\` types the same commands (\`kubectl-steps.ts\`: creating, reading, describing, changing, applying on both
sides, a custom resource with rules, permissions, explain, what fails, deleting) into every kubectl against upstream's
kube-apiserver and against ours, without controllers and nodes, and shows every answer that differs in more than times,
ages, generated names and addresses. It makes this file too:

    KUBE_APISERVER=/path/to/kube-apiserver RESULTS=tests/upstream/KUBECTL.md node tests/upstream/kubectl-output.ts

\`ETCD\` names an etcd (default: the one on the path). Every kubectl of this machine types, and the one that
\`KUBECTL=/path\` names; \`KUBECTLS=1.27,1.33\` picks among them; \`OUT=FOLDER\` keeps the differences as JSON.
`;

const notes = `Since upstream heeds a ResourceQuota only once its controller has written the status, commands that a quota would refuse
come before it in the list; ours heeds it at once.

## What some kubectls cannot do

The session (\`KUBECTL=/path KUBECTLS=all node --test tests/e2e/kubectl-session.system.test.ts\`) does every chapter with each
kubectl. What an old or a new one cannot do, against upstream's server of this version too:

| kubectl | what | why |
|---|---|---|
| 1.20 | \`debug POD\` | sends EphemeralContainers, a kind that went with 1.22 |
| 1.20 | \`describe endpointslices\`, \`describe pdb\` | asks for beta versions, served until 1.24 |
| 1.20 | \`debug node --profile\` | profiles of pods came with 1.27 |
| 1.20 | \`create token\`, \`patch --subresource\` | came with 1.24 |
| 1.20 | \`wait --for=jsonpath\` | came with 1.23 |
| 1.20 | \`apply --server-side\` after \`apply\` keeps fields that were taken out | its fields are taken over since 1.26 |
| 1.20, 1.27 | \`auth whoami\` | no such command in 1.20; 1.27 asks for the alpha and the beta of what is stable since 1.28 |
| 1.36 | \`describe\` of several objects | shows no events unless \`--show-events\` asks for them |
`;

/** KUBECTL.md: every difference, the same one of several commands and versions in one row. */
export function kubectlDocument(run: KubectlRun): string {
  const { differences, versions } = run;
  const rows = knownPrinted.flatMap((known) => {
    const matching = differences.filter((each) => knownPrinted.find((one) => one.matches(each)) === known);
    if (matching.length === 0) return [];
    return [`| ${commandsCell(matching, versions)} | ${known.difference} | ${known.why} |`];
  });
  const open = differences.filter((each) => reasonOf(each) === undefined);
  if (open.length > 0) rows.push(`| ${commandsCell(open, versions)} | not explained | to be mended |`);
  const counts = versions.map(
    (version) => `${version}: ${differences.filter(({ kubectl }) => kubectl === version).length}`,
  );
  return [
    introduction,
    `## Differences, kube-apiserver ${run.upstreamVersion.replace(/^v/, '')}`,
    '',
    `Answers that differ, of ${run.typed} commands, by version of kubectl: ${counts.join(', ')}.`,
    '',
    '| commands: kubectl | difference | why |',
    '|---|---|---|',
    ...rows,
    '',
    notes,
  ].join('\n');
}
