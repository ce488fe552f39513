/** Tokens of literals → values (cel-spec, langdef: Syntax). */
import { CelBytes, CelUint } from '../run/values.ts';
import type { LiteralValue } from './ast.ts';
import { CelSyntaxError, type Token } from './lexer.ts';
import { bytesOf, stringOf } from './strings.ts';

const maxInt = 2n ** 63n - 1n;
const minInt = -(2n ** 63n);
const maxUint = 2n ** 64n - 1n;

/** The value of a literal, whose sign is part of it. Throws `CelSyntaxError` at `at` for one out of range. */
export function literalValue(token: Token, negative: boolean, at: number): LiteralValue {
  switch (token.kind) {
    case 'int': {
      const value = negative ? -BigInt(token.text) : BigInt(token.text);
      if (value > maxInt || value < minInt) throw new CelSyntaxError('invalid int literal', at);
      return value;
    }
    case 'uint': {
      const value = BigInt(token.text.slice(0, -1));
      if (value > maxUint) throw new CelSyntaxError('invalid uint literal', at);
      return new CelUint(value);
    }
    case 'double': {
      const value = Number(token.text) * (negative ? -1 : 1);
      if (!Number.isFinite(value)) throw new CelSyntaxError('invalid double literal', at);
      return value;
    }
    default:
      return quotedValue(token);
  }
}

function quotedValue(token: Token): string | CelBytes {
  try {
    return token.kind === 'bytes' ? new CelBytes(bytesOf(token.text.slice(1))) : stringOf(token.text);
  } catch (error) {
    throw new CelSyntaxError((error as Error).message, token.at);
  }
}
