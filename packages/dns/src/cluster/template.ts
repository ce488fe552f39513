import type { TemplateConfig } from '../corefile/config.ts';
import { compileTemplate, type Template, type TemplateData, TemplateError } from '../corefile/go-template.ts';
import { extendedErrorOption } from '../wire/edns.ts';
import type { Answer, ResourceRecord } from '../wire/message.ts';
import { parseName, WireError } from '../wire/name.ts';
import { parseData, parseTtl, tokensOf } from '../wire/rdata.ts';
import { className, classNumber, rcode, typeName, typeNumber } from '../wire/types.ts';
import { isBelow, zoneAround } from './zones.ts';

/** What a template is asked. */
export interface TemplateQuestion {
  /** Lower case. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Address of the client. */
  readonly remote: string;
}

const any = 255;
/** CoreDNS's TTL for a record that says none. */
const defaultTtlSeconds = 3600;

/** One `template` of a Corefile (CoreDNS: plugin/template). */
export class RecordTemplate {
  readonly #config: TemplateConfig;
  readonly #sections: { answers: Template[]; authorities: Template[]; additionals: Template[] };
  readonly #onError: (error: Error) => void;

  constructor(config: TemplateConfig, onError: (error: Error) => void) {
    this.#config = config;
    this.#onError = onError;
    this.#sections = {
      answers: config.answers.map(compiled),
      authorities: config.authorities.map(compiled),
      additionals: config.additionals.map(compiled),
    };
  }

  /** Undefined: not about this question, or it falls through. A record that cannot be made is SERVFAIL. */
  answer(question: TemplateQuestion): Answer | undefined {
    const config = this.#config;
    const zone = zoneAround(config.zones, question.name);
    if (zone === undefined) return undefined;
    if (config.type !== any && config.type !== question.type) return undefined;
    if (config.class !== any && config.class !== question.class) return undefined;
    const match = this.#match(`${question.name}.`);
    if (!match) {
      const falls = config.fallthrough?.some((below) => isBelow(question.name, below)) === true;
      return falls ? undefined : answerOf(rcode.servFail, [], [], []);
    }
    const data: TemplateData = {
      Zone: `${zone}.`,
      Name: `${question.name}.`,
      Class: className(question.class),
      Type: typeName(question.type),
      Match: match,
      Group: { ...match.groups },
      Remote: question.remote,
    };
    try {
      const { answers, authorities, additionals } = this.#sections;
      const make = (templates: readonly Template[]): ResourceRecord[] =>
        templates.map((template) => recordOf(template(data)));
      const answer = answerOf(config.rcode, make(answers), make(authorities), make(additionals));
      const { extendedError } = config;
      return extendedError
        ? { ...answer, options: [extendedErrorOption(extendedError.code, extendedError.text)] }
        : answer;
    } catch (error) {
      if (!(error instanceof WireError || error instanceof TemplateError)) throw error;
      this.#onError(new Error(`template of line ${config.line}: ${error.message}`));
      return answerOf(rcode.servFail, [], [], []);
    }
  }

  /** The first pattern that fits; without patterns everything does. */
  #match(name: string): RegExpExecArray | undefined {
    const patterns = this.#config.matches.length === 0 ? [/.*/] : this.#config.matches;
    for (const pattern of patterns) {
      const match = pattern.exec(name);
      if (match) return match;
    }
    return undefined;
  }
}

function compiled(text: string): Template {
  const template = compileTemplate(text);
  if (typeof template === 'string') throw new TemplateError(`{{ ${template} }} is not done here`);
  return template;
}

const answerOf = (
  code: number,
  answers: ResourceRecord[],
  authorities: ResourceRecord[],
  additionals: ResourceRecord[],
): Answer => ({
  rcode: code,
  authoritative: true,
  recursionAvailable: true,
  answers,
  authorities,
  additionals,
});

/** A record of one line in presentation form: `NAME [TTL] [CLASS] TYPE DATA`. Throws {@link WireError}. */
export function recordOf(text: string): ResourceRecord {
  const [owner, ...words] = tokensOf(text);
  if (!owner) throw new WireError('a record is empty');
  let ttlSeconds = defaultTtlSeconds;
  for (let i = 0; i < 2; i++) {
    const word = words[0]?.text ?? '';
    if (/^\d/.test(word)) ttlSeconds = parseTtl(word);
    else if (classNumber(word) === undefined || typeNumber(word) !== undefined) break;
    words.shift();
  }
  const type = typeNumber(words.shift()?.text ?? '');
  if (type === undefined) throw new WireError(`"${text}" has no record type`);
  return { name: parseName(owner.text), type, ttlSeconds, data: parseData(type, words) };
}
