import { after, before } from 'node:test';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { etcdCompliance } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { serveDatastore } from '../server/serve.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore } from './open.ts';

const log = logger('datastore-test').child({}, { level: 'silent' });
let server: RealPostgres;
before(async () => {
  server = await RealPostgres.start();
});
after(() => server.stop());

etcdCompliance('the datastore on PostgreSQL', async () => {
  const store = await openPostgresDatastore({ url: await server.database(), log });
  return { store, stop: () => store.close() };
});

etcdCompliance('the datastore on PostgreSQL that keeps no value in memory', async () => {
  const store = await openPostgresDatastore({ url: await server.database(), log, cacheBytes: 0 });
  return { store, stop: () => store.close() };
});

etcdCompliance('two servers on PostgreSQL over gRPC', async () => {
  const url = await server.database();
  const engines = await Promise.all([0, 1].map(() => openPostgresDatastore({ url, log })));
  const servers = await Promise.all(
    engines.map((store) => serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log })),
  );
  const store = await connectEtcd({ endpoints: servers.map((each) => each.url), log });
  return {
    store,
    async stop() {
      await store.close();
      for (const each of [...servers, ...engines]) await each[Symbol.asyncDispose]();
    },
  };
});
