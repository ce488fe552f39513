import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import * as fc from 'fast-check';
import { missingPeer } from '@cloudless/kube/testing/peers';
import type { IncludedText } from '../../external/config.ts';
import { compileByBind } from '../testing/bind-zone.ts';
import { zoneOf } from '../build.ts';
import { arbitraryRecord } from '../testing/arbitrary-record.ts';
import { printZone } from './print.ts';
import { readZone } from './read.ts';

const folder = join(import.meta.dirname, '../testing/corpus');
const names = readdirSync(folder);

/** Where we do not agree with BIND on purpose, and why. */
const differences: Readonly<Record<string, string>> = {
  'talk.zone': 'name servers without an address are a warning here: theirs come from a Service later',
  'server-without-address.zone': 'as above',
  'duplicates.zone': 'of data that differs in case alone BIND keeps the last spelling, we the first',
  'cname-twice-equal.zone': 'as above',
  'unicode.zone':
    'BIND takes the octets of UTF-8 for a name; no resolver asks for it so: the xn-- form is wanted',
  'hip.zone': 'HIP (RFC 8005) is read as TYPE55 only',
};

const includes = new Map<string, IncludedText>(
  names.map((name) => [
    name,
    { text: readFileSync(join(folder, name), 'utf8'), place: { source: name, line: 1 } },
  ]),
);

function read(name: string): { origin: string; result: ReturnType<typeof readZone> } {
  const { text, place } = includes.get(name) as IncludedText;
  const stated = /^; origin (\S+)/.exec(text)?.[1] ?? 'example.org';
  const origin = stated === '.' ? '' : stated;
  return { origin, result: readZone({ origin, text, place, includes }) };
}

function withLowerOwners(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/^\S+/, (owner) => owner.toLowerCase()))
    .sort()
    .join('\n');
}

test(
  'odd zones are taken, refused and read as BIND does',
  { skip: missingPeer('named-compilezone') },
  async (t) => {
    const zones = names.filter((name) => name.endsWith('.zone'));
    assert.ok(zones.length >= 60);
    const judge = async (name: string): Promise<string | undefined> => {
      const { origin, result } = read(name);
      const wanted = await compileByBind(origin, { file: name }, folder);
      if (!result.zone) {
        const ours = result.problems.map(({ place, message }) => `${place?.line}: ${message}`);
        return wanted.text === undefined ? undefined : `BIND takes it, we say: ${ours.join('; ')}`;
      }
      if (wanted.text === undefined) return `BIND refuses it: ${wanted.said}`;
      const printed = await compileByBind(origin, { text: printZone(result.zone) }, folder);
      if (printed.text === undefined) return `BIND refuses what we print: ${printed.said}`;
      // BIND keeps the case of owners; zone data here is lower case.
      const [a, b] = [withLowerOwners(wanted.text), withLowerOwners(printed.text)];
      return a === b ? undefined : `records differ\nBIND:\n${wanted.text}\nours:\n${printed.text}`;
    };
    const found = new Map<string, string>();
    for (let i = 0; i < zones.length; i += 4)
      await Promise.all(
        zones.slice(i, i + 4).map(async (name) => {
          const difference = await judge(name);
          if (difference !== undefined) found.set(name, difference);
        }),
      );
    const unexpected = [...found].filter(([name]) => differences[name] === undefined);
    assert.deepEqual(unexpected, [], 'no difference but those that are named above');
    const gone = Object.keys(differences).filter((name) => !found.has(name));
    assert.deepEqual(gone, [], 'judged as by BIND now: take them off the list');
    t.diagnostic(`${zones.length} zones, ${found.size} of them judged differently on purpose`);
  },
);

test(
  'random zones go to BIND and come back the same',
  { skip: missingPeer('named-compilezone') },
  async (t) => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    const iterations = Number(process.env['ITERATIONS'] ?? 12);
    t.diagnostic(`SEED=${seed} ITERATIONS=${iterations}`);
    const plain = read('plain.zone').result.records;
    const property = fc.asyncProperty(
      fc.array(arbitraryRecord, { minLength: 50, maxLength: 200 }),
      async (records) => {
        const zone = zoneOf('example.org', [...plain, ...records]);
        const { text, said } = await compileByBind('example.org', { text: printZone(zone) }, folder);
        assert.ok(text, said);
        const back = readZone({ origin: 'example.org', text, place: { source: 'BIND', line: 1 } });
        assert.equal(
          back.zone?.contentHash,
          zone.contentHash,
          back.problems.map(({ message }) => message).join('; '),
        );
      },
    );
    await fc.assert(property, { seed, numRuns: iterations });
  },
);
