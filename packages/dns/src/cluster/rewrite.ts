import type { RewriteConfig } from '../corefile/config.ts';
import { regex } from '../corefile/values.ts';
import type { Answer, ResourceRecord } from '../wire/message.ts';
import { readName, WireError, writeName } from '../wire/name.ts';
import { rrType } from '../wire/types.ts';

/** What was done to a name, to be undone in the answer. */
interface Applied {
  readonly rule: CompiledRule;
  readonly from: string;
  readonly to: string;
}

interface CompiledRule {
  readonly config: RewriteConfig;
  /** The new name; undefined: the rule is not about it. */
  rewrite(name: string): string | undefined;
}

/** A name after its rules, and the way back. */
export interface Rewritten {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly restore: (answer: Answer) => Answer;
}

/** Octets before the names in RDATA whose values rules may change (CoreDNS: plugin/rewrite). */
const namesAt: Readonly<Record<number, number>> = {
  [rrType.CNAME]: 0,
  [rrType.DNAME]: 0,
  [rrType.NS]: 0,
  [rrType.PTR]: 0,
  [rrType.MX]: 2,
  [rrType.SRV]: 6,
};

/** The `rewrite name` rules of a server block, in their order. */
export class NameRewriter {
  readonly #rules: readonly CompiledRule[];

  constructor(rules: readonly RewriteConfig[]) {
    this.#rules = rules.map((config) => ({ config, rewrite: compile(config) }));
  }

  /** Undefined: no rule is about the name (lower case). Throws {@link WireError} when a rule makes what is no name. */
  apply(name: string): Rewritten | undefined {
    const applied: Applied[] = [];
    let current = name;
    for (const rule of this.#rules) {
      const to = rule.rewrite(current);
      if (to === undefined) continue;
      writeName(to);
      applied.push({ rule, from: current, to });
      current = to;
      if (rule.config.action === 'stop') break;
    }
    if (applied.length === 0) return undefined;
    return { name: current, restore: (answer) => restored(answer, applied) };
  }
}

const bare = (text: string): string => text.toLowerCase().replace(/\.$/, '');

/** Patterns see the name with its final dot, as in CoreDNS; `FROM` and `TO` may be written without. */
function compile(config: RewriteConfig): CompiledRule['rewrite'] {
  const from = config.from.toLowerCase();
  const to = config.to.toLowerCase();
  switch (config.match) {
    case 'exact':
      return (name) => (name === bare(from) ? bare(to) : undefined);
    case 'prefix':
      return (name) => (name.startsWith(from) ? bare(to + name.slice(from.length)) : undefined);
    case 'suffix':
      return (name) =>
        name.endsWith(bare(from))
          ? bare(name.slice(0, name.length - bare(from).length) + bare(to))
          : undefined;
    case 'substring':
      return (name) => {
        const dotted = `${name}.`;
        return dotted.includes(from) ? bare(dotted.replaceAll(from, () => to)) : undefined;
      };
    case 'regex': {
      const pattern = regex(config.from, config.line);
      return (name) => substituted(pattern, to, name);
    }
    default:
      return config.match satisfies never;
  }
}

/** `{1}` is the first group. A pattern may mean the name with its final dot or without. */
function substituted(pattern: RegExp, to: string, name: string): string | undefined {
  const match = pattern.exec(`${name}.`) ?? pattern.exec(name);
  return match ? bare(to.replace(/\{(\d+)\}/g, (_, group: string) => match[Number(group)] ?? '')) : undefined;
}

/** The answer as if the name had never been another: last rule first. */
function restored(answer: Answer, applied: readonly Applied[]): Answer {
  const change = (records: readonly ResourceRecord[]): ResourceRecord[] =>
    records.map((record) => applied.reduceRight(undo, record));
  return {
    ...answer,
    answers: change(answer.answers),
    authorities: change(answer.authorities),
    additionals: change(answer.additionals),
  };
}

function undo(record: ResourceRecord, { rule, from, to }: Applied): ResourceRecord {
  const { config } = rule;
  let name = record.name;
  let data = record.data;
  if (config.answerAuto) name = original(config, from, to, bare(name)) ?? name;
  for (const { what, from: pattern, to: target } of config.answers)
    if (what === 'name') name = substituted(pattern, target, bare(name)) ?? name;
    else data = withValue(record.type, data, (value) => substituted(pattern, target, bare(value)));
  return name === record.name && data === record.data ? record : { ...record, name, data };
}

/** The name asked for in the place of the one it became; of suffixes also for other names that end so. */
function original(config: RewriteConfig, from: string, to: string, name: string): string | undefined {
  if (name === to) return from;
  if (config.match !== 'suffix') return undefined;
  const suffix = bare(config.to);
  return name.endsWith(suffix)
    ? bare(name.slice(0, name.length - suffix.length) + bare(config.from))
    : undefined;
}

function withValue(type: number, data: Buffer, change: (name: string) => string | undefined): Buffer {
  const offset = namesAt[type];
  if (offset === undefined) return data;
  const value = change(readName(data, offset).name);
  if (value === undefined) return data;
  try {
    return Buffer.concat([data.subarray(0, offset), writeName(value)]);
  } catch (error) {
    if (error instanceof WireError) return data;
    throw error;
  }
}
