import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';

/** The ConfigMap whose key `values.yaml` configures the authoritative DNS. */
export const valuesConfigMap = 'values';

/** ConfigMaps with this label, `true`, hold zones: the key is the origin, the value the text. */
export const zonesLabel = 'dns.cloudless.dev/zones';

/** Whether a ConfigMap of our namespace says something to the authoritative DNS. */
export function isConfiguration({ metadata }: ConfigMap): boolean {
  return metadata.name === valuesConfigMap || metadata.labels?.[zonesLabel] === 'true';
}

/** Resolves when the namespace has a configuration, or `signal` aborts. The namespace need not exist yet. */
export async function awaitConfiguration(options: {
  client: KubeClient;
  namespace: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { signal } = options;
  if (signal.aborted) return;
  const informer = startInformer({ ...options, resource: core.configmaps });
  await new Promise<void>((resolve) => {
    const look = (configMap: ConfigMap): void => {
      if (isConfiguration(configMap)) resolve();
    };
    informer.addHandler({ add: look, update: look });
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await informer.stop();
}
