import { core } from '@cloudless/kube/resources';
import type { PostStartHook } from '../server/options.ts';
import { ensure } from './ensure.ts';

export const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;

/** The namespaces that every cluster has (upstream: pkg/controlplane/controller/systemnamespaces). */
export const namespacesHook: PostStartHook = {
  name: 'start-system-namespaces-controller',
  async run({ client, signal }) {
    await Promise.all(
      systemNamespaces.map((name) => ensure(client, core.namespaces, { metadata: { name } }, signal)),
    );
  },
};
