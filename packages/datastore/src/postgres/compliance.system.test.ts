import { after, before } from 'node:test';
import { etcdCompliance } from '@cloudless/kube/etcd/compliance';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore } from './open.ts';

let server: RealPostgres;
before(async () => {
  server = await RealPostgres.start();
});
after(() => server.stop());

etcdCompliance('the datastore on PostgreSQL', async () => {
  const store = await openPostgresDatastore({ url: await server.database() });
  return { store, stop: () => store.close() };
});

etcdCompliance('the datastore on PostgreSQL that keeps no value in memory', async () => {
  const store = await openPostgresDatastore({ url: await server.database(), cacheBytes: 0 });
  return { store, stop: () => store.close() };
});
