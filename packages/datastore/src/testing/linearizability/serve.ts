/**
 * A server to be killed: `node serve.ts ENDPOINT SOCKET [FAULT]` serves a store on a unix socket and writes `ready`
 * when it answers. It ends when its standard input does, so that it never outlives its test.
 */
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import { type Datastore, startEngine } from '../../datastore.ts';
import { parseEndpoint } from '../../endpoint.ts';
import { openDatastore } from '../../index.ts';
import { SqliteLog } from '../../log/sqlite-log.ts';
import { serveDatastore } from '../../server/serve.ts';
import { crashFaults, type CrashFault, HastyLog } from './faults.ts';

const log = logger('server-process').child({}, { level: 'silent' });
/** Small, so that a short history goes through their whole life. */
const sizes = { checkpointBytes: 64 * 1024, segmentBytes: 64 * 1024, reservePages: 8 };
/** How late a hasty log is: longer than a client needs for its next question. */
const hastyMs = 15;

async function openStore(endpoint: string): Promise<Datastore> {
  const parsed = parseEndpoint(endpoint);
  if (parsed.kind === 'sqlite') return openDatastore({ path: parsed.path, log, ...sizes });
  const { openPostgresDatastore } = await import('../../postgres/open.ts');
  return openPostgresDatastore({ url: parsed.url, log });
}

/** The same over a log that lies; the second fault waits for the truth before it answers, but shows it before. */
async function openFaulty(endpoint: string, fault: CrashFault): Promise<Datastore> {
  const parsed = parseEndpoint(endpoint);
  if (parsed.kind !== 'sqlite') throw new Error('faults are planted over SQLite');
  const { path } = parsed;
  const hasty = new HastyLog(new SqliteLog({ path, log, ...sizes }), hastyMs);
  const store = await startEngine({ name: path, log: hasty.log, logger: log });
  return fault === 'acknowledges before it is durable' ? store : answeringLate(store, hasty);
}

const writes = new Set<string | symbol>(['put', 'deleteRange', 'txn'] satisfies Array<keyof EtcdStore>);

function answeringLate(store: Datastore, hasty: HastyLog): Datastore {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const method = member.bind(target) as (...parameters: unknown[]) => unknown;
      if (!writes.has(name)) return method;
      return async (...parameters: unknown[]) => {
        const answer = await method(...parameters);
        await hasty.settled();
        return answer;
      };
    },
  });
}

const [endpoint = '', socket = '', wanted] = process.argv.slice(2);
const fault = crashFaults.find((one) => one === wanted);
const store = fault === undefined ? await openStore(endpoint) : await openFaulty(endpoint, fault);
await serveDatastore({ store, listen: { path: socket }, log });
process.stdin.on('end', () => process.exit(0)).resume();
process.stdout.write('ready\n');
