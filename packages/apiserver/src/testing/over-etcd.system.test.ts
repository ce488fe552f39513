import { RealEtcd } from '@cloudless/kube/testing/real-etcd';
import { describeApi } from './behaviour.ts';

// The store of the one flag: etcd itself, as Debian has it.
describeApi('over etcd', async () => {
  const etcd = await RealEtcd.start();
  const store = await etcd.connect();
  return {
    store,
    async stop() {
      await store.close();
      await etcd.stop();
    },
  };
});
