import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { DatastoreFileError } from '../errors.ts';
import { openDatastore } from '../index.ts';
import { makeFileSystem, mount } from '../testing/loop-device.ts';

describe('a datastore on a read-only file system', () => {
  it('is refused, with the path and what to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-read-only-'));
    try {
      const image = join(folder, 'device');
      makeFileSystem(image, 24);
      using mounted = mount(image, join(folder, 'd'));
      const path = join(folder, 'd', 'store', 'state.db');
      {
        await using store = await openDatastore({ path });
        await store.put({ key: Buffer.from('a'), value: Buffer.from('1') });
      }
      mkdirSync(join(folder, 'd', 'empty'));
      execFileSync('mount', ['-o', 'remount,ro', join(folder, 'd')]);
      for (const [place, pattern] of [
        [path, /cannot be locked .*Its folder must be writable: check its permissions and the disk/],
        [join(folder, 'd', 'empty', 'state.db'), /cannot be locked .*Its folder must be writable/],
        [join(folder, 'd', 'new', 'state.db'), /its folder cannot be made: .*Choose a place/],
      ] as const) {
        await assert.rejects(openDatastore({ path: place }), (error: unknown) => {
          assert.ok(error instanceof DatastoreFileError, String(error));
          assert.equal(error.reason, 'unusable');
          assert.match(error.message, pattern);
          assert.ok(error.message.includes(place));
          return true;
        });
      }
      assert.ok(mounted);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
