import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openDatastore } from './index.ts';
import { bytesWrittenPerChange, metrics, metricsText } from './metrics.ts';

describe('metrics of the datastore', () => {
  it('are those of the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `([a-z_]+)` +\| (\w+) +\| (.+?) +\|$/gm)].map((row) =>
      row.slice(1),
    );
    const histogram = ['etcd_disk_wal_fsync_duration_seconds', 'histogram', 'Time of a flush to the device.'];
    assert.deepEqual(rows, [...metrics.map(({ name, type, help }) => [name, type, help]), histogram]);
  });

  it('count what happens', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-metrics-'));
    try {
      await using store = await openDatastore({ path: join(folder, 'state.db') });
      const key = Buffer.from('a');
      await store.put({ key, value: Buffer.from('1') });
      await store.put({ key, value: Buffer.from('2') });
      await store.deleteRange({ key });
      await store.range({ key });
      const figures = store.figures();
      assert.deepEqual([figures.puts, figures.deletes, figures.ranges, figures.keys], [2, 1, 1, 0]);
      assert.equal(figures.log.appends, 3);
      assert.ok(bytesWrittenPerChange(figures) >= 4096);
      const text = metricsText(figures);
      assert.match(text, /^etcd_mvcc_put_total 2$/m);
      assert.match(text, /^etcd_debugging_mvcc_current_revision 4$/m);
      assert.match(text, /^etcd_disk_wal_fsync_duration_seconds_count 3$/m);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
