import { awaitConfiguration } from '@cloudless/dns/external/await-configuration';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, sleep } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ClusterConfig } from '../../cluster-config.ts';
import { externalDnsNamespace } from './names.ts';

const retryMs = 5000;

/**
 * The authoritative DNS beside the cluster's, loaded and started with the first configuration: a plain cluster does not
 * carry it. A start that fails (a port that is taken) is told and tried again; the cluster's DNS goes on meanwhile.
 */
export function startExternalWhenAsked(options: {
  client: KubeClient;
  config: ClusterConfig;
  clock: Clock;
  log: Logger;
  /** The cluster's own names come first. */
  after: Promise<void>;
}): Running {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { client, config, clock, log } = options;
  let external: Running | undefined;
  const run = async (): Promise<void> => {
    const stopped = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([options.after, stopped]);
    await awaitConfiguration({ client, namespace: externalDnsNamespace, clock, log, signal });
    while (!signal.aborted && external === undefined) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one try after the other
        external = await startExternal(client, config, clock, log);
      } catch (error) {
        log.error({ err: error, retryMs }, 'the authoritative DNS could not start; tried again');
        // oxlint-disable-next-line no-await-in-loop
        await sleep(clock, retryMs, signal);
      }
    }
  };
  const done = run();
  return running(async () => {
    stopping.abort();
    await done;
    await external?.stop();
  });
}

async function startExternal(
  client: KubeClient,
  config: ClusterConfig,
  clock: Clock,
  log: Logger,
): Promise<Running> {
  const { startExternalDns } = await import('@cloudless/dns/external/start');
  const external = await startExternalDns({
    client,
    config: { from: 'cluster' },
    namespace: externalDnsNamespace,
    addresses: ['127.0.0.1', config.nodeIp].filter((address, i, all) => all.indexOf(address) === i),
    port: config.ports.dnsExternal,
    healthPort: config.ports.dnsExternalHealth,
    apiPort: config.ports.dnsApi,
    clock,
    log,
  });
  void external.ready.then(
    () => log.info({ zones: external.zones.all.size }, 'the authoritative DNS serves'),
    () => {},
  );
  return external;
}
