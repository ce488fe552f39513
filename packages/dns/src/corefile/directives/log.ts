import type { LogConfig } from '../config.ts';
import { CorefileError } from '../error.ts';
import type { Directive } from '../syntax.ts';
import { nameOf, oneOf, unknownProperty } from '../values.ts';

/** CoreDNS's Common Log Format. */
export const commonFormat =
  '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}';
const combinedFormat = commonFormat.replace('"{type}', '"{>opcode} {type}');

/** CoreDNS: plugin/log. */
export function readLog(directive: Directive, serverZones: readonly string[]): LogConfig {
  const names = directive.args.filter((arg) => !arg.includes('{'));
  const formats = directive.args.filter((arg) => arg.includes('{'));
  if (formats.length > 1) throw new CorefileError(directive.line, 'log takes one format; put it in quotes');
  const format = (formats[0] ?? '{common}')
    .replaceAll('{common}', commonFormat)
    .replaceAll('{combined}', combinedFormat);
  const classes: Array<LogConfig['classes'][number]> = [];
  for (const option of directive.block ?? []) {
    if (option.name !== 'class') throw unknownProperty('log', option);
    for (const name of option.args) classes.push(oneOf(name, option, ['all', 'success', 'denial', 'error']));
  }
  return {
    names: names.length === 0 ? serverZones : names.map((name) => nameOf(name, directive.line)),
    format,
    classes: classes.length === 0 ? ['all'] : classes,
  };
}
