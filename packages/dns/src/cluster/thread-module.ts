import { once } from 'node:events';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { logger } from '@cloudless/kube/logger';
import type { CreateResponder } from '../server/responder.ts';
import { startAnswers } from './start.ts';
import type { ThreadData } from './thread.ts';

/** Runs in the thread of {@link startClusterDnsThread}; ends with it. */
export const createResponder: CreateResponder<ThreadData> = async (data, port) => {
  const { kubeconfig, userAgent, ...options } = data;
  const go = once(port, 'message');
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage('loaded');
  await go;
  const client = clientFromKubeconfig(kubeconfig, { userAgent });
  const answers = await startAnswers({ ...options, client, log: logger('dns') });
  void answers.ready.then(
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    () => port.postMessage('ready'),
    () => {},
  );
  return answers.handle;
};
