import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { readText } from '../external/composer.ts';
import { parseValues } from './parse.ts';
import { vocabulary } from './vocabulary.ts';

const text = readFileSync(join(import.meta.dirname, '../../../../docs/dns.md'), 'utf8');
const blocks = [...text.matchAll(/```yaml\n([^]*?)```/g)].map((match) => match[1] as string);

it("docs/dns.md's values are accepted as they stand, and every key of ours is among them", () => {
  assert.equal(blocks.length, 2);
  for (const block of blocks) {
    const parsed = parseValues(block, 'docs/dns.md');
    assert.ok(!('problems' in parsed), JSON.stringify(parsed));
    for (const zone of parsed.config.zones)
      assert.deepEqual(
        readText(zone, undefined).problems.filter(({ severity }) => severity === 'error'),
        [],
      );
  }
  const keys = Object.keys(vocabulary);
  for (const key of keys.slice(keys.indexOf('transfers')))
    assert.ok(blocks[1]?.includes(`${key}:`), `${key} is not told of`);
});
