import { after, before } from 'node:test';
import { etcdCompliance, type StoreUnderTest } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { openPostgresDatastore } from '../postgres/open.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { spreadOver } from '../testing/spread-store.ts';
import { servedStore } from './testing/served-store.ts';

const log = logger('serve-test').child({}, { level: 'silent' });
let database: RealPostgres;
before(async () => {
  // What is tested here is answers, not durability: nothing waits for a disk.
  database = await RealPostgres.start({ fsync: 'off' });
});
after(() => database.stop());

const serve = async (url: string): Promise<StoreUnderTest> =>
  servedStore(await openPostgresDatastore({ url, log }));

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
