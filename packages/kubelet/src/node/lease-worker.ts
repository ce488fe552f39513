import { parentPort, workerData } from 'node:worker_threads';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { systemClock } from '@cloudless/kube/clock';
import { startNodeLease } from './lease.ts';

/** What the main thread hands over; see lease-thread.ts. */
export interface LeaseWorkerData {
  kubeconfig: string;
  nodeName: string;
  durationSeconds: number;
  nodeUid: string | undefined;
}

const data = workerData as LeaseWorkerData;
let { nodeUid } = data;
const client = clientFromKubeconfig(data.kubeconfig, { userAgent: 'kubelet-lease' });
const lease = startNodeLease({
  client,
  clock: systemClock,
  nodeName: data.nodeName,
  durationSeconds: data.durationSeconds,
  nodeUid: () => nodeUid,
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  onError: (error) => parentPort!.postMessage((error as Error).message),
});
parentPort!.on('message', (message: { stop: true } | { nodeUid: string }) => {
  if ('nodeUid' in message) {
    nodeUid = message.nodeUid;
    return;
  }
  void lease
    .stop()
    .then(() => client.close())
    .finally(() => parentPort!.close());
});
