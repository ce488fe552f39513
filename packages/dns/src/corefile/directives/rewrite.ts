import type { AnswerRewrite, NameMatch, RewriteConfig } from '../config.ts';
import { CorefileError, type CorefileProblem } from '../error.ts';
import type { Directive } from '../syntax.ts';
import { regex } from '../values.ts';

const matches: readonly NameMatch[] = ['exact', 'prefix', 'suffix', 'substring', 'regex'];

/**
 * CoreDNS: plugin/rewrite, its field `name`. Undefined: the rule is about another field, and a warning says so.
 */
export function readRewrite(directive: Directive, warnings: CorefileProblem[]): RewriteConfig | undefined {
  const { line } = directive;
  // The long form has the rule's parts on lines of their own; they mean what they mean on one line.
  const words = [...directive.args, ...(directive.block ?? []).flatMap((part) => [part.name, ...part.args])];
  const action = words[0] === 'continue' || words[0] === 'stop' ? words.shift() : 'stop';
  const field = words.shift();
  if (field === undefined) throw new CorefileError(line, 'rewrite: nothing to rewrite');
  if (field !== 'name') {
    warnings.push({
      line,
      message: `rewrite ${field} is not done here (only rewrite name); the rule is left out`,
    });
    return undefined;
  }
  const named = words.length > 2 ? matches.find((candidate) => candidate === words[0]) : undefined;
  if (named) words.shift();
  const match = named ?? 'exact';
  const [from, to, ...options] = words;
  if (from === undefined || to === undefined) throw new CorefileError(line, 'rewrite name takes FROM and TO');
  if (match === 'regex') regex(from, line);
  const { auto, answers } = readAnswers(options, line);
  return {
    line,
    action: action as 'continue' | 'stop',
    match,
    from,
    to,
    // Answers to exact names are always written back.
    answerAuto: auto || match === 'exact',
    answers,
  };
}

/** `answer auto`, `answer name FROM TO`, `answer value FROM TO`; the word `answer` may be left out after the first. */
function readAnswers(words: readonly string[], line: number): { auto: boolean; answers: AnswerRewrite[] } {
  const rest = [...words];
  const answers: AnswerRewrite[] = [];
  let auto = false;
  if (rest.length > 0 && rest[0] !== 'answer')
    throw new CorefileError(line, `rewrite name: "${rest[0]}" is no option`);
  while (rest.length > 0) {
    if (rest[0] === 'answer') rest.shift();
    const what = rest.shift();
    if (what === 'auto' || (what === 'name' && rest[0] === 'auto')) {
      if (what === 'name') rest.shift();
      auto = true;
      continue;
    }
    const [from, to] = rest.splice(0, 2);
    if ((what !== 'name' && what !== 'value') || from === undefined || to === undefined)
      throw new CorefileError(line, 'rewrite name: answer takes auto, name FROM TO or value FROM TO');
    answers.push({ what, from: regex(from, line), to });
  }
  return { auto, answers };
}
