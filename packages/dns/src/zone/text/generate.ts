import { WireError } from '../../wire/name.ts';
import { type Token, tokensOf } from '../../wire/rdata/token.ts';
import { zoneTextLimits } from './limits.ts';

/**
 * The records of BIND's `$GENERATE start-stop[/step] owner [ttl] [class] type data`, as the words of entries. In owner and
 * data `$` is the number, `${offset,width,base}` a number made of it (base d, o, x, X, or n, N for nibbles in reverse order),
 * `\$` and `$$` a dollar sign. Data that is more than one word is quoted as a whole. Throws WireError.
 */
export function* generateEntries(words: readonly Token[]): Generator<readonly Token[]> {
  const [range, owner, ...rest] = words;
  const data = rest.pop();
  if (!range || !owner || !data || rest.length === 0)
    throw new WireError('$GENERATE wants a range like 1-9 or 0-8/2, an owner, a type and its data');
  const { start, stop, step } = rangeOf(range.text);
  for (let number = start; number <= stop; number += step) {
    const name: Token = { text: expand(owner.text, number), isQuoted: false };
    yield [name, ...rest, ...tokensOf(expand(data.text, number))];
  }
}

function rangeOf(text: string): { start: number; stop: number; step: number } {
  const [, start, stop, step = '1'] = /^(\d{1,10})-(\d{1,10})(?:\/(\d{1,10}))?$/.exec(text) ?? [];
  const range = { start: Number(start), stop: Number(stop), step: Number(step) };
  const isRange = range.stop <= 0x7fff_ffff && range.start <= range.stop && range.step > 0;
  if (!isRange) throw new WireError(`${text} is no range: $GENERATE wants one like 1-9 or 0-8/2`);
  if ((range.stop - range.start) / range.step >= zoneTextLimits.generated)
    throw new WireError(
      `${text} makes more than ${zoneTextLimits.generated} records: split the zone's $GENERATE`,
    );
  return range;
}

function expand(template: string, number: number): string {
  let text = '';
  for (let i = 0; i < template.length; i++) {
    const character = template[i] as string;
    if (character === '\\') text += template[i + 1] === '$' ? '\\$' : character + (template[i + 1] ?? '');
    if (character === '\\') i += 1;
    else if (character !== '$') text += character;
    else if (template[i + 1] === '$') {
      text += '\\$';
      i += 1;
    } else if (template[i + 1] === '{') {
      const end = template.indexOf('}', i);
      if (end < 0) throw new WireError(`the brace in ${template} is not closed`);
      text += formatted(template.slice(i + 2, end), number);
      i = end;
    } else text += String(number);
  }
  return text;
}

function formatted(modifier: string, number: number): string {
  const [, offset, width = '0', base = 'd'] =
    /^([+-]?\d{1,10})(?:,(\d{1,3})(?:,([doxXnN]))?)?$/.exec(modifier) ?? [];
  if (offset === undefined || Number(width) > 253)
    throw new WireError(
      `\${${modifier}} is no form of the number: $GENERATE has offset, width and one of d o x X n N`,
    );
  const value = number + Number(offset);
  if (base === 'd') return decimal(value, Number(width));
  // Other bases show a negative number as C does, by its bits.
  if (base === 'n' || base === 'N') return nibbles(value >>> 0, Number(width), base === 'N');
  const digits = (value >>> 0).toString(base === 'o' ? 8 : 16);
  return (base === 'X' ? digits.toUpperCase() : digits).padStart(Number(width), '0');
}

function decimal(value: number, width: number): string {
  const digits = String(Math.abs(value));
  return value < 0 ? `-${digits.padStart(width - 1, '0')}` : digits.padStart(width, '0');
}

/** Hexadecimal digits from the lowest on, with dots between; the width counts the dots too. */
function nibbles(value: number, width: number, isUpperCase: boolean): string {
  const digits = value.toString(16).split('').reverse();
  while (digits.length * 2 - 1 < width) digits.push('0');
  const text = digits.join('.');
  return isUpperCase ? text.toUpperCase() : text;
}
