import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { parseValues } from './parse.ts';
import { withoutSecrets } from './plain-secrets.ts';

const talk = readFileSync(
  join(import.meta.dirname, '../../../../tests/talk/stateless-dns-values.yaml'),
  'utf8',
);
const whole = `${talk}tsigKeys:\n  k: hmac-sha256:c2VjcmV0\ntransfers: {allow: [{key: k}], notify: ['[::1]:53']}\nengine: own\nrateLimit: {slip: 2}\naccess: {deny: [192.0.2.0/24]}\n`;
const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const numRuns = Number(process.env['ITERATIONS'] ?? 300);

it(`values with anything wrong in them are read or refused, with a line for each problem (SEED=${seed})`, () => {
  const lines = whole.split('\n');
  const edit = fc.tuple(
    fc.nat(lines.length - 1),
    fc.oneof(
      fc.constant(undefined),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '  ',
        '- ',
        '&a *a',
        '|',
        '>',
        '{',
        ']',
        ': ',
        "'",
        'null',
        '<<: *a',
        '\t',
        '!!binary x',
      ),
    ),
    fc.nat(12),
  );
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const copy = [...lines];
      for (const [at, text, column] of edits) {
        const line = copy[at] ?? '';
        copy[at] = text === undefined ? '' : line.slice(0, column) + text + line.slice(column);
      }
      const text = copy.join('\n');
      const parsed = parseValues(text, 'values.yaml');
      const problems = 'problems' in parsed ? parsed.problems : parsed.warnings;
      if ('problems' in parsed) assert.ok(problems.some(({ severity }) => severity === 'error'));
      const count = text.split(/\r\n?|\n/).length;
      for (const { place, message } of problems) {
        assert.ok(place && place.line >= 1 && place.line <= count + 1, `${message} in line ${place?.line}`);
        assert.doesNotMatch(message, /c2VjcmV0/);
      }
      const kept = withoutSecrets(text);
      if (!('problems' in parsed)) {
        // Without its secrets it says the same otherwise.
        const again = parseValues(kept, 'values.yaml');
        assert.ok(!('problems' in again), kept);
        assert.deepEqual(
          again.config.zones.map(({ origin, text: zone, place }) => [origin, zone, place]),
          parsed.config.zones.map(({ origin, text: zone, place }) => [origin, zone, place]),
        );
        assert.equal(again.plainSecrets.apiKey, undefined);
        assert.deepEqual(again.plainSecrets.tsigKeys, {});
      }
    }),
    { seed, numRuns },
  );
});
