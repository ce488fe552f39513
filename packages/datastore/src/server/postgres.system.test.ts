import { after, before } from 'node:test';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { etcdCompliance } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { openPostgresDatastore } from '../postgres/open.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { spreadOver } from '../testing/spread-store.ts';
import { serveDatastore } from './serve.ts';

const log = logger('serve-test').child({}, { level: 'silent' });
let database: RealPostgres;
before(async () => {
  // What is tested here is answers, not durability: nothing waits for a disk.
  database = await RealPostgres.start({ fsync: 'off' });
});
after(() => database.stop());

/** A server on the database, and a client of it. */
async function serve(url: string) {
  const engine = await openPostgresDatastore({ url, log });
  const server = await serveDatastore({ store: engine, listen: { host: '127.0.0.1', port: 0 }, log });
  const store = await connectEtcd({ endpoints: [server.url], log });
  return {
    store,
    async stop() {
      await store.close();
      await server.stop();
      await engine.close();
    },
  };
}

etcdCompliance('three servers on one PostgreSQL, asked in turn over gRPC,', async () => {
  const url = await database.database();
  const servers = [await serve(url), await serve(url), await serve(url)];
  return {
    store: spreadOver(servers.map(({ store }) => store)),
    async stop() {
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
});
