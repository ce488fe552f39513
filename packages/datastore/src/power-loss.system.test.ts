import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openDatastore } from './index.ts';
import { Ledger } from './testing/ledger.ts';
import { makeFileSystem, mount, snapshot } from './testing/loop-device.ts';
import { WriterProcess } from './testing/writer-process.ts';

const losses = Number(process.env['ITERATIONS'] ?? 10);

/**
 * Writes on a file system of its own, stops the writer in the middle, and opens what the device holds at that
 * moment: the kernel's caches are not in it. Returns how many operations had been acknowledged.
 */
async function losePower(environment: Record<string, string>, times: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'datastore-power-'));
  const image = join(folder, 'device');
  const copy = join(folder, 'after');
  const ledger = new Ledger();
  try {
    makeFileSystem(image, 96);
    using _mounted = mount(image, join(folder, 'live'));
    const writer = new WriterProcess(join(folder, 'live', 'state.db'), ledger, environment);
    try {
      for (let i = 0; i < times; i++) {
        await writer.until(writer.count + 300);
        await writer.freeze();
        snapshot(image, copy);
        {
          using _after = mount(copy, join(folder, 'after.d'));
          await using store = await openDatastore({ path: join(folder, 'after.d', 'state.db') });
          await ledger.clone().verify(store);
        }
        writer.thaw();
      }
    } finally {
      await writer.kill();
    }
    return ledger.count;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the datastore when power is lost', () => {
  it(`has every acknowledged write (${losses} losses)`, async (t) => {
    const count = await losePower({}, losses);
    t.diagnostic(`${count} acknowledged operations, all there after each of ${losses} losses`);
  });

  it('does not pass this test without the flush: the test is able to fail', async (t) => {
    await assert.rejects(losePower({ WITHOUT_FLUSH: '1' }, losses), (error: unknown) => {
      t.diagnostic(`without the flush: ${String(error).split('\n')[0]}`);
      return error instanceof Error;
    });
  });
});
