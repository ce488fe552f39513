// A real etcd without TLS: Debian's, or the one that ETCD names.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '@cloudless/kube/testing/free-port';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { logger } from '@cloudless/kube/logger';
import { startLean } from './lean-process.ts';
import { type Subject, targetOf } from './subject.ts';

const program = process.env['ETCD'] ?? '/usr/bin/etcd';
/** etcd: --backend-batch-interval */
const batchIntervalMs = 100;

export const quietLogger = logger('bench').child({}, { level: 'error' });

export const etcd: Subject = {
  name: 'etcd',
  async start(folder, { speedup = 1 } = {}) {
    const [client, peer] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${client}`;
    const child = spawn(
      program,
      [
        `--data-dir=${folder}/etcd`,
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-cluster=default=http://127.0.0.1:${peer}`,
        `--backend-batch-interval=${Math.max(1, batchIntervalMs / speedup)}ms`,
        '--quota-backend-bytes=8589934592',
      ],
      { stdio: 'ignore' },
    );
    const exited = once(child, 'exit');
    for (const deadline = Date.now() + 60_000; ;) {
      try {
        const store = await connectEtcd({ endpoints: [url], log: quietLogger });
        await store.range({ key: Buffer.from('ready') });
        const lean = await startLean(url);
        return {
          store,
          target: targetOf(store),
          lean,
          pid: child.pid as number,
          async stop() {
            await lean.stop();
            await store.close();
            child.kill('SIGTERM');
            await exited;
          },
        };
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  },
};
