import { isIP } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { durationMs } from '@cloudless/kube/duration';
import { reverseName } from '../wire/rdata.ts';
import { rcodeName } from '../wire/types.ts';
import { CorefileError } from './error.ts';
import type { Directive } from './syntax.ts';

/** Throws unless the directive has so many arguments. */
export function expectArgs(directive: Directive, least: number, most = least): void {
  const { name, args, line } = directive;
  if (args.length >= least && args.length <= most) return;
  const wanted = least === most ? `${least}` : `${least} to ${most}`;
  throw new CorefileError(line, `${name} takes ${wanted} arguments, not ${args.length}`);
}

/** The directive's only argument. */
export function onlyArg(directive: Directive): string {
  expectArgs(directive, 1);
  return directive.args[0] as string;
}

export function integer(text: string | undefined, directive: Directive, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text ?? '') ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new CorefileError(
    directive.line,
    `${directive.name}: "${text}" is no number from ${least} to ${most}`,
  );
}

/** Milliseconds of a duration as Go writes it. */
export function duration(text: string | undefined, directive: Directive): number {
  const value = durationMs(text ?? '');
  if (value === undefined)
    throw new CorefileError(
      directive.line,
      `${directive.name}: "${text}" is no duration such as 30s or 1m30s`,
    );
  return value;
}

export function oneOf<T extends string>(
  text: string | undefined,
  directive: Directive,
  values: readonly T[],
): T {
  const value = values.find((candidate) => candidate === text);
  if (value !== undefined) return value;
  throw new CorefileError(directive.line, `${directive.name}: "${text}" is none of ${values.join(', ')}`);
}

/** A directive inside a block that is not known there. */
export function unknownProperty(plugin: string, property: Directive): CorefileError {
  return new CorefileError(property.line, `${plugin} has no option "${property.name}"`);
}

/** Lower case, without the final dot; the root is ''. */
export function nameOf(text: string, line: number): string {
  const name = text.toLowerCase().replace(/\.$/, '');
  const bad = name.length > 253 || name.split('.').some((label) => label.length > 63);
  if (bad || (name !== '' && /\.\.|^\./.test(name))) throw new CorefileError(line, `"${text}" is no name`);
  return name;
}

/** A zone, or those of a network (`10.0.0.0/22` is four zones under in-addr.arpa). */
export function zonesOf(text: string, line: number): string[] {
  const network = /^(.+)\/(\d+)$/.exec(text);
  if (!network || isIP(network[1] as string) === 0) return [nameOf(text, line)];
  return reverseZones(network[1] as string, Number(network[2]), line);
}

function reverseZones(address: string, prefixLength: number, line: number): string[] {
  const [bits, unitBits, radix] = address.includes(':') ? [128, 4, 16] : [32, 8, 10];
  if (prefixLength > bits || prefixLength < unitBits)
    throw new CorefileError(line, `/${prefixLength} is no length of a network that can be a zone`);
  const labels = reverseName(address).split('.');
  const units = Math.ceil(prefixLength / unitBits);
  const kept = labels.slice(bits / unitBits - units);
  const spread = 2 ** (units * unitBits - prefixLength);
  const first = parseInt(kept[0] as string, radix);
  const start = first - (first % spread);
  return Array.from({ length: spread }, (_, i) => [(start + i).toString(radix), ...kept.slice(1)].join('.'));
}

/** The zones given, or those of the server block. */
export function zonesOr(args: readonly string[], line: number, serverZones: readonly string[]): string[] {
  return args.length === 0 ? [...serverZones] : args.flatMap((zone) => zonesOf(zone, line));
}

/** `fallthrough [ZONES...]`: without zones for every name. */
export function fallthroughOf(directive: Directive): readonly string[] {
  return zonesOr(directive.args, directive.line, ['']);
}

let isLinear = false;

/**
 * A pattern in Go's syntax. Its flags and named groups are written otherwise in JavaScript. Go's patterns take time in
 * proportion to the name; a client must not be able to hold the server up with a name that makes ours go back and forth, so V8
 * changes to an engine like Go's when it does.
 */
export function regex(text: string, line: number): RegExp {
  if (!isLinear) setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
  isLinear = true;
  const limit = 10_000;
  if (text.length > limit) throw new CorefileError(line, `a pattern is longer than ${limit} characters`);
  const flags = /^\(\?([is]+)\)/.exec(text);
  const source = text.slice(flags?.[0].length ?? 0).replaceAll('(?P<', '(?<');
  try {
    return new RegExp(source, [...new Set(flags?.[1] ?? '')].join(''));
  } catch (error) {
    throw new CorefileError(line, `"${text}" is no pattern: ${(error as Error).message}`);
  }
}

/** The number of `SERVFAIL`; undefined: there is no such response code. */
export function rcodeNumber(name: string): number | undefined {
  for (let code = 0; code < 24; code++) if (rcodeName(code) === name.toUpperCase()) return code;
  return undefined;
}
