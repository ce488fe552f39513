import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import type { IncludedText } from '../../external/config.ts';
import { zoneOf } from '../build.ts';
import { differenceOf } from '../difference.ts';
import { arbitraryRecord } from '../testing/arbitrary-record.ts';
import { zoneTextLimits } from './limits.ts';
import { printZone } from './print.ts';
import { type ReadZone, readZone } from './read.ts';

const head = '$TTL 1h\n@ IN SOA ns1 host 1 1h 15m 1w 60\n NS ns1\nns1 A 192.0.2.1\n';
const read = (text: string, includes?: ReadonlyMap<string, IncludedText>): ReadZone =>
  readZone({ origin: 'example.org', text, place: { source: 'values.yaml', line: 20 }, includes });
const told = ({ problems }: ReadZone): string[] =>
  problems.map(({ severity, place, message }) => `${severity} ${place?.source}:${place?.line} ${message}`);

describe('what is wrong is told with its place', () => {
  it('counts lines from where the text stands, and reads on after each problem', () => {
    const zone = read(`${head}a A 192.0.2.256\nb FOO x\n\nc TXT "open\nd A 192.0.2.4\ne MX (\n ten\n x )\n`);
    assert.equal(zone.zone, undefined);
    assert.deepEqual(
      zone.problems.map(({ place }) => place?.line),
      [24, 25, 27, 29],
    );
    assert.ok(told(zone).every((line) => line.startsWith('error values.yaml:')));
    assert.ok(zone.records.some(({ name }) => name === 'd.example.org'));
  });

  it('names the text that is included, and goes on in the one that includes it', () => {
    const part = { text: 'a A 192.0.2.1\nb A nowhere\n', place: { source: 'part', line: 7 } };
    const zone = read(`${head}$INCLUDE part sub\nx A bad\n`, new Map([['part', part]]));
    assert.deepEqual(
      zone.problems.map(({ place }) => `${place?.source}:${place?.line}`),
      ['part:8', 'values.yaml:25'],
    );
    assert.ok(zone.records.some(({ name }) => name === 'a.sub.example.org'));
  });

  it('tells an alias beside other data with both lines', () => {
    const [problem] = read(`${head}m CNAME ns1\nm A 192.0.2.1\n`).problems;
    assert.equal(problem?.place?.line, 25);
    assert.match(problem?.message ?? '', /m\.example\.org\..*CNAME.*line 24/);
  });

  it('warns of odd things and takes the zone', () => {
    const zone = read(
      `${head}under_score A 192.0.2.1\nwww A 192.0.2.1\nwww A 192.0.2.1\n` +
        `www.example.com. A 192.0.2.1\n@ MX 10 missing\nsub NS ns.sub\nx.*.y A 192.0.2.1\nd DNAME e.\nz.d A 192.0.2.1\n`,
    );
    assert.ok(zone.zone);
    assert.deepEqual(new Set(zone.problems.map(({ severity }) => severity)), new Set(['warning']));
    for (const hint of [
      'no name for a host',
      'twice',
      'left out',
      'no address',
      'no glue',
      'no wildcard',
      'hidden',
    ])
      assert.ok(
        zone.problems.some(({ message }) => message.includes(hint)),
        hint,
      );
  });
});

it("the talk's zone loads, and its servers may get their addresses later", () => {
  const file = new URL('../../../../../tests/talk/stateless-dns-values.yaml', import.meta.url);
  const { zones } = parse(readFileSync(file, 'utf8')) as { zones: Record<string, string> };
  const [[origin, text]] = Object.entries(zones) as [[string, string]];
  const { zone, problems } = readZone({ origin, text, place: { source: 'values.yaml', line: 13 } });
  assert.equal(zone?.serial, 1);
  assert.deepEqual(
    [...(zone?.rrsets() ?? [])].map(({ name, ttlSeconds }) => [name, ttlSeconds]),
    [
      ['nadia.moe', 900],
      ['nadia.moe', 900],
    ],
  );
  assert.deepEqual(
    problems.map(({ severity, place }) => [severity, place?.line]),
    [
      ['warning', 15],
      ['warning', 16],
    ],
  );
});

