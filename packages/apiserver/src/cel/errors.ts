/** What can go wrong with an expression: it does not compile, its evaluation fails, or it costs too much. */

/** One problem of an expression, where it begins. Lines count from 1, columns (code points) from 0. */
export interface CelIssue {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** cel-go prints no source line longer than this. */
const longestSourceLine = 16_384;

/** One issue in cel-go's form: message, source line, and a caret under the place (cel-go common/error.go). */
function issueText(issue: CelIssue, lines: readonly string[]): string {
  // There are no characters that a place could be among.
  if (lines.length === 1 && lines[0] === '' && issue.line > 0)
    return `ERROR: <input>:${issue.line}:${issue.column}: ${issue.message}`;
  const head = `ERROR: <input>:${issue.line}:${issue.column + 1}: ${issue.message}`;
  const line = issue.line > 0 ? lines[issue.line - 1] : undefined;
  if (line === undefined || line.length > longestSourceLine) return head;
  const before = Array.from(line).slice(0, issue.column);
  const dots = before.map((character) => (wide(character) ? '．' : '.')).join('');
  const at = Array.from(line)[issue.column];
  const caret = at !== undefined && wide(at) ? '＾' : '^';
  return `${head}\n | ${line.replaceAll('\t', ' ')}\n | ${dots}${caret}`;
}

/** cel-go widens the dots under characters that take more than one byte. */
const wide = (character: string): boolean => (character.codePointAt(0) ?? 0) > 0x7f;

/** An expression that cannot be compiled. The message is cel-go's, all issues below each other. */
export class CelCompileError extends Error {
  readonly issues: readonly CelIssue[];

  constructor(source: string, issues: readonly CelIssue[]) {
    const lines = source.split('\n');
    super(issues.map((issue) => issueText(issue, lines)).join('\n'));
    this.name = 'CelCompileError';
    this.issues = issues;
  }
}

/** A checked expression of which no program can be made: a constant in it has no value. */
export class CelProgramError extends CelCompileError {
  constructor(message: string) {
    super('', []);
    this.name = 'CelProgramError';
    this.message = message;
  }
}

/** An evaluation that failed: `no such key: x`, `division by zero`, … The message is cel-go's. */
export class CelEvaluationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CelEvaluationError';
  }
}

/** An evaluation that was stopped because of its cost: of the one call, or of all calls of a request. */
export class CelCostError extends Error {
  readonly limit: 'call' | 'budget';

  constructor(limit: 'call' | 'budget') {
    super(
      limit === 'call'
        ? 'operation cancelled: actual cost limit exceeded'
        : 'validation failed due to running out of cost budget, no further validation rules will be run',
    );
    this.name = 'CelCostError';
    this.limit = limit;
  }
}
