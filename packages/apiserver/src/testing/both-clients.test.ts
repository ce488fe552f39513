import { describeApi } from './behaviour.ts';
import { MemoryStore } from './memory-store.ts';

describeApi('in memory', async () => {
  const store = new MemoryStore();
  return { store, stop: () => store.close() };
});
