import { Worker } from 'node:worker_threads';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { LeaseWorkerData } from './lease-worker.ts';

export interface LeaseThread extends Running {
  setNodeUid(uid: string): void;
}

/** The node's Lease from a thread of its own, so that a stalled main loop does not lose the node. */
export function startLeaseThread(options: {
  kubeconfig: string;
  nodeName: string;
  durationSeconds: number;
  log: Logger;
}): LeaseThread {
  const data: LeaseWorkerData = {
    kubeconfig: options.kubeconfig,
    nodeName: options.nodeName,
    durationSeconds: options.durationSeconds,
    nodeUid: undefined,
  };
  const worker = new Worker(new URL('./lease-worker.ts', import.meta.url), {
    workerData: data,
    stderr: false,
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('message', (why: string) =>
    options.log.debug({ reason: why }, 'node lease not renewed; will be tried again'),
  );
  worker.on('error', (error) =>
    options.log.error({ err: error }, 'the thread that renews the node lease failed'),
  );
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    setNodeUid: (nodeUid) => worker.postMessage({ nodeUid }),
    ...running(async () => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ stop: true });
      const timer = setTimeout(() => void worker.terminate(), 3000);
      await ended;
      clearTimeout(timer);
    }),
  };
}
