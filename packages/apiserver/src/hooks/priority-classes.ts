import { scheduling } from '@cloudless/kube/resources';
import { systemPriorities } from '../registry/strategies/scheduling/priority-class.ts';
import type { PostStartHook } from '../server/options.ts';
import { ensure } from './ensure.ts';

const descriptions: Readonly<Record<string, string>> = {
  'system-node-critical': 'For system pods that must not be moved from their node.',
  'system-cluster-critical': 'For system pods that must run in the cluster, on another node if need be.',
};

/** Classes of the cluster's own pods (upstream: pkg/registry/scheduling/rest). */
export const priorityClassesHook: PostStartHook = {
  name: 'scheduling/bootstrap-system-priority-classes',
  async run({ client, signal }) {
    const classes = Object.entries(systemPriorities).map(([name, value]) => ({
      metadata: { name },
      value,
      description: descriptions[name] ?? '',
    }));
    await Promise.all(classes.map((one) => ensure(client, scheduling.priorityclasses, one, signal)));
  },
};
