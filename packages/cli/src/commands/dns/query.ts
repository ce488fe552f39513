import type { WhyAnswer } from '@cloudless/dns/external/external-dns';
import { printData } from '@cloudless/dns/wire/rdata';
import { rcodeName, typeName, typeNumber } from '@cloudless/dns/wire/types';
import type { ResourceRecord } from '@cloudless/dns/wire/message';
import { UsageError } from '../../options.ts';
import { askServer } from './ask-server.ts';
import { askPage, isJson, type LocalFlags, NoDnsError } from './local-dns.ts';
import { sourceText } from './record-text.ts';

export interface QueryFlags extends LocalFlags {
  server?: string;
}

/** `cloudless dns query NAME [TYPE]`. */
export async function query(name: string, typeText = 'A', flags: QueryFlags): Promise<void> {
  const json = isJson(flags);
  const type = typeNumber(typeText);
  if (type === undefined) throw new UsageError(`${typeText}: is no type of records`);
  const answer = await askServer(flags, name, type);
  const why = flags.server === undefined ? await whyOf(name, flags) : undefined;
  const sections = {
    answers: answer.answers.map(shown),
    authorities: answer.authorities.map(shown),
    additionals: answer.additionals.map(shown),
  };
  if (json) {
    const { server, authoritative } = answer;
    const whole = { server, rcode: rcodeName(answer.rcode), authoritative, ...sections, why };
    process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
  } else {
    const flag = answer.authoritative ? ', authoritative' : '';
    const lines = [`; ${answer.server}: ${rcodeName(answer.rcode)}${flag}`];
    for (const [title, records] of Object.entries(sections))
      if (records.length > 0) lines.push(`; ${title}`, ...records.map((one) => lineOf(one, why)));
    if (why && sections.answers.length === 0) lines.push(`; ${why.message}`);
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  if (answer.rcode !== 0) process.exitCode = 2;
}

type Shown = ReturnType<typeof shown>;

function shown({ name, type, ttlSeconds, data }: ResourceRecord): {
  name: string;
  type: string;
  ttlSeconds: number;
  data: string;
} {
  return { name, type: typeName(type), ttlSeconds, data: printData(type, data) };
}

function lineOf({ name, type, ttlSeconds, data }: Shown, why: WhyAnswer | undefined): string {
  const made = why?.records.find((one) => one.name === name.toLowerCase() && one.type === type);
  const from = made?.from.length ? made.from.map(sourceText).join(', ') : "the zone's text";
  return `${name}. ${ttlSeconds} IN ${type} ${data}${made ? ` ; ${from}` : ''}`;
}

/** A server that answers questions may have its pages elsewhere: then the answer stands without what it is from. */
async function whyOf(name: string, flags: QueryFlags): Promise<WhyAnswer | undefined> {
  try {
    return await askPage<WhyAnswer>(flags, `/why?name=${encodeURIComponent(name)}`);
  } catch (error) {
    if (error instanceof NoDnsError) return undefined;
    throw error;
  }
}
