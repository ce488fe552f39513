import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { startResponder } from '../server/responder.ts';
import type { ClusterDns, ClusterDnsOptions } from './start.ts';

/** Cluster DNS in a thread of its own: it makes its client there, and nothing else in the process delays an answer. */
export interface ClusterDnsThreadOptions extends Omit<ClusterDnsOptions, 'client' | 'log'> {
  /** File of a kubeconfig; relative paths count from the process's folder. */
  readonly kubeconfig: string;
  readonly userAgent: string;
  /**
   * Called once, when the thread has loaded its program and before it reads or opens anything: the time to give
   * privileges away. The program's files may be closed to whom the process becomes.
   */
  readonly onLoaded?: (() => void) | undefined;
  readonly log: Logger;
}

/** What the thread starts with. */
export type ThreadData = Omit<ClusterDnsThreadOptions, 'log' | 'onLoaded'>;

/**
 * Starts cluster DNS in a thread; one that fails is started again. Rejects when an address, the port or the health port
 * cannot be bound.
 */
export async function startClusterDnsThread(options: ClusterDnsThreadOptions): Promise<ClusterDns> {
  const { log, onLoaded, ...data } = options;
  let isLoaded = false;
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  const responder: Running = await startResponder<ThreadData>({
    module: new URL('./thread-module.ts', import.meta.url),
    data: () => data,
    connect(port) {
      port.on('message', (said: 'loaded' | 'ready') => {
        if (said === 'ready') return ready.resolve();
        if (!isLoaded) onLoaded?.();
        isLoaded = true;
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
        port.postMessage('go');
      });
      port.unref();
    },
    addresses: options.addresses,
    port: options.port,
    log,
  });
  return {
    ready: ready.promise,
    ...running(async () => {
      ready.reject(new Error('cluster DNS is being stopped'));
      await responder.stop();
    }),
  };
}
