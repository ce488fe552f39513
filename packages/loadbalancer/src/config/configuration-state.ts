import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { isAlreadyExists, isForbidden, isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import { runWorkers, WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { type ConfigurationState, metallb } from './kinds.ts';
import { problemText } from './problem.ts';
import type { WatchedConfiguration } from './watch.ts';

export interface ConfigurationStateOptions {
  client: KubeClient;
  /** Whose judgements are written. */
  watch: WatchedConfiguration;
  namespace: string;
  /** `controller`, or `speaker-NODE` with the node's name. */
  part: 'controller' | { readonly speakerOf: string };
  clock?: Clock | undefined;
  log?: Pick<Logger, 'warn' | 'debug'> | undefined;
  signal?: AbortSignal | undefined;
}

/** Namespace and rights may be made with the first pool only. */
const namespaceRetryMs = 10_000;

/**
 * Keeps the ConfigurationState of a part: whether the newest configuration is in force, and what keeps it from that
 * (upstream: configuration_state_controller.go). Written when a judgement differs from the last; made
 * with the first pool or peer.
 */
export function reportConfigurationState(options: ConfigurationStateOptions): Running {
  const { client, watch, namespace, part, log, signal } = options;
  const clock = options.clock ?? systemClock;
  const name = part === 'controller' ? part : `speaker-${part.speakerOf}`;
  const labels: Record<string, string> =
    part === 'controller'
      ? { 'metallb.io/component-type': 'controller' }
      : { 'metallb.io/component-type': 'speaker', 'metallb.io/node-name': part.speakerOf };
  const queue = new WorkQueue<string>({ name: 'configuration_state', clock });
  let hasBegun = false;
  const remove = watch.onJudged(() => queue.add(name));
  watch.synced.then(
    () => queue.add(name),
    () => undefined,
  );
  const write = async (): Promise<void | { requeueAfterMs: number }> => {
    // A cluster that does not use the load balancer has nothing of it.
    const { config, problems } = watch;
    if (!hasBegun && problems.length === 0 && config?.pools.size === 0 && config.peers.size === 0) return;
    const state = await existing(client, namespace, name, labels, signal);
    hasBegun ||= state !== undefined;
    if (!state) return { requeueAfterMs: namespaceRetryMs };
    const wanted = statusOf(watch, part, formatTime(clock.nowMs()));
    const { result, errorSummary } = state.status ?? {};
    if (result === wanted.result && (errorSummary ?? '') === wanted.errorSummary) return;
    await client.update(
      metallb.configurationStates,
      { ...state, status: wanted },
      { subresource: 'status', signal },
    );
  };
  const workers = runWorkers(queue, 1, write, { log, signal });
  return running(async () => {
    remove();
    await workers.stop();
  });
}

/** Undefined where there is no such namespace, or no right there yet. */
async function existing(
  client: KubeClient,
  namespace: string,
  name: string,
  labels: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<ConfigurationState | undefined> {
  try {
    return await client.get(metallb.configurationStates, name, { namespace, signal });
  } catch (error) {
    if (isForbidden(error)) return undefined;
    if (!isNotFound(error)) throw error;
  }
  try {
    return await client.create(
      metallb.configurationStates,
      { metadata: { name, namespace, labels } },
      { signal },
    );
  } catch (error) {
    if (isNotFound(error) || isForbidden(error)) return undefined;
    if (!isAlreadyExists(error)) throw error;
    return client.get(metallb.configurationStates, name, { namespace, signal });
  }
}

function statusOf(
  watch: WatchedConfiguration,
  part: ConfigurationStateOptions['part'],
  now: string,
): NonNullable<ConfigurationState['status']> {
  const errorSummary = watch.problems.map(problemText).join('\n');
  const isValid = watch.problems.length === 0;
  return {
    result: isValid ? 'Valid' : 'Invalid',
    errorSummary,
    conditions: [
      {
        type: part === 'controller' ? 'poolReconcilerValid' : 'configReconcilerValid',
        status: isValid ? 'True' : 'False',
        reason: isValid ? 'Reconciled' : 'ConfigurationError',
        message: errorSummary.slice(0, 32_768),
        lastTransitionTime: now,
      },
    ],
  };
}
