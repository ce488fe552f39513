import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { type Payload, writeAtomically } from './atomic-writer.ts';

const root = mkdtempSync(join(tmpdir(), 'cl-atomic-'));
after(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'v-'));
const payload = (files: Record<string, string>, mode = 0o644): Payload =>
  new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));

/** What a container sees: paths without those that start with `..`. */
function visible(volume: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(volume, prefix))) {
    if (prefix === '' && name.startsWith('..')) continue;
    const path = prefix === '' ? name : `${prefix}/${name}`;
    if (statSync(join(volume, path)).isDirectory()) Object.assign(found, visible(volume, path));
    else found[path] = readFileSync(join(volume, path), 'utf8');
  }
  return found;
}

void describe('the atomic writer', () => {
  void it('lays files out as upstream: symlinks through ..data to one folder', async () => {
    const volume = fresh();
    assert.equal(await writeAtomically(volume, payload({ a: '1', 'deep/b': '2' })), true);
    assert.equal(readlinkSync(join(volume, 'a')), '..data/a');
    assert.equal(readlinkSync(join(volume, 'deep')), '..data/deep');
    assert.match(readlinkSync(join(volume, '..data')), /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\./);
    assert.deepEqual(visible(volume), { a: '1', 'deep/b': '2' });
  });

  void it('writes nothing when nothing changed', async () => {
    const volume = fresh();
    await writeAtomically(volume, payload({ a: '1' }));
    const before = readlinkSync(join(volume, '..data'));
    assert.equal(await writeAtomically(volume, payload({ a: '1' })), false);
    assert.equal(readlinkSync(join(volume, '..data')), before);
  });

  void it('gives files their mode whatever the umask', async () => {
    const volume = fresh();
    await writeAtomically(volume, payload({ a: '1' }, 0o666));
    assert.equal(statSync(join(volume, 'a')).mode & 0o777, 0o666);
  });

  void it('refuses paths that leave the volume or break its layout', async () => {
    for (const path of ['../x', 'a/../../x', '/x', '', '..data', '..x', 'n'.repeat(256)]) {
      await assert.rejects(writeAtomically(fresh(), payload({ [path]: '1' })), { name: 'PathError' }, path);
    }
  });

  void it('shows exactly the last payload after any sequence, and leaves one folder', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd/e', 'd/f', 'g/h/i');
    const files = fc.dictionary(name, fc.string({ maxLength: 5 }), { maxKeys: 6, noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(fc.array(files, { minLength: 1, maxLength: 6 }), async (sequence) => {
        const volume = fresh();
        for (const each of sequence) await writeAtomically(volume, payload(each));
        assert.deepEqual(visible(volume), { ...sequence.at(-1) });
        const hidden = readdirSync(volume).filter((entry) => entry.startsWith('..'));
        assert.equal(hidden.length, 2, hidden.join(' '));
      }),
      { numRuns: 30 },
    );
  });

  void it('never shows a reader files of two payloads', async () => {
    const volume = fresh();
    const version = (number: number): Payload => payload({ a: `${number}`, b: `${number}` });
    await writeAtomically(volume, version(0));
    const state = { done: false };
    const writer = (async () => {
      for (let number = 1; number <= 40; number++) await writeAtomically(volume, version(number));
      state.done = true;
    })();
    let looks = 0;
    while (!state.done) {
      // As a careful reader: the folder behind ..data is resolved once.
      const folder = readlinkSync(join(volume, '..data'));
      try {
        const [a, b] = ['a', 'b'].map((name) => readFileSync(join(volume, folder, name), 'utf8'));
        assert.equal(a, b);
        looks++;
      } catch (error) {
        // The folder was replaced and removed between two reads.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writer;
    assert.ok(looks > 0);
  });
});
