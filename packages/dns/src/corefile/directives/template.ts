import { compileTemplate } from '../go-template.ts';
import { classNumber, typeNumber } from '../../wire/types.ts';
import type { TemplateConfig } from '../config.ts';
import { CorefileError, type CorefileProblem } from '../error.ts';
import type { Directive } from '../syntax.ts';
import {
  expectArgs,
  fallthroughOf,
  integer,
  onlyArg,
  rcodeNumber,
  regex,
  unknownProperty,
  zonesOr,
} from '../values.ts';

interface Draft {
  matches: RegExp[];
  answers: string[];
  authorities: string[];
  additionals: string[];
  rcode: number;
  extendedError: TemplateConfig['extendedError'];
  fallthrough: TemplateConfig['fallthrough'];
}

/**
 * CoreDNS: plugin/template. Undefined: the template needs what is not done here, and a warning says so; leaving out
 * only a condition would answer what is not meant.
 */
export function readTemplate(
  directive: Directive,
  serverZones: readonly string[],
  warnings: CorefileProblem[],
): TemplateConfig | undefined {
  expectArgs(directive, 2, 1000);
  const [className, typeName, ...zones] = directive.args as [string, string, ...string[]];
  const { line } = directive;
  const classCode = className === 'ANY' ? 255 : classNumber(className);
  const type = typeName === 'ANY' ? 255 : typeNumber(typeName);
  if (classCode === undefined) throw new CorefileError(line, `template: "${className}" is no class`);
  if (type === undefined) throw new CorefileError(line, `template: "${typeName}" is no record type`);
  const draft: Draft = {
    matches: [],
    answers: [],
    authorities: [],
    additionals: [],
    rcode: 0,
    extendedError: undefined,
    fallthrough: undefined,
  };
  let isWhole = true;
  for (const option of directive.block ?? []) {
    const reason = readOption(option, draft);
    if (reason === undefined) continue;
    isWhole = false;
    warnings.push({ line: option.line, message: `template: ${reason}; this template is left out` });
  }
  if (!isWhole) return undefined;
  return { ...draft, line, class: classCode, type, zones: zonesOr(zones, line, serverZones) };
}

/** Why it cannot be done here, if so. Throws {@link CorefileError} for what is wrong anywhere. */
function readOption(option: Directive, draft: Draft): string | undefined {
  const lists: Record<string, string[]> = {
    answer: draft.answers,
    authority: draft.authorities,
    additional: draft.additionals,
  };
  const list = Object.hasOwn(lists, option.name) ? lists[option.name] : undefined;
  if (list) {
    expectArgs(option, 1, 100);
    for (const text of option.args) {
      const compiled = compileTemplate(text);
      if (typeof compiled === 'string') return `{{ ${compiled} }} is not done here`;
      list.push(text);
    }
    return undefined;
  }
  switch (option.name) {
    case 'match':
      expectArgs(option, 1, 100);
      draft.matches.push(...option.args.map((text) => regex(text, option.line)));
      return undefined;
    case 'rcode': {
      const code = rcodeNumber(onlyArg(option));
      if (code === undefined || code > 15)
        throw new CorefileError(option.line, `rcode: "${option.args[0]}" is no response code`);
      draft.rcode = code;
      return undefined;
    }
    case 'ederror':
      expectArgs(option, 1, 100);
      draft.extendedError = {
        code: integer(option.args[0], option, 0, 65535),
        text: option.args.slice(1).join(' '),
      };
      return undefined;
    case 'fallthrough':
      draft.fallthrough = fallthroughOf(option);
      return undefined;
    case 'var':
    case 'expr':
      return `${option.name} is not done here`;
    default:
      throw unknownProperty('template', option);
  }
}