describe('texts without end have one', () => {
  it('a text that includes itself', () => {
    const includes = new Map<string, IncludedText>();
    const text = `${head}$INCLUDE all\n`;
    includes.set('all', { text, place: { source: 'all', line: 1 } });
    const { problems } = read(text, includes);
    assert.ok(
      problems.some(({ message }) =>
        message.includes(`${zoneTextLimits.includeDepth} are within each other`),
      ),
    );
  });

  it('texts that include two others, and so on', () => {
    const includes = new Map<string, IncludedText>();
    for (let i = 0; i < 9; i++)
      includes.set(`t${i}`, { text: `$INCLUDE t${i + 1}\n`.repeat(30), place: { source: `t${i}`, line: 1 } });
    includes.set('t9', { text: 'a A 192.0.2.1\n', place: { source: 't9', line: 1 } });
    const { problems } = read(`${head}$INCLUDE t0\n`, includes);
    assert.ok(problems.some(({ message }) => message.includes(`more than ${zoneTextLimits.includes}`)));
  });

  it('$GENERATE of everything', () => {
    const zone = read(`${head}$GENERATE 0-2147483647 a$ A 10.0.0.1\n`);
    assert.match(zone.problems[0]?.message ?? '', /more than 65536 records/);
  });

  it('problems without number', () => {
    const { problems } = read(`${head}${'x FOO\n'.repeat(10_000)}`);
    assert.ok(problems.length <= zoneTextLimits.problems + 1);
    const odd = read(`${head}$GENERATE 1-10000 a_$ A 10.0.0.1\n`);
    assert.equal(odd.problems.length, zoneTextLimits.problems + 1);
    assert.ok(odd.zone);
  });
});

describe('print and read', () => {
  it('lead back to the same zone, whatever octets its names and data have', (t) => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    const base = read(head).records;
    t.diagnostic(`SEED=${seed}`);
    fc.assert(
      fc.property(fc.array(arbitraryRecord, { maxLength: 20 }), (records) => {
        const zone = zoneOf('example.org', [...base, ...records]);
        const text = printZone(zone);
        const again = read(text);
        assert.deepEqual(
          again.problems.filter(({ severity }) => severity === 'error'),
          [],
        );
        const { removed, added } = differenceOf(zone, again.zone!);
        assert.deepEqual([...removed, ...added], []);
        assert.equal(again.zone?.contentHash, zone.contentHash);
        assert.equal(printZone(again.zone), text);
      }),
      { seed, numRuns: Number(process.env['ITERATIONS'] ?? 100) },
    );
  });
});

it('any text is a zone or has problems, and what is a zone is printed so that it is that zone', (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const folder = join(import.meta.dirname, '../testing/corpus');
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
  const piece = fc.oneof(
    fc.constantFrom(
      '(',
      ')',
      '"',
      ';',
      '\n',
      ' ',
      '\\',
      '$',
      '@',
      '.',
      '*',
      'CNAME ',
      '\\065',
      '60 ',
      '\\# ',
      '{',
      '\0',
    ),
    fc.string({ maxLength: 3 }),
  );
  const change = fc.record({ at: fc.nat(400), remove: fc.nat(6), put: piece });
  const mutated = fc
    .tuple(fc.constantFrom(...texts), fc.array(change, { minLength: 1, maxLength: 5 }))
    .map(([text, changes]) =>
      changes.reduce((before, { at, remove, put }) => {
        const place = at % (before.length + 1);
        return before.slice(0, place) + put + before.slice(place + remove);
      }, text),
    );
  const property = fc.property(mutated, (text) => {
    const { zone, problems } = read(text);
    assert.equal(
      zone === undefined,
      problems.some(({ severity }) => severity === 'error'),
    );
    for (const { place } of problems) assert.ok(place && place.line >= 20);
    if (zone) assert.equal(read(printZone(zone)).zone?.contentHash, zone.contentHash);
  });
  fc.assert(property, { seed, numRuns: Number(process.env['ITERATIONS'] ?? 300) });
});
