import type { Node } from '@cloudless/kube/types/core-v1';
import type { AdmissionPlugin } from './plugin.ts';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' } as const;

/** A new Node takes no pods until it is seen to be ready (upstream: plugin/pkg/admission/nodetaint). */
export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  handles: (operation, resource, subresource) =>
    operation === 'CREATE' && resource.group === '' && resource.plural === 'nodes' && subresource === '',
  admit({ object }) {
    const node = object as Node;
    node.spec ??= {};
    const { taints = [] } = node.spec;
    if (!taints.some(({ key, effect }) => key === notReady.key && effect === notReady.effect))
      node.spec.taints = [...taints, { ...notReady }];
  },
};
