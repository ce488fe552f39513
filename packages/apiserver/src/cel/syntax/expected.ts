/** What may stand where, for messages in ANTLR's form. */
import type { Token } from './lexer.ts';

const literals = "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
/** What may stand where an expression begins, as ANTLR lists it. */
export const beginnings = {
  expression: `{'[', '{', '(', '.', '-', '!', ${literals}`,
  argument: `{'[', '{', '(', ')', '.', '-', '!', ${literals}`,
  index: `{'[', '{', '(', '.', '-', '!', '?', ${literals}`,
  list: `{'[', ']', '{', '(', '.', ',', '-', '!', '?', ${literals}`,
  map: `{'[', '{', '}', '(', '.', ',', '-', '!', '?', ${literals}`,
} as const;
export type Beginning = keyof typeof beginnings;

/** Whether an expression may begin with a token. */
export const beginsExpression = ({ kind, text }: Token): boolean =>
  kind === 'symbol'
    ? '[{(.-!'.includes(text) || text === 'true' || text === 'false' || text === 'null'
    : kind !== 'end' && kind !== 'escaped';
