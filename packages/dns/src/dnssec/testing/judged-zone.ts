/** A zone with a name of every kind, and the questions that a validator must find secure answers to. */
import assert from 'node:assert/strict';
import { printData } from '../../wire/rdata.ts';
import { rcode, typeName, typeNumber } from '../../wire/types.ts';
import type { SigningPolicy } from '../../zone/zones.ts';
import { dsText } from '../ds-text.ts';
import { generateKey, type StoredKey } from '../key.ts';
import { signingPolicyAt } from '../policy.ts';
import { zoneOfLines } from './served-zones.ts';
import type { NameServer } from './name-server.ts';

const nowMs = Date.now();

/** A policy with keys that sign now. */
export function policyOf(keys: readonly StoredKey[], denial: SigningPolicy['denial']): SigningPolicy {
  const { policy } = signingPolicyAt({ keys, denial, nowMs: Date.now() });
  assert.ok(policy);
  return policy;
}

/** DS lines of a policy's keys, to be trusted. */
export function anchorOf(origin: string, policy: SigningPolicy): string[] {
  return dsText(origin, policy.keys).filter((line) => line.includes(' IN DS '));
}

/** Of signed.test, a child of the zone; unsigned.test is one without keys. */
export const childKey = generateKey({ origin: 'signed.test', nowMs });
const childDs = anchorOf('signed.test', policyOf([childKey], 'compact')).map((line) =>
  line.replace(/^\S+ \d+ IN/, 'signed'),
);

export const zone = zoneOfLines('test', [
  'www A 192.0.2.1',
  'www A 192.0.2.2',
  'www AAAA 2001:db8::1',
  'alias CNAME www',
  'far CNAME alias',
  'lost CNAME nothing',
  'to-wild CNAME here.wild',
  '*.wild A 192.0.2.3',
  '*.wild TXT "wild"',
  'under.wild MX 10 www',
  '*.names CNAME www',
  'deep.empty.middle A 192.0.2.4',
  'old DNAME new',
  'host.new A 192.0.2.5',
  'unsigned NS ns.unsigned',
  'ns.unsigned A 127.0.0.1',
  'signed NS ns1',
  ...childDs,
  'odd\\.label A 192.0.2.6',
  'UPPER MX 10 WWW',
]);
export const child = zoneOfLines('signed.test', ['www A 192.0.2.7', 'chain CNAME www.test.']);
export const openChild = zoneOfLines('unsigned.test', ['www A 192.0.2.8']);

/** Name, type, response code, and data that must be in the answer. */
export type SecureQuestion = readonly [string, string, keyof typeof rcode, string?];

/** Questions to which the answer must be secure, by name and type. */
export const secureQuestions: readonly SecureQuestion[] = [
  ['test', 'SOA', 'noError'],
  ['test', 'NS', 'noError'],
  ['test', 'DNSKEY', 'noError'],
  ['test', 'CDS', 'noError'],
  ['test', 'CDNSKEY', 'noError'],
  ['test', 'MX', 'noError'],
  ['www.test', 'A', 'noError', '192.0.2.1'],
  ['www.test', 'MX', 'noError'],
  ['alias.test', 'CNAME', 'noError', 'www.test.'],
  ['alias.test', 'A', 'noError', '192.0.2.1'],
  ['far.test', 'AAAA', 'noError', '2001:db8::1'],
  ['far.test', 'MX', 'noError'],
  ['lost.test', 'A', 'nxDomain'],
  ['nothing.test', 'A', 'nxDomain'],
  ['a.b.c.nothing.test', 'A', 'nxDomain'],
  ['here.wild.test', 'A', 'noError', '192.0.2.3'],
  ['two.labels.wild.test', 'TXT', 'noError', '"wild"'],
  ['here.wild.test', 'MX', 'noError'],
  ['*.wild.test', 'A', 'noError', '192.0.2.3'],
  ['wild.test', 'A', 'noError'],
  ['under.wild.test', 'A', 'noError'],
  ['to-wild.test', 'A', 'noError', '192.0.2.3'],
  ['any.names.test', 'A', 'noError', '192.0.2.1'],
  ['any.names.test', 'MX', 'noError'],
  ['empty.middle.test', 'A', 'noError'],
  ['middle.test', 'TXT', 'noError'],
  ['x.middle.test', 'TXT', 'nxDomain'],
  ['host.old.test', 'A', 'noError', '192.0.2.5'],
  ['none.old.test', 'A', 'nxDomain'],
  ['old.test', 'DNAME', 'noError', 'new.test.'],
  ['old.test', 'A', 'noError'],
  ['signed.test', 'DS', 'noError'],
  ['unsigned.test', 'DS', 'noError'],
  ['www.signed.test', 'A', 'noError', '192.0.2.7'],
  ['chain.signed.test', 'A', 'noError', '192.0.2.1'],
  ['none.signed.test', 'A', 'nxDomain'],
  ['odd\\.label.test', 'A', 'noError', '192.0.2.6'],
  ['upper.test', 'MX', 'noError'],
];

/** Asks, and fails unless the answer is validated and what it should be. `isCompact`: NOERROR instead of NXDOMAIN. */
export async function assertSecure(
  resolver: NameServer,
  [name, type, code, data]: SecureQuestion,
  isCompact: boolean,
): Promise<void> {
  const number = typeNumber(type) as number;
  const message = await resolver.ask(name, number);
  const texts = message.answers.map((record) => ({ ...record, text: printData(record.type, record.data) }));
  const listed = texts.map((record) => `${typeName(record.type)} ${record.text}`).join(', ');
  const shown = `${name} ${type}: rcode ${message.rcode}, ${listed}`;
  assert.ok(message.authenticData, `not secure: ${shown}`);
  assert.equal(message.rcode, isCompact ? rcode.noError : rcode[code], shown);
  if (data === undefined) return;
  assert.ok(
    texts.some((record) => record.type === number && record.text === data),
    shown,
  );
}
