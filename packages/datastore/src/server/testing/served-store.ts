import { connectEtcd, type EtcdOptions } from '@cloudless/kube/etcd/client/client';
import type { StoreUnderTest } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../../datastore.ts';
import { type ServeOptions, serveDatastore } from '../serve.ts';

const log = logger('serve-test').child({}, { level: 'silent' });

/** The store behind a server of its own, seen by a client; `stop` ends all three. */
export async function servedStore(
  engine: Datastore,
  server: Partial<Pick<ServeOptions, 'listen' | 'tls'>> = {},
  client: Partial<Pick<EtcdOptions, 'ca' | 'cert' | 'key'>> = {},
): Promise<StoreUnderTest> {
  const served = await serveDatastore({
    store: engine,
    listen: { host: '127.0.0.1', port: 0 },
    ...server,
    log,
  });
  const store = await connectEtcd({ endpoints: [served.url], ...client, log });
  return {
    store,
    async stop() {
      await store.close();
      await served.stop();
      await engine.close();
    },
  };
}
