import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { etcdCompliance } from '@cloudless/kube/etcd/compliance';
import { openDatastore } from './index.ts';
import { openMemoryDatastore } from './memory.ts';

for (const [name, cacheBytes] of [
  ['the embedded engine', undefined],
  ['the embedded engine with every value cold', 0],
] as const) {
  etcdCompliance(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-compliance-'));
    const store = await openDatastore({ path: join(folder, 'state.db'), cacheBytes });
    return {
      store,
      async stop() {
        await store.close();
        rmSync(folder, { recursive: true });
      },
    };
  });
}

etcdCompliance('the engine in memory', async () => {
  const store = await openMemoryDatastore();
  return { store, stop: () => store.close() };
});
