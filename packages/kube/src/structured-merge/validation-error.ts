/** One thing that does not fit its type, as structured-merge-diff words it. */
export interface Problem {
  /** `.spec.ports[port=80]`; '' for the whole. */
  readonly path: string;
  readonly text: string;
}

const problemText = ({ path, text }: Problem): string => (path === '' ? text : `${path}: ${text}`);

/** A value does not fit its merge type. */
export class MergeTypeError extends Error {
  readonly problems: readonly Problem[];

  /** `doing` is put before the text: what failed for it. */
  constructor(problems: readonly Problem[], doing = '') {
    const [only] = problems;
    const text =
      problems.length === 1 && only
        ? problemText(only)
        : ['errors:', ...problems.map((each) => `  ${problemText(each)}`)].join('\n');
    super(doing === '' ? text : `${doing}: ${text}`);
    this.name = 'MergeTypeError';
    this.problems = problems;
  }
}

/** Throws what was found, if anything. */
export function throwProblems(problems: readonly Problem[], doing = ''): void {
  if (problems.length > 0) throw new MergeTypeError(problems, doing);
}
