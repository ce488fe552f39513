import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { printData } from '../wire/rdata.ts';
import { rcode, rrType, typeName, typeNumber } from '../wire/types.ts';
import type { SigningPolicy } from '../zone/zones.ts';
import { dsText } from './ds-text.ts';
import { generateKey } from './key.ts';
import { signingPolicyAt } from './policy.ts';
import { serve, SignedZones, zoneOfLines } from './testing/served-zones.ts';
import { type Resolver, runPeer, startUnbound } from './testing/validators.ts';

const nowMs = Date.now();
const denials = ['compact', 'nsec3'] as const;

/** The parent knows of two signed children, and of one that is not signed. */
const childKey = generateKey({ origin: 'signed.test', nowMs });
const childDs = dsText('signed.test', policyOf([childKey], 'compact').keys)
  .filter((line) => line.includes(' IN DS '))
  .map((line) => line.replace(/^\S+ \d+ IN/, 'signed'));
const zone = zoneOfLines('test', [
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
const child = zoneOfLines('signed.test', ['www A 192.0.2.7', 'chain CNAME www.test.']);
const open = zoneOfLines('unsigned.test', ['www A 192.0.2.8']);

function policyOf(
  keys: Parameters<typeof signingPolicyAt>[0]['keys'],
  denial: SigningPolicy['denial'],
): SigningPolicy {
  const { policy } = signingPolicyAt({ keys, denial, nowMs });
  assert.ok(policy);
  return policy;
}

const key = generateKey({ origin: 'test', nowMs });
const anchorOf = (policy: SigningPolicy): string[] =>
  dsText('test', policy.keys).filter((line) => line.includes(' IN DS '));

/** Questions to which the answer must be secure, by name and type. */
const secure: readonly (readonly [string, string, keyof typeof rcode, string?])[] = [
  ['test', 'SOA', 'noError'],
  ['test', 'NS', 'noError'],
  ['test', 'DNSKEY', 'noError'],
  ['test', 'CDS', 'noError'],
  ['test', 'CDNSKEY', 'noError'],
  ['test', 'MX', 'noError'],
  ['www.test', 'A', 'noError', '192.0.2.1'],
  ['www.test', 'MX', 'noError'],
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

for (const denial of denials)
  test(
    `unbound and delv find every answer secure, denials by ${denial}`,
    { skip: missingPeer('unbound', 'delv') },
    async () => {
      const zones = new SignedZones(systemClock);
      const policy = policyOf([key], denial);
      zones.set(zone, policy);
      zones.set(child, policyOf([childKey], denial));
      zones.set(open, undefined);
      await using listener = await serve(zones);
      await using resolver = await startUnbound(listener.port, [
        { origin: 'test', lines: anchorOf(policy) },
        { origin: 'unsigned.test', lines: [] },
        { origin: 'signed.test', lines: [] },
      ]);
      for (const [name, type, code, data] of secure)
        await assertSecure(resolver, denial, name, type, code, data);
      const insecure = await resolver.ask('www.unsigned.test', rrType.A);
      assert.equal(insecure.authenticData, false);
      assert.equal(insecure.answers.length, 1);

      const folder = mkdtempSync(join(tmpdir(), 'dnssec-delv-'));
      try {
        const anchors = dsText('test', policy.keys)
          .filter((line) => line.includes(' DNSKEY '))
          .map((line) => line.split(' '))
          .map(
            ([, , , , flags, protocol, algorithm, text]) =>
              `"test." static-key ${flags} ${protocol} ${algorithm} "${text}";`,
          );
        writeFileSync(join(folder, 'anchors'), `trust-anchors { ${anchors.join('\n')} };\n`);
        const questions = ITERATED ? secure : secure.filter((_, i) => i % 3 === 0 || i > 20);
        for (const [name, type] of questions) {
          if (name.endsWith('signed.test') && type !== 'DS') continue;
          const output = await runPeer('delv', [
            '@127.0.0.1',
            `-p${listener.port}`,
            `-a${join(folder, 'anchors')}`,
            '+root=test',
            `-q${name}`,
            `-t${type}`,
          ]);
          assert.match(
            output,
            /; (fully validated|negative response, fully validated)/,
            `${name} ${type}: ${output}`,
          );
          assert.doesNotMatch(output, /unsigned answer/, `${name} ${type}: ${output}`);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

const ITERATED = process.env['ITERATIONS'] !== undefined;

async function assertSecure(
  resolver: Resolver,
  denial: SigningPolicy['denial'],
  name: string,
  type: string,
  code: keyof typeof rcode,
  data: string | undefined,
): Promise<void> {
  const message = await resolver.ask(name, typeNumber(type) as number);
  const shown = `${name} ${type}: rcode ${message.rcode}, ${message.answers.map(({ type, data }) => `${typeName(type)} ${printData(type, data)}`).join(', ')}`;
  assert.ok(message.authenticData, `not secure: ${shown}`);
  // Compact denial says NOERROR to who does not ask with CO.
  assert.equal(message.rcode, denial === 'compact' ? rcode.noError : rcode[code], shown);
  const last = message.answers
    .filter((record) => record.type === typeNumber(type))
    .map((record) => printData(record.type, record.data));
  if (data !== undefined) assert.ok(last.includes(data), shown);
}
