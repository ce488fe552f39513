import assert from 'node:assert/strict';
import test from 'node:test';
import { freePort } from '@cloudless/kube/testing/free-port';
import { missingPeer } from '@cloudless/kube/testing/peers';
import type { Message, ResourceRecord } from '../wire/message.ts';
import { isSubdomain, parentOf } from '../wire/name.ts';
import { printData } from '../wire/rdata/data.ts';
import { readSoa } from '../wire/rdata/typed.ts';
import { rrType, typeName } from '../wire/types.ts';
import { openImage, zoneImage } from '../zone/image.ts';
import { readZone } from '../zone/text/read.ts';
import { type AuthoritativeAnswer, answerQuestion } from './answer.ts';
import { oddZones, randomZone } from './testing/odd-zones.ts';
import { startNamed } from './testing/real-named.ts';
import { ZonesByOrigin } from './zone-table.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 12);

interface Compared {
  rcode: number;
  authoritative: boolean;
  answers: string[];
  authorities: string[];
  additionals: string[];
}

function compared(answer: Message | AuthoritativeAnswer): Compared {
  const { rcode, authoritative } = answer;
  const lines = (records: readonly ResourceRecord[]): string[] => [...new Set(records.map(printed))].sort();
  return {
    rcode,
    authoritative,
    answers: lines(answer.answers),
    authorities: lines(answer.authorities),
    additionals: lines(answer.additionals),
  };
}

function printed({ name, type, ttlSeconds, data }: ResourceRecord): string {
  return `${name} ${ttlSeconds} ${typeName(type)} ${printData(type, data)}`;
}

function isWithin(some: readonly string[], all: readonly string[]): boolean {
  return some.every((line) => all.includes(line));
}

/** Brings what we do otherwise on purpose to what BIND does; whatever else differs, differs. */
function asBind(
  ours: Compared,
  bind: Compared,
  type: number,
  origins: readonly string[],
  zone: string,
): Compared {
  // We follow an alias into another zone of ours (RFC 1034 section 4.3.2 step 3a); BIND stops without recursion.
  const left = bind.answers
    .map((line) => /^\S+ \d+ CNAME (\S+)\.$/.exec(line)?.[1])
    .some((target) => target !== undefined && originOf(target, origins) !== zone);
  if (left && isWithin(bind.answers, ours.answers)) return bind;
  // One record set for ANY (RFC 8482 section 4.1); BIND has that for UDP with minimal-any alone, in another order.
  if (type === rrType.ANY && ours.answers.length > 0 && isWithin(ours.answers, bind.answers))
    return { ...ours, answers: bind.answers, additionals: bind.additionals };
  // Referrals have the addresses of all the delegation's servers that the zone knows; BIND gives glue alone.
  const isReferral = ours.authorities.some((line) => / NS /.test(line));
  if (isReferral && isWithin(bind.additionals, ours.additionals))
    return { ...ours, additionals: bind.additionals };
  return ours;
}

function originOf(name: string, origins: readonly string[]): string | undefined {
  return origins.filter((origin) => isSubdomain(name, origin)).sort((a, b) => b.length - a.length)[0];
}

const asked = [
  'A',
  'AAAA',
  'NS',
  'SOA',
  'MX',
  'TXT',
  'CNAME',
  'DS',
  'SRV',
  'DNAME',
  'AFSDB',
  'KX',
  'RT',
  'SVCB',
  'HTTPS',
  'ANY',
] as const;

test(
  'hundreds of questions about odd and random zones have the answers that BIND gives',
  { skip: missingPeer('named') },
  async (t) => {
    t.diagnostic(`SEED=${seed} ITERATIONS=${iterations}`);
    const zones = new Map(oddZones);
    for (let i = 0; i < iterations; i++) zones.set(`r${i}.test`, randomZone(seed + i));
    const table = new ZonesByOrigin();
    const names = new Set(['www.elsewhere.test', 'org', '', 'x.dd.example.org', 'a.b.d.example.org']);
    names
      .add(`${'e'.repeat(60)}.long.example.org`)
      .add('e.long.example.org')
      .add('y.blocked.wild.example.org');
    for (const [origin, text] of zones) {
      const { zone, records, problems } = readZone({ origin, text, place: { source: origin, line: 1 } });
      assert.ok(zone, problems.map(({ message }) => message).join('; '));
      assert.equal(readSoa(zone.soa.data[0] as Buffer).serial, 1);
      table.set(origin, { zone: openImage(zoneImage(zone)), isExpired: false, signer: undefined });
      for (const { name } of records) {
        names.add(name).add(`x.${name}`);
        for (let at = parentOf(name); at && isSubdomain(at, origin); at = parentOf(at))
          names.add(at).add(`nope.${at}`).add(`a.b.${at}`);
      }
    }
    const questions = [...names].flatMap((name) => asked.map((type) => ({ name, type: rrType[type] })));
    const named = await startNamed(await freePort(), zones);
    const origins = [...zones.keys()];
    const wrong: unknown[] = [];
    try {
      const answers = await named.ask(questions);
      questions.forEach((question, i) => {
        const bind = compared(answers[i] as Message);
        const zone = originOf(question.name, origins) ?? '';
        const own = compared(answerQuestion(table, { ...question, dnssecOk: false }));
        const ours = asBind(own, bind, question.type, origins, zone);
        try {
          assert.deepEqual(ours, bind);
        } catch {
          wrong.push({
            question: `${question.name} ${typeName(question.type)}`,
            zone: zones.get(zone),
            ours,
            bind,
          });
        }
      });
    } finally {
      await named.stop();
    }
    assert.ok(questions.length > 1000);
    assert.equal(wrong.length, 0, JSON.stringify(wrong.slice(0, 3), undefined, 1).replaceAll('\\n', '\n'));
    t.diagnostic(`${questions.length} questions`);
  },
);
