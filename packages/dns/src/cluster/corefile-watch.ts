import type { KubeClient } from '@cloudless/kube/client/client';
import { startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import type { CorefileConfig } from '../corefile/config.ts';
import { CorefileError } from '../corefile/error.ts';
import { readCorefile } from '../corefile/read.ts';

const namespace = 'kube-system';
const name = 'coredns';
const key = 'Corefile';
/** The default is taken when the API has not said by then whether there is a ConfigMap. */
const patienceMs = 3000;

export interface CorefileWatch extends Running {
  /** Resolves when the first configuration was handed out. */
  readonly configured: Promise<void>;
}

/**
 * Follows the Corefile in ConfigMap `kube-system/coredns`. One that cannot be read leaves the last good one in force; what
 * it asks for and is not done is told once, in the log and as an Event on the ConfigMap. Without a ConfigMap, and while
 * the API is away from the start, `defaultText` counts.
 */
export function watchCorefile(options: {
  client: KubeClient;
  log: Logger;
  defaultText: string;
  environment: Readonly<Record<string, string | undefined>>;
  onConfig(config: CorefileConfig): void;
}): CorefileWatch {
  const { client, log, environment } = options;
  const fallback = readCorefile(options.defaultText, environment);
  const configured = Promise.withResolvers<void>();
  const events = lazyRecorder(client, log);
  let inForce: string | undefined;
  const use = (text: string, config: CorefileConfig): void => {
    if (text !== inForce) options.onConfig(config);
    inForce = text;
    configured.resolve();
  };
  const take = (configMap: ConfigMap): void => {
    const text = configMap.data?.[key];
    if (text === undefined) {
      const message = `it has no key "${key}"; ${inForce === undefined ? 'the default is used' : 'the last good one stays'}`;
      log.warn({ configMap: `${namespace}/${name}` }, message);
      void events.warn(configMap, 'CorefileInvalid', message);
      if (inForce === undefined) use('', fallback);
      return;
    }
    if (text === inForce) return;
    try {
      const config = readCorefile(text, environment);
      use(text, config);
      if (config.warnings.length === 0) return;
      const message = config.warnings.map(({ line, message: what }) => `line ${line}: ${what}`).join('. ');
      log.warn({ configMap: `${namespace}/${name}` }, `the Corefile is served but for: ${message}`);
      void events.warn(configMap, 'CorefileNotWhole', `Served but for: ${message}`);
    } catch (error) {
      if (!(error instanceof CorefileError)) throw error;
      const stays = inForce === undefined ? 'the default is used' : 'the last good one stays';
      log.error(
        { configMap: `${namespace}/${name}` },
        `the Corefile cannot be used, ${stays}: ${error.message}`,
      );
      void events.warn(configMap, 'CorefileInvalid', `Not used, ${stays}: ${error.message}`);
      if (inForce === undefined) use('', fallback);
    }
  };
  const informer = startInformer({
    client,
    resource: core.configmaps,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    log,
  });
  const isOurs = (configMap: ConfigMap): boolean => configMap.metadata.name === name;
  informer.addHandler({
    add: (configMap) => isOurs(configMap) && take(configMap),
    update: (configMap) => isOurs(configMap) && take(configMap),
    delete: (configMap) => isOurs(configMap) && use('', fallback),
  });
  const useFallback = (): void => {
    if (inForce === undefined) use('', fallback);
  };
  const timer = setTimeout(useFallback, patienceMs);
  informer.synced.then(useFallback, () => {});
  return {
    configured: configured.promise,
    ...running(async () => {
      clearTimeout(timer);
      await informer.stop();
      await events.stop();
    }),
  };
}

/** Events are rare: what writes them is loaded with the first. */
function lazyRecorder(
  client: KubeClient,
  log: Logger,
): { warn(about: ConfigMap, reason: string, message: string): Promise<void>; stop(): Promise<void> } {
  let recorder: Promise<import('@cloudless/kube/events/recorder').EventRecorder> | undefined;
  const load = async (): Promise<import('@cloudless/kube/events/recorder').EventRecorder> => {
    const { eventRecorder } = await import('@cloudless/kube/events/recorder');
    return eventRecorder({ client, component: 'cloudless-dns', log });
  };
  return {
    async warn(about, reason, message) {
      recorder ??= load();
      // The API takes 1,024 characters.
      const text = message.length > 1000 ? `${message.slice(0, 997)}...` : message;
      (await recorder).event({ apiVersion: 'v1', kind: 'ConfigMap', ...about }, 'Warning', reason, text);
    },
    stop: async () => (await recorder)?.stop(),
  };
}
