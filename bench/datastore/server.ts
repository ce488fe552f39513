// Our store with its gRPC server in a process of its own, which measures how long its event loop is held up.
// `node server.ts ENDPOINT`, started by `served`.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { openEndpoint, parseEndpoint } from '@cloudless/datastore/endpoint';
import { serveDatastore } from '@cloudless/datastore/server/serve';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { quietLogger } from './etcd.ts';
import { startLean } from './lean-process.ts';
import { type Running, type Subject, targetOf } from './subject.ts';

const isChild = process.argv[1] === import.meta.filename && process.send !== undefined;

/** Milliseconds between two turns of the event loop, at most. */
export interface StallFigures {
  /** Less the time in which this thread was ready to run and other programs had the processors. */
  longestMs: number;
  /** What the thread itself computed; the rest is waiting for locks, the garbage collector's helpers and disks. */
  computedMs: number;
}

export interface ServedRunning extends Running {
  /** The longest stalls of the server's event loop since the last call. */
  stalls(): Promise<StallFigures>;
}

/** Served by gRPC from a process of its own. `endpoint`: from the folder to a URL, and what to stop at the end. */
export const served = (
  name: string,
  endpoint: (folder: string) => Promise<{ url: string; stop?: () => Promise<void> }>,
): Subject & { start(folder: string, options?: { commitWindowMs?: number }): Promise<ServedRunning> } => ({
  name,
  async start(folder, { commitWindowMs = 0 } = {}) {
    const { url, stop } = await endpoint(folder);
    const child = fork(import.meta.filename, [url, String(commitWindowMs)]);
    const exited = once(child, 'exit');
    const [{ listening }] = (await once(child, 'message')) as [{ listening: string }];
    const store = await connectEtcd({ endpoints: [listening], log: quietLogger });
    const lean = await startLean(listening);
    return {
      store,
      target: targetOf(store),
      lean,
      pid: child.pid as number,
      async stalls() {
        child.send('stalls');
        const [figures] = (await once(child, 'message')) as [StallFigures];
        return figures;
      },
      async stop() {
        await lean.stop();
        await store.close();
        child.send('stop');
        await exited;
        await stop?.();
      },
    };
  },
});

export const servedSqlite = served('Cloudless, SQLite, by gRPC', async (folder) => ({
  url: `sqlite://${folder}/state.db`,
}));

/** On a PostgreSQL of its own, with its defaults. */
export const servedPostgres = served('Cloudless, PostgreSQL, by gRPC', async (folder) => {
  const { RealPostgres } = await import('@cloudless/datastore/testing/real-postgres');
  const server = await RealPostgres.start({ max_connections: 100 }, folder);
  return { url: await server.database(), stop: () => server.stop() };
});

function watchLoop(): StallFigures {
  const stalls = { longestMs: 0, computedMs: 0 };
  const intervalMs = 1;
  const look = (): { now: number; waited: number; computed: number } => {
    const waited = Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[1]) / 1e6;
    const { user, system } = process.threadCpuUsage();
    return { now: performance.now(), waited, computed: (user + system) / 1000 };
  };
  let last = look();
  const turn = (): void => {
    const next = look();
    const stallMs = next.now - last.now - (next.waited - last.waited) - intervalMs;
    stalls.longestMs = Math.max(stalls.longestMs, stallMs);
    stalls.computedMs = Math.max(stalls.computedMs, next.computed - last.computed);
    last = next;
    setTimeout(turn, intervalMs).unref();
  };
  turn();
  return stalls;
}

async function serve(url: string, commitWindowMs: number): Promise<void> {
  const store = await openEndpoint(parseEndpoint(url), {
    log: quietLogger,
    commitWindowMs,
    quotaBytes: 2 ** 34,
  });
  const server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log: quietLogger });
  const stalls = watchLoop();
  process.on('message', (ask) => {
    if (ask === 'stalls') {
      process.send?.(stalls);
      Object.assign(stalls, { longestMs: 0, computedMs: 0 });
    } else {
      void server
        .stop()
        .then(() => store.close())
        .then(() => process.disconnect?.());
    }
  });
  process.send?.({ listening: server.url });
}

if (isChild) await serve(process.argv[2] as string, Number(process.argv[3]));
